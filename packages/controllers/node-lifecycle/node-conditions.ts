/** Taints that follow from a node's conditions, and what its conditions become when it falls silent. Pure. */
import type { V1Node, V1NodeCondition, V1Taint } from '@coffer/api/generated/types';
import { NOT_READY, UNREACHABLE, UNSCHEDULABLE } from '@coffer/api/scheduling/taints';
import { apiTime } from '@coffer/client/rest/api-time';

/** Which status of which condition means which taint. */
const CONDITION_TAINTS: readonly { readonly type: string; readonly status: string; readonly key: string }[] = [
  { type: 'Ready', status: 'False', key: NOT_READY },
  { type: 'Ready', status: 'Unknown', key: UNREACHABLE },
  { type: 'MemoryPressure', status: 'True', key: 'node.kubernetes.io/memory-pressure' },
  { type: 'DiskPressure', status: 'True', key: 'node.kubernetes.io/disk-pressure' },
  { type: 'PIDPressure', status: 'True', key: 'node.kubernetes.io/pid-pressure' },
  { type: 'NetworkUnavailable', status: 'True', key: 'node.kubernetes.io/network-unavailable' },
];

const MANAGED_NO_SCHEDULE: ReadonlySet<string> = new Set([...CONDITION_TAINTS.map((entry) => entry.key), UNSCHEDULABLE]);
const MANAGED_NO_EXECUTE: ReadonlySet<string> = new Set([NOT_READY, UNREACHABLE]);

/** The taints a node should have, or undefined when it has them. Taints of others stay. */
export function wantedTaints(node: V1Node, nowMs: number): readonly V1Taint[] | undefined {
  const current = node.spec?.taints ?? [];
  const conditions = node.status?.conditions ?? [];
  const keys = CONDITION_TAINTS.filter((entry) => conditions.some((c) => c.type === entry.type && c.status === entry.status)).map(
    (entry) => entry.key,
  );
  const noSchedule = node.spec?.unschedulable === true ? [...keys, UNSCHEDULABLE] : keys;
  const noExecute = keys.filter((key) => MANAGED_NO_EXECUTE.has(key));
  const has = (key: string, effect: string) => current.some((taint) => taint.key === key && taint.effect === effect);
  const kept = current.filter((taint) => {
    if (taint.effect === 'NoSchedule' && MANAGED_NO_SCHEDULE.has(taint.key)) return noSchedule.includes(taint.key);
    if (taint.effect === 'NoExecute' && MANAGED_NO_EXECUTE.has(taint.key)) return noExecute.includes(taint.key);
    return true;
  });
  const timeAdded = apiTime(nowMs);
  const added = [
    ...noSchedule.filter((key) => !has(key, 'NoSchedule')).map((key) => ({ key, effect: 'NoSchedule', timeAdded })),
    ...noExecute.filter((key) => !has(key, 'NoExecute')).map((key) => ({ key, effect: 'NoExecute', timeAdded })),
  ];
  if (added.length === 0 && kept.length === current.length) return undefined;
  return [...kept, ...added];
}

/** The conditions of a node whose kubelet has not been heard of for too long, or undefined when they say so already. */
export function silentConditions(node: V1Node, nowMs: number): readonly V1NodeCondition[] | undefined {
  const conditions = [...(node.status?.conditions ?? [])];
  const now = apiTime(nowMs);
  let changed = false;
  for (const type of ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure']) {
    const at = conditions.findIndex((condition) => condition.type === type);
    const current = conditions[at];
    if (current === undefined) {
      const created = node.metadata?.creationTimestamp;
      conditions.push({
        type,
        status: 'Unknown',
        reason: 'NodeStatusNeverUpdated',
        message: 'Kubelet never posted node status.',
        ...(created === undefined ? {} : { lastHeartbeatTime: created }),
        lastTransitionTime: now,
      });
      changed = true;
    } else if (current.status !== 'Unknown') {
      conditions[at] = {
        ...current,
        status: 'Unknown',
        reason: 'NodeStatusUnknown',
        message: 'Kubelet stopped posting node status.',
        lastTransitionTime: now,
      };
      changed = true;
    }
  }
  return changed ? conditions : undefined;
}
