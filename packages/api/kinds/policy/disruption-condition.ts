/** Condition `DisruptionAllowed` of a disruption budget: whether a pod may be evicted now. */

import type { V1Condition, V1PodDisruptionBudgetStatus } from '../../generated/types.ts';

const type = 'DisruptionAllowed';

/** The conditions after `DisruptionAllowed` was made to say what the numbers do, or that they could not be found out. */
export function disruptionCondition(
  status: Pick<V1PodDisruptionBudgetStatus, 'conditions' | 'disruptionsAllowed' | 'observedGeneration'>,
  now: string,
  failure?: string,
): V1Condition[] {
  const allowed = failure === undefined && (status.disruptionsAllowed ?? 0) > 0;
  const conditions = status.conditions ?? [];
  const current = conditions.find((condition) => condition.type === type);
  const value = allowed ? 'True' : 'False';
  const since = current?.status === value ? current.lastTransitionTime : now;
  const condition: V1Condition = {
    type,
    status: value,
    ...(status.observedGeneration === undefined ? {} : { observedGeneration: status.observedGeneration }),
    lastTransitionTime: since,
    reason: failure !== undefined ? 'SyncFailed' : allowed ? 'SufficientPods' : 'InsufficientPods',
    message: failure ?? '',
  };
  return current === undefined ? [...conditions, condition] : conditions.map((other) => (other === current ? condition : other));
}
