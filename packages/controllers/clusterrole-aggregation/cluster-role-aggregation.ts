/**
 * Gives cluster roles with an `aggregationRule` the rules of all cluster roles their selectors match. Identity:
 * `clusterrole-aggregation-controller`. Level-triggered: every change of any cluster role looks at all aggregating ones.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1ClusterRole, V1PolicyRule } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import { fromLabelSelector } from '@coffer/api/selectors/labels';
import { nameOf } from '@coffer/client/rest/api-object';
import { CLUSTER_ROLES } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';

const FIELD_MANAGER = 'clusterrole-aggregation-controller';

export async function runClusterRoleAggregation(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  const roles = deps.informers.informer(CLUSTER_ROLES);
  const queue = new WorkQueue(deps.clock);
  await deps.informers.whenSynced(signal).catch(() => undefined);
  const enqueueAll = () => {
    for (const role of roles.list()) if (role.aggregationRule !== undefined) queue.add(nameOf(role));
  };
  roles.addHandler({ onAdd: enqueueAll, onUpdate: enqueueAll, onDelete: enqueueAll });

  const sync = async (name: string): Promise<void> => {
    const role = roles.get(name);
    if (role?.aggregationRule === undefined) return;
    const rules = aggregatedRules(role, roles.list());
    if (equalJson(rules, role.rules ?? [])) return;
    const applied = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: { name }, rules };
    try {
      await deps.api.resource(CLUSTER_ROLES).apply(name, applied, { fieldManager: FIELD_MANAGER, force: true, signal });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  };
  await queue.run(2, sync, deps.logger, signal);
}

/** Rules of the matching roles: selector by selector, roles by name, each rule once. */
export function aggregatedRules(role: V1ClusterRole, all: readonly V1ClusterRole[]): V1PolicyRule[] {
  const rules: V1PolicyRule[] = [];
  const byName = all.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  for (const given of role.aggregationRule?.clusterRoleSelectors ?? []) {
    const selector = fromLabelSelector(given);
    for (const source of byName) {
      if (nameOf(source) === nameOf(role) || !selector.matches(source.metadata?.labels)) continue;
      for (const rule of source.rules ?? []) if (!rules.some((known) => equalJson(known, rule))) rules.push(rule);
    }
  }
  return rules;
}
