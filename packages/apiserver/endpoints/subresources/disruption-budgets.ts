import { forbidden, type Status, StatusError, timeoutError, tooManyRequests } from '@coffer/api/errors/status-error';
import type { V1Pod, V1PodDisruptionBudget, V1PodDisruptionBudgetStatus } from '@coffer/api/generated/types';
import { viewAs } from '@coffer/api/kinds/define-kind';
import { disruptionCondition } from '@coffer/api/kinds/policy/disruption-condition';
import type { KubeObject } from '@coffer/api/meta/object';
import { cloneJson } from '@coffer/api/meta/safe-object';
import { fromLabelSelector } from '@coffer/api/selectors/labels';
import { updateObject } from '../../registry/generic/update.ts';
import type { RequestContext } from '../../request/context.ts';
import { type Scope, writeContextOf } from '../scope.ts';
import { statusRulesFor } from './status.ts';

/** Evictions that the disruption loop has not seen yet; more of them mean that it does not work. */
const maxUnseen = 2000;
const refusal = "Cannot evict pod as it would violate the pod's disruption budget.";
const resource = { group: 'policy', resource: 'poddisruptionbudget' };

export type BudgetAnswer =
  /** No budget, or it has counted the pod out. */
  | { readonly kind: 'granted' }
  /** The pod is not healthy and may go without being counted. */
  | { readonly kind: 'not-counted'; readonly budget: string }
  | { readonly kind: 'unsupported'; readonly status: Status };

/** Takes one disruption from the budget of the pod. Throws StatusError 429 when there is none left. */
export async function askBudget(
  context: RequestContext,
  budgets: Scope,
  pod: V1Pod,
  { healthy, dryRun }: { readonly healthy: boolean; readonly dryRun: boolean },
): Promise<BudgetAnswer> {
  const { name: podName = '', namespace = '', labels = {} } = pod.metadata ?? {};
  const { store } = budgets.registry;
  const { items } = await store.list({ namespace });
  const own = items
    .map((item) => viewAs<V1PodDisruptionBudget>(item.peek()))
    .filter(({ spec }) => spec?.selector !== undefined && selects(spec.selector, labels));
  const [budget] = own;
  if (budget === undefined) return { kind: 'granted' };
  const name = budget.metadata?.name ?? '';
  if (own.length > 1) return { kind: 'unsupported', status: unsupported };
  if (!healthy && mayGoUnhealthy(budget)) return { kind: 'not-counted', budget: name };

  const write = writeContextOf(context, budgets, dryRun);
  await updateObject(budgets.registry, {
    namespace,
    name,
    rules: statusRulesFor(budgets.registry.kind),
    context: write,
    warnings: context.warnings,
    change: (current) => counted(current, podName, write.now),
    validateCreate: () => {},
    validateUpdate: () => {},
  });
  return { kind: 'granted' };
}

const unsupported: Status = {
  kind: 'Status',
  apiVersion: 'v1',
  metadata: {},
  status: 'Failure',
  message: 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
  code: 500,
};

/** A selector without conditions selects every pod of the namespace. */
function selects(selector: NonNullable<NonNullable<V1PodDisruptionBudget['spec']>['selector']>, labels: Readonly<Record<string, string>>) {
  return fromLabelSelector(selector).matches(labels);
}

function mayGoUnhealthy({ spec, status }: V1PodDisruptionBudget): boolean {
  if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true;
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {};
  return currentHealthy >= desiredHealthy && desiredHealthy > 0;
}

/** The budget with one disruption less; throws when it has none, or its numbers are not those of its spec. */
function counted(current: KubeObject | undefined, podName: string, now: string): KubeObject {
  if (current === undefined) throw timeoutError('the PodDisruptionBudget was deleted meanwhile', 10);
  const { metadata, status } = viewAs<V1PodDisruptionBudget>(current);
  const name = metadata?.name ?? '';
  const { disruptionsAllowed = 0, disruptedPods = {}, observedGeneration = 0 } = status ?? {};
  if (observedGeneration < (metadata?.generation ?? 0)) {
    throw stillProcessed(name);
  }
  if (disruptionsAllowed < 0) throw forbidden(resource, name, 'pdb disruptions allowed is negative');
  if (Object.keys(disruptedPods).length > maxUnseen) {
    throw forbidden(resource, name, 'DisruptedPods map too big - too many evictions not confirmed by PDB controller');
  }
  if (disruptionsAllowed === 0) throw refused(0, reasonOf(name, status));
  const object = cloneJson(current);
  const next = { ...status, disruptionsAllowed: disruptionsAllowed - 1, disruptedPods: { ...disruptedPods, [podName]: now } };
  object.status = { ...next, conditions: disruptionCondition(next, now) };
  return object;
}

function reasonOf(name: string, status: V1PodDisruptionBudgetStatus | undefined): string {
  const condition = status?.conditions?.find(({ type }) => type === 'DisruptionAllowed');
  if (condition?.status === 'False' && condition.reason === 'SyncFailed') {
    return `The disruption budget ${name} does not allow evicting pods currently because it failed sync: ${condition.message}`;
  }
  return `The disruption budget ${name} needs ${status?.desiredHealthy ?? 0} healthy pods and has ${status?.currentHealthy ?? 0} currently`;
}

/** The refusal while the numbers of a budget are not those of what is there now: the client comes again. */
export function stillProcessed(name: string): StatusError {
  return refused(10, `The disruption budget ${name} is still being processed by the server.`);
}

function refused(retryAfterSeconds: number, message: string): StatusError {
  const error = tooManyRequests(refusal, retryAfterSeconds);
  const causes = [{ reason: 'DisruptionBudget', message }];
  return new StatusError(429, 'TooManyRequests', refusal, { ...error.status.details, causes });
}
