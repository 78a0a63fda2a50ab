/**
 * Pods that wait for a node. Active ones come out by priority, then by age. A pod that fitted nowhere waits until the cluster changes (or
 * five minutes have passed), and at least for its back-off, which doubles with every attempt.
 */
import type { V1Pod } from '@coffer/api/generated/types';
import { backoffDelayMs } from '@coffer/base/backoff';
import type { Clock } from '@coffer/base/time/clock';
import { keyOf } from '@coffer/client/rest/api-object';

interface Waiting {
  pod: V1Pod;
  readonly sequence: number;
  attempts: number;
  state: 'active' | 'unschedulable' | 'scheduling';
  failedAtMs: number;
  /** Something changed while the pod was being looked at. */
  moved: boolean;
}

const BACKOFF = { initialMs: 100, factor: 2, maxMs: 10_000, jitter: 0 };
const FLUSH_AFTER_MS = 5 * 60_000;

export class SchedulingQueue {
  readonly #clock: Clock;
  readonly #onActive: () => void;
  readonly #pods = new Map<string, Waiting>();
  readonly #timers = new Map<string, () => void>();
  #sequence = 0;

  /** `onActive` is called when a pod can be taken. */
  constructor(clock: Clock, onActive: () => void) {
    this.#clock = clock;
    this.#onActive = onActive;
  }

  add(pod: V1Pod): void {
    const key = keyOf(pod);
    const known = this.#pods.get(key);
    if (known !== undefined) {
      known.pod = pod;
      return;
    }
    this.#pods.set(key, { pod, sequence: this.#sequence++, attempts: 0, state: 'active', failedAtMs: 0, moved: false });
    this.#onActive();
  }

  /** The pod changed in a way that may make it schedulable. */
  update(pod: V1Pod): void {
    const known = this.#pods.get(keyOf(pod));
    if (known === undefined) {
      this.add(pod);
      return;
    }
    known.pod = pod;
    this.#wake(keyOf(pod), known);
  }

  remove(key: string): void {
    this.#pods.delete(key);
    this.#cancel(key);
  }

  get(key: string): V1Pod | undefined {
    return this.#pods.get(key)?.pod;
  }

  /** The next active pod; it is being looked at until `remove` or `failed`. */
  take(): V1Pod | undefined {
    let best: Waiting | undefined;
    for (const waiting of this.#pods.values()) {
      if (waiting.state !== 'active') continue;
      if (best === undefined || isBefore(waiting, best)) best = waiting;
    }
    if (best === undefined) return undefined;
    best.state = 'scheduling';
    best.attempts++;
    best.moved = false;
    return best.pod;
  }

  /** The pod fitted nowhere, or could not be bound. */
  failed(key: string, options: { readonly retrySoon: boolean }): void {
    const waiting = this.#pods.get(key);
    if (waiting === undefined) return;
    waiting.state = 'unschedulable';
    waiting.failedAtMs = this.#clock.monotonicMs();
    this.#schedule(key, FLUSH_AFTER_MS);
    if (options.retrySoon || waiting.moved) this.#wake(key, waiting);
  }

  /** The cluster changed: every waiting pod may fit now. */
  clusterChanged(): void {
    for (const [key, waiting] of this.#pods) this.#wake(key, waiting);
  }

  stop(): void {
    for (const key of this.#timers.keys()) this.#cancel(key);
    this.#pods.clear();
  }

  #wake(key: string, waiting: Waiting): void {
    if (waiting.state === 'scheduling') waiting.moved = true;
    if (waiting.state !== 'unschedulable') return;
    const dueMs = waiting.failedAtMs + backoffDelayMs(BACKOFF, waiting.attempts - 1);
    const delayMs = dueMs - this.#clock.monotonicMs();
    if (delayMs <= 0) this.#activate(key);
    else this.#schedule(key, delayMs);
  }

  #activate(key: string): void {
    this.#cancel(key);
    const waiting = this.#pods.get(key);
    if (waiting?.state !== 'unschedulable') return;
    waiting.state = 'active';
    this.#onActive();
  }

  #schedule(key: string, delayMs: number): void {
    this.#cancel(key);
    this.#timers.set(
      key,
      this.#clock.setTimer(delayMs, () => this.#activate(key)),
    );
  }

  #cancel(key: string): void {
    this.#timers.get(key)?.();
    this.#timers.delete(key);
  }
}

function isBefore(a: Waiting, b: Waiting): boolean {
  const priority = (b.pod.spec?.priority ?? 0) - (a.pod.spec?.priority ?? 0);
  return priority === 0 ? a.sequence < b.sequence : priority < 0;
}
