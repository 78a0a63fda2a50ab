import { setImmediate } from 'node:timers/promises';
import { quoteGo } from '@coffer/api/errors/field-error';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore, StoredObject } from '@coffer/storage/store/store';
import { type PodSecurityEvaluator, reasonsText } from './evaluate.ts';
import { podToCheck } from './pod-changes.ts';
import { formatLevelVersion, type LevelVersion } from './policy.ts';

/** Upstream's bounds of how much a change of labels may look at. */
const maxPods = 3000;
const maxDurationMs = 1000;
/** Pods per turn of the event loop. */
const podsPerTurn = 25;

export interface ExistingPodsDeps {
  readonly pods: Pick<ResourceStore, 'list'>;
  readonly evaluator: PodSecurityEvaluator;
  readonly clock: Pick<Clock, 'now'>;
}

/** Warnings about the pods of a namespace that violate what it is going to enforce. They are not touched. */
export async function existingPodWarnings(deps: ExistingPodsDeps, namespace: string, enforce: LevelVersion): Promise<string[]> {
  const deadlineMs = deps.clock.now() + maxDurationMs;
  const { items } = await deps.pods.list({ namespace });
  const byReasons = new Map<string, { first: string; count: number }>();
  const pods = onePerOwnerFirst(items);
  let checked = 0;
  for (const stored of pods.slice(0, maxPods)) {
    if (checked > 0 && checked % podsPerTurn === 0) await setImmediate();
    const reasons = reasonsText(deps.evaluator.evaluate(enforce, podToCheck(stored.peek())));
    const seen = byReasons.get(reasons);
    if (reasons !== '' && seen === undefined) byReasons.set(reasons, { first: stored.name, count: 1 });
    else if (seen !== undefined) {
      seen.count++;
      if (stored.name < seen.first) seen.first = stored.name;
    }
    checked++;
    if (deps.clock.now() >= deadlineMs) break;
  }
  return [
    ...(checked < pods.length
      ? [`new PodSecurity enforce level only checked against the first ${checked} of ${pods.length} existing pods`]
      : []),
    ...(byReasons.size > 0
      ? [
          `existing pods in namespace ${quoteGo(namespace)} violate the new PodSecurity enforce level ${quoteGo(formatLevelVersion(enforce))}`,
        ]
      : []),
    ...[...byReasons].map(([reasons, { first, count }]) => `${first}${othersText(count - 1)}: ${reasons}`).sort(),
  ];
}

function othersText(count: number): string {
  if (count === 0) return '';
  return count === 1 ? ' (and 1 other pod)' : ` (and ${count} other pods)`;
}

/** Pods of one owner are alike: its further ones come last, in case not all can be looked at. */
function onePerOwnerFirst(pods: readonly StoredObject[]): readonly StoredObject[] {
  const owners = new Set<string>();
  const first: StoredObject[] = [];
  const further: StoredObject[] = [];
  for (const pod of pods) {
    const owner = pod.ownerUids.join();
    (owners.has(owner) ? further : first).push(pod);
    if (owner !== '') owners.add(owner);
  }
  return [...first, ...further];
}
