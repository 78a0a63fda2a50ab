/**
 * When what the endpoints of a service follow last changed: its creation, and the readiness of its pods. Consumers measure by it how long a
 * change took to reach them. One of these per loop; it remembers what it saw of every service until that is forgotten.
 */
import type { V1Pod, V1Service } from '@coffer/api/generated/types';
import { keyOf, nameOf } from '@coffer/client/rest/api-object';
import { apiTime, parseApiTime } from '@coffer/client/rest/api-time';
import { podCondition } from '../common/pods.ts';

export const LAST_CHANGE = 'endpoints.kubernetes.io/last-change-trigger-time';

interface Seen {
  readonly serviceMs: number;
  readonly podsMs: ReadonlyMap<string, number>;
}

export class TriggerTimes {
  readonly #seen = new Map<string, Seen>();

  /** The annotation that says since when something is new; none when nothing is. Asked at every look at the service. */
  annotation(service: V1Service, pods: readonly V1Pod[]): Record<string, string> {
    const before = this.#seen.get(keyOf(service));
    const serviceMs = parseApiTime(service.metadata?.creationTimestamp) ?? 0;
    const changesMs = before !== undefined && serviceMs > before.serviceMs ? [serviceMs] : [];
    const podsMs = new Map<string, number>();
    for (const pod of pods) {
      const readyMs = parseApiTime(podCondition(pod, 'Ready')?.lastTransitionTime);
      if (readyMs === undefined) continue;
      podsMs.set(nameOf(pod), readyMs);
      if (readyMs > (before?.podsMs.get(nameOf(pod)) ?? 0)) changesMs.push(readyMs);
    }
    this.#seen.set(keyOf(service), { serviceMs, podsMs });
    const sinceMs = before === undefined ? serviceMs : Math.min(...changesMs);
    return Number.isFinite(sinceMs) && sinceMs > 0 ? { [LAST_CHANGE]: apiTime(sinceMs) } : {};
  }

  forget(key: string): void {
    this.#seen.delete(key);
  }
}
