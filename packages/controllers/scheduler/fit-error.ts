/** The message of a pod that fits nowhere. */
import type { V1Pod } from '@coffer/api/generated/types';
import type { FilterResult } from './filters.ts';

export const NO_NODES = 'no nodes available to schedule pods';

/** Counts the reasons over all nodes. `perNode` has one entry per node; `wholePod` is a reason that no node could help. */
export function fitMessage(pod: V1Pod, perNode: readonly FilterResult[], wholePod?: string): string {
  const available = `0/${perNode.length} nodes are available`;
  const texts = wholePod ?? histogram(perNode.flatMap((result) => result.reasons));
  const preemption = perNode.map((result) =>
    result.resolvable && wholePod === undefined
      ? 'No preemption victims found for incoming pod'
      : 'Preemption is not helpful for scheduling',
  );
  const second =
    pod.spec?.preemptionPolicy === 'Never' ? 'not eligible due to preemptionPolicy=Never.' : `${available}: ${histogram(preemption)}.`;
  return `${available}: ${texts}. no new claims to deallocate, preemption: ${second}`;
}

function histogram(reasons: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts]
    .map(([reason, count]) => `${count} ${reason}`)
    .sort()
    .join(', ');
}
