import { badRequest, isReason } from '@coffer/api/errors/status-error';
import type { V1Pod } from '@coffer/api/generated/types';
import { viewAs } from '@coffer/api/kinds/define-kind';
import { isPodReady, isPodTerminal } from '@coffer/api/kinds/pod-state';
import type { KubeObject } from '@coffer/api/meta/object';
import { cloneJson, isRecord } from '@coffer/api/meta/safe-object';
import type { HttpResponse } from '@coffer/base/http/handler';
import { checkPreconditions, deleteObject } from '../../registry/generic/delete.ts';
import { ensureNamespace } from '../../registry/generic/system-metadata.ts';
import { updateObject } from '../../registry/generic/update.ts';
import type { RequestContext } from '../../request/context.ts';
import { readObject } from '../decode-body.ts';
import { negotiateWithoutTable } from '../negotiation.ts';
import type { DeleteOptions } from '../options/delete-options.ts';
import { deleteOptionsFromBody } from '../options/delete-options.ts';
import { parseWriteOptions } from '../options/write-options.ts';
import { respondObject } from '../respond.ts';
import { admissionAttributes, type Scope, writeContextOf } from '../scope.ts';
import { askBudget, stillProcessed } from './disruption-budgets.ts';
import { statusRulesFor } from './status.ts';

const body = { group: 'policy', version: 'v1', kind: 'Eviction', acceptedApiVersions: ['policy/v1beta1'] };

/**
 * POST `pods/…/eviction`: deletes the pod, gracefully, when its disruption budget has room. A pod that does not run yet, or any more, is
 * no disruption. `budgets` is undefined where there are none.
 */
export async function evictPod(context: RequestContext, scope: Scope, budgets: Scope | undefined): Promise<HttpResponse> {
  const format = negotiateWithoutTable(context.http, context.query);
  const write = parseWriteOptions(context.http, context.query, 'CreateOptions');
  const object = await readObject(context, scope.tools, body, write.fieldValidation);
  ensureNamespace(object, context.info.namespace);
  const { name, namespace } = context.info;
  if ((object.metadata.name ?? '') !== name) throw badRequest('name in URL does not match name in Eviction object');
  const requested = deleteOptionsFromBody(isRecord(object.deleteOptions) ? object.deleteOptions : {});
  const options = { ...requested, dryRun: requested.dryRun || write.dryRun };
  const attributes = admissionAttributes(context, scope, 'CREATE', { name, object, oldObject: undefined, dryRun: options.dryRun });
  await scope.tools.admission.admit(attributes);
  const stored = scope.registry.get(namespace, name);
  await scope.tools.admission.validate(attributes);

  const pod = viewAs<V1Pod>(stored.peek());
  let uncounted: string | undefined;
  if (budgets !== undefined && isDisrupted(pod)) {
    const healthy = isPodReady(pod);
    const answer = await askBudget(context, budgets, pod, { healthy, dryRun: options.dryRun });
    if (answer.kind === 'unsupported') return respondObject(context, 500, answer.status, format);
    if (answer.kind === 'not-counted') uncounted = answer.budget;
  }
  if (uncounted === undefined || options.preconditions?.resourceVersion !== undefined) await evict(context, scope, options, undefined);
  else {
    // A pod that was let go because it is not healthy must not have become so.
    try {
      await evict(context, scope, options, String(stored.revision));
    } catch (error) {
      throw isReason(error, 'Conflict') ? stillProcessed(uncounted) : error;
    }
  }
  return respondObject(context, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }, format);
}

function isDisrupted(pod: V1Pod): boolean {
  return !isPodTerminal(pod) && pod.status?.phase !== 'Pending' && pod.metadata?.deletionTimestamp === undefined;
}

/** Marks the pod as disrupted, for its controller to see why, and deletes it. */
async function evict(context: RequestContext, scope: Scope, options: DeleteOptions, unchanged: string | undefined): Promise<void> {
  const { name, namespace } = context.info;
  const { registry } = scope;
  let { preconditions } = options;
  if (unchanged !== undefined) preconditions = { ...preconditions, resourceVersion: unchanged };
  if (!options.dryRun && registry.store.get(namespace, name)?.peek().metadata.deletionTimestamp === undefined) {
    const expected = preconditions?.resourceVersion;
    const write = writeContextOf(context, scope, false);
    const { object } = await updateObject(registry, {
      namespace,
      name,
      rules: statusRulesFor(registry.kind),
      context: write,
      warnings: context.warnings,
      change: (current) => {
        if (current !== undefined && preconditions !== undefined) checkPreconditions(registry, current, preconditions);
        return withCondition(current as KubeObject, write.now);
      },
      validateCreate: () => {},
      validateUpdate: () => {},
    });
    if (expected !== undefined) preconditions = { ...preconditions, resourceVersion: String(object.revision) };
  }
  const deletion = preconditions === undefined ? options : { ...options, preconditions };
  await deleteObject(registry, { namespace, name, options: deletion, validate: () => {} });
}

function withCondition(pod: KubeObject, now: string): KubeObject {
  const marked = cloneJson(pod);
  const status = isRecord(marked.status) ? marked.status : {};
  const conditions: readonly unknown[] = Array.isArray(status.conditions) ? status.conditions : [];
  const others = conditions.filter((condition) => !isRecord(condition) || condition.type !== 'DisruptionTarget');
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    lastTransitionTime: now,
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
  };
  marked.status = { ...status, conditions: [...others, condition] };
  return marked;
}
