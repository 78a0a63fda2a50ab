import { conflict, type StatusError } from '@coffer/api/errors/status-error';
import type { V1ResourceQuota } from '@coffer/api/generated/types';
import { viewAs } from '@coffer/api/kinds/define-kind';
import type { KubeObject } from '@coffer/api/meta/object';
import { getOwn } from '@coffer/api/meta/safe-object';
import {
  type Amounts,
  addAmounts,
  exceeding,
  increase,
  maskAmounts,
  negativeNames,
  sameAmounts,
  withoutZeros,
} from '@coffer/api/quota/amounts';
import { hasScopes, type QuotaEvaluator, scopesOf } from '@coffer/api/quota/evaluator';
import { evaluatorOf, isQuotable } from '@coffer/api/quota/evaluators';
import { canonicalQuantity } from '@coffer/api/validation/quantities';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore } from '@coffer/storage/store/store';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';

export interface ResourceQuotaDeps {
  readonly quotas: ResourceStore;
  readonly clock: Clock;
  /** Writes the status of a quota that was read at this resourceVersion; false when somebody else was faster. */
  readonly writeStatus: (quota: KubeObject) => Promise<boolean>;
}

const attempts = 4;

/** A quota and what it would count after the write. */
interface Charge {
  readonly quota: KubeObject;
  readonly used: Amounts;
}

/**
 * Nothing is written that a quota of its namespace has no room for. What a write uses is added to the quotas before it is stored; the
 * quota loop counts anew what came to nothing. Writes into one namespace are counted one after the other, and a quota that changes
 * meanwhile is read and counted again. Runs last, so that what no other plugin refuses is counted.
 */
export function resourceQuotaAdmission(deps: ResourceQuotaDeps): AdmissionPlugin {
  const turns = new Map<string, Promise<void>>();
  return {
    name: 'ResourceQuota',
    validate(attributes) {
      const { namespace, resource, operation, subresource } = attributes;
      if (namespace === '' || attributes.object === undefined || !isQuotable(resource)) return;
      const evaluator = evaluatorOf(resource);
      if (!evaluator.handles(operation, subresource) || deps.quotas.count() === 0) return;
      const before = turns.get(namespace) ?? Promise.resolve();
      const mine = before.then(() => charge(deps, evaluator, attributes));
      const done = mine.catch(() => undefined);
      turns.set(namespace, done);
      return mine.finally(() => {
        if (turns.get(namespace) === done) turns.delete(namespace);
      });
    },
  };
}

async function charge(deps: ResourceQuotaDeps, evaluator: QuotaEvaluator, attributes: AdmissionAttributes): Promise<void> {
  let names: ReadonlySet<string> | undefined;
  for (let attempt = 1; ; attempt++) {
    if (attempt > 1) await deps.quotas.whenFresh('latest');
    const { items } = await deps.quotas.list({ namespace: attributes.namespace });
    const quotas = items.map((item) => item.peek()).filter(({ metadata }) => names?.has(metadata.name ?? '') ?? true);
    const charges = chargesOf(quotas, evaluator, attributes, deps.clock.now());
    if (attributes.dryRun) return;
    const lost = new Set<string>();
    for (const { quota, used } of charges) {
      const status = { ...viewAs<V1ResourceQuota>(quota).status, used };
      if (!(await deps.writeStatus({ ...quota, status }))) lost.add(quota.metadata.name ?? '');
    }
    if (lost.size === 0) return;
    if (attempt === attempts) throw conflictOf(attributes, [...lost]);
    // Only what could not be written is counted again; the others have it already.
    names = lost;
  }
}

/** What the write adds to which quotas; throws when one of them has no room. */
function chargesOf(quotas: readonly KubeObject[], evaluator: QuotaEvaluator, attributes: AdmissionAttributes, nowMs: number): Charge[] {
  const object = attributes.object as KubeObject;
  const concerned = quotas.filter((quota) => isConcerned(quota, evaluator, object));
  for (const quota of concerned) checkCountable(quota, evaluator, object, attributes);
  if (concerned.length === 0) return [];
  const usage = evaluator.usage(object, nowMs);
  const negative = negativeNames(usage);
  if (negative.length > 0) {
    throw admissionForbidden(attributes, `quota usage is negative for resource(s): ${negative.sort().join(',')}`);
  }
  return concerned.flatMap((quota) => {
    const { hard = {}, used = {} } = viewAs<V1ResourceQuota>(quota).status ?? {};
    const old = attributes.operation === 'UPDATE' ? attributes.oldObject : undefined;
    const before = old !== undefined && isConcerned(quota, evaluator, old) ? evaluator.usage(old, nowMs) : {};
    const added = maskAmounts(withoutZeros(increase(usage, before)), Object.keys(hard));
    const after = addAmounts(used, added);
    const over = attributes.subresource === 'status' ? [] : exceeding(maskAmounts(after, Object.keys(added)), hard);
    if (over.length > 0) {
      const [requested, had, limited] = [added, used, hard].map((list) => textOf(maskAmounts(list, over)));
      throw admissionForbidden(
        attributes,
        `exceeded quota: ${quota.metadata.name}, requested: ${requested}, used: ${had}, limited: ${limited}`,
      );
    }
    return sameAmounts(after, used) ? [] : [{ quota, used: after }];
  });
}

function isConcerned(quota: KubeObject, evaluator: QuotaEvaluator, object: KubeObject): boolean {
  const { spec, status } = viewAs<V1ResourceQuota>(quota);
  return evaluator.matchingNames(Object.keys(status?.hard ?? {})).length > 0 && hasScopes(evaluator, object, scopesOf(spec));
}

function checkCountable(quota: KubeObject, evaluator: QuotaEvaluator, object: KubeObject, attributes: AdmissionAttributes): void {
  const { hard = {}, used } = viewAs<V1ResourceQuota>(quota).status ?? {};
  const names = evaluator.matchingNames(Object.keys(hard));
  const problem = evaluator.problem?.(object, names);
  if (problem !== undefined) throw admissionForbidden(attributes, `failed quota: ${quota.metadata.name}: ${problem}`);
  if (names.some((name) => getOwn(used, name) === undefined)) {
    throw admissionForbidden(attributes, `status unknown for quota: ${quota.metadata.name}, resources: ${[...names].sort().join(',')}`);
  }
}

function textOf(list: Amounts): string {
  return Object.keys(list)
    .sort()
    .map((name) => `${name}=${canonicalQuantity(getOwn(list, name) ?? '0')}`)
    .join(',');
}

function conflictOf(attributes: AdmissionAttributes, names: readonly string[]): StatusError {
  return conflict(
    { group: '', resource: 'resourcequotas' },
    names[0] ?? '',
    `the quotas of namespace ${attributes.namespace} were changed by others while they were counted; try again`,
  );
}
