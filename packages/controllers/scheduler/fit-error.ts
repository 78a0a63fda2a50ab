/** The message of a pod that fits nowhere. */
import type { FilterResult } from './filters.ts';

export const NO_NODES = 'no nodes available to schedule pods';

export const NOT_HELPFUL = 'Preemption is not helpful for scheduling';
export const NEVER_PREEMPTS = 'not eligible due to preemptionPolicy=Never.';
export const VICTIMS_ENDING = 'not eligible due to a terminating pod on the nominated node.';

/**
 * Counts the reasons over all nodes. `perNode` has one entry per node, or is a reason that no node could help. `preemption` says why no pods
 * can go for this one: the same for all nodes, or what each node says; undefined when some do.
 */
export function fitMessage(
  nodes: number,
  perNode: readonly FilterResult[] | string,
  preemption: string | readonly (readonly string[])[] | undefined,
): string {
  const available = `0/${nodes} nodes are available`;
  const texts = typeof perNode === 'string' ? perNode : histogram(perNode.flatMap((result) => result.reasons));
  const first = `${available}: ${texts}.`;
  if (preemption === undefined) return first;
  const second = typeof preemption === 'string' ? preemption : `${available}: ${histogram(preemption.flat())}.`;
  return `${first} no new claims to deallocate, preemption: ${second}`;
}

function histogram(reasons: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts]
    .map(([reason, count]) => `${count} ${reason}`)
    .sort()
    .join(', ');
}
