import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { Strategy, WriteContext } from '../generic/strategy.ts';

type Condition = Readonly<Record<string, unknown>>;

const decisions = ['Approved', 'Denied'];

/** A request for a certificate says who made it, and nobody can say that but the server. It is never created approved. */
export const csrStrategy: Strategy = {
  prepareForCreate(object, context) {
    const spec = isRecord(object.spec) ? { ...object.spec } : {};
    for (const field of ['username', 'uid', 'groups', 'extra']) delete spec[field];
    const { name, uid, groups, extra } = context.user;
    spec.username = name;
    if (uid !== undefined && uid !== '') spec.uid = uid;
    if (groups.length > 0) spec.groups = [...groups];
    if (extra !== undefined && Object.keys(extra).length > 0) spec.extra = extra;
    object.spec = spec;
    delete object.status;
  },
  prepareForUpdate(object, old) {
    object.spec = old.spec;
    restoreStatus(object, old);
  },
};

/**
 * `…/status`: the signer writes the certificate and conditions. Decisions are sent back with it and stay as they are; one that is
 * missing or new is left to validation.
 */
export function prepareCsrStatus(object: KubeObject, old: KubeObject, context: WriteContext): void {
  object.spec = old.spec;
  let conditions = conditionsOf(object);
  for (const type of decisions) {
    const before = conditionsOf(old).filter((c) => c.type === type);
    if (before.length !== conditions.filter((c) => c.type === type).length) continue;
    const kept = [...before];
    conditions = conditions.map((c) => (c.type === type ? (kept.shift() ?? c) : c));
  }
  setConditions(object, conditions, old, context);
}

/** `…/approval`: conditions only; the certificate stays as it is. */
export function prepareCsrApproval(object: KubeObject, old: KubeObject, context: WriteContext): void {
  object.spec = old.spec;
  const sent = conditionsOf(object);
  restoreStatus(object, old);
  setConditions(object, sent, old, context);
}

function restoreStatus(object: KubeObject, old: KubeObject): void {
  if (old.status === undefined) delete object.status;
  else object.status = old.status;
}

function conditionsOf(object: KubeObject): readonly Condition[] {
  const { conditions } = isRecord(object.status) ? object.status : {};
  return Array.isArray(conditions) ? conditions : [];
}

/** Conditions get the times a client left out: the last update always, the last transition when the status changed. */
function setConditions(object: KubeObject, conditions: readonly Condition[], old: KubeObject, { now }: WriteContext): void {
  const before = conditionsOf(old);
  const complete = conditions.map((condition): Condition => {
    const previous = before.find((c) => c.type === condition.type);
    const transition = previous !== undefined && previous.status === condition.status ? previous.lastTransitionTime : now;
    return {
      ...condition,
      lastUpdateTime: condition.lastUpdateTime ?? now,
      lastTransitionTime: condition.lastTransitionTime ?? transition ?? now,
    };
  });
  const status = isRecord(object.status) ? { ...object.status } : {};
  if (complete.length > 0) status.conditions = complete;
  else delete status.conditions;
  object.status = status;
}
