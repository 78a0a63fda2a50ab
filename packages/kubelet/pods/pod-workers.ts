/**
 * One worker per pod: sync until the pod has to stop, then terminate, then clear up. Promises: at most one of these runs per pod at any
 * time; however often a pod is woken meanwhile, one more round follows; once stopping has begun there is no way back; a shorter grace
 * period that comes later counts at once.
 */
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { isTerminalPhase, type Pod } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';
import type { ContainerKiller } from './container-killer.ts';
import type { Verdict } from './pod-status.ts';
import type { PodState, PodSyncer } from './pod-syncer.ts';
import { type Claim, ResizeState } from './resizer.ts';
import { RestartState } from './whole-restart.ts';

export interface PodWorkersDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly syncer: Pick<PodSyncer, 'sync' | 'terminate' | 'showProbes' | 'finish'>;
  readonly killer: Pick<ContainerKiller, 'hurry'>;
  /** Upper bound between two looks at a pod that nothing woke. */
  readonly syncFrequencyMs: number;
  /** A stopped pod that nobody wants any more: remove what is left of it. */
  readonly onGone: (pod: Pod) => Promise<void>;
  /** All is done for such a pod: one with the same UID would be a new one from now on. */
  readonly onForgotten: (pod: Pod) => void;
  readonly onError: (pod: Pod, error: unknown) => void;
}

type Phase = 'syncing' | 'terminating' | 'finishing' | 'finished';

interface Worker {
  readonly state: PodState;
  phase: Phase;
  /** Nobody wants the pod any more. */
  removed: boolean;
  graceMs: number | undefined;
  dirty: boolean;
  running: Promise<void> | undefined;
  cancelTimer: (() => void) | undefined;
  /** Aborted when the present sync should not start anything more. */
  sync: AbortController;
  failures: number;
}

const errorRetryMs = 1000;
const maxErrorRetryMs = 60_000;
const minimumGraceMs = 1000;

export class PodWorkers {
  readonly #deps: PodWorkersDeps;
  readonly #workers = new Map<string, Worker>();
  #stopped = false;

  constructor(deps: PodWorkersDeps) {
    this.#deps = deps;
  }

  /** Takes a new or changed pod from the API. */
  update(pod: Pod): void {
    const worker = this.#worker(pod);
    worker.state.pod = pod;
    if (pod.metadata.deletionTimestamp !== undefined) {
      this.#terminate(worker, (pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30) * 1000);
    } else if (isTerminalPhase(pod.status.phase)) this.#terminate(worker, undefined);
    this.#wake(worker);
  }

  /** Takes a pod whose change needs no work. */
  replace(pod: Pod): void {
    this.#worker(pod).state.pod = pod;
  }

  /** Nobody wants the pod any more: stop it, then remove everything. */
  remove(pod: Pod, graceMs = minimumGraceMs): void {
    const worker = this.#worker(pod);
    worker.removed = true;
    this.#terminate(worker, graceMs);
    this.#wake(worker);
  }

  /** Something happened to a pod: have another look. */
  wake(uid: string): void {
    const worker = this.#workers.get(uid);
    if (worker !== undefined) this.#wake(worker);
  }

  /** A probe has a new result, which shows even while the pod is being stopped. */
  probed(uid: string): void {
    const worker = this.#workers.get(uid);
    if (worker === undefined) return;
    if (worker.phase === 'terminating' && worker.running !== undefined) this.#deps.syncer.showProbes(worker.state);
    else this.#wake(worker);
  }

  /** A referenced object changed: pods that wait for something, or are about to, look again. */
  wakeIfWaiting(uid: string): void {
    const worker = this.#workers.get(uid);
    if (worker === undefined || worker.phase !== 'syncing') return;
    const waiting = worker.state.startFailures.size > 0 || worker.state.waitsForVolumes;
    if (waiting || worker.running !== undefined) this.#wake(worker);
  }

  /** Pods that are to run: not ended, and not on their way out. */
  active(): readonly Pod[] {
    return [...this.#workers.values()].filter((worker) => worker.phase === 'syncing').map((worker) => worker.state.pod);
  }

  pod(uid: string): Pod | undefined {
    return this.#workers.get(uid)?.state.pod;
  }

  /** Whether anything of that pod may still run. */
  mayRun(uid: string): boolean {
    const phase = this.#workers.get(uid)?.phase;
    return phase === 'syncing' || phase === 'terminating';
  }

  /** What takes up room on this node: pods that the API still has and of which something may run. */
  claims(): readonly Claim[] {
    return [...this.#workers.values()].flatMap(({ state, phase, removed }) =>
      removed || (phase !== 'syncing' && phase !== 'terminating')
        ? []
        : [{ pod: state.pod, resize: state.resize, ending: phase === 'terminating' }],
    );
  }

  pods(): readonly Pod[] {
    return [...this.#workers.values()].map((worker) => worker.state.pod);
  }

  /** The node does not take the pod: it fails without ever being started. */
  reject(pod: Pod, reason: string, message: string): void {
    this.#fail(pod, { reason, message, rejected: true }, undefined);
  }

  /** The pod has to go, sooner than its own grace period would let it. */
  evict(pod: Pod, message: string, disruption: boolean, graceMs: number): void {
    this.#fail(pod, { reason: 'Evicted', message, rejected: false, disruption }, graceMs);
  }

  #fail(pod: Pod, verdict: Verdict, graceMs: number | undefined): void {
    const worker = this.#worker(pod);
    worker.state.verdict = verdict;
    this.#terminate(worker, graceMs);
    this.#wake(worker);
  }

  /** Resolves when no worker is at work and none is about to be. */
  async whenIdle(): Promise<void> {
    for (;;) {
      const running = [...this.#workers.values()].flatMap((worker) => (worker.running === undefined ? [] : [worker.running]));
      if (running.length === 0) return;
      await Promise.all(running);
    }
  }

  /** Ends all activity without touching the pods. */
  stop(): void {
    this.#stopped = true;
    for (const worker of this.#workers.values()) {
      worker.cancelTimer?.();
      worker.sync.abort(new Error('the kubelet is stopping'));
    }
  }

  #worker(pod: Pod): Worker {
    const uid = pod.metadata.uid;
    let worker = this.#workers.get(uid);
    if (worker === undefined) {
      worker = {
        state: {
          uid,
          pod,
          startFailures: new Map(),
          startTries: new Map(),
          messages: new Map(),
          verdict: undefined,
          resize: new ResizeState(),
          restart: new RestartState(),
          waitsForVolumes: false,
          volumeTries: 0,
          sandboxTries: 0,
        },
        phase: 'syncing',
        removed: false,
        graceMs: undefined,
        dirty: false,
        running: undefined,
        cancelTimer: undefined,
        sync: new AbortController(),
        failures: 0,
      };
      this.#workers.set(uid, worker);
    }
    return worker;
  }

  #terminate(worker: Worker, graceMs: number | undefined): void {
    const wanted = graceMs === undefined ? undefined : Math.max(graceMs, minimumGraceMs);
    if (worker.phase === 'syncing') {
      worker.phase = 'terminating';
      worker.graceMs = wanted;
      worker.sync.abort(new Error('the pod is being stopped'));
    } else if (worker.phase === 'terminating' && wanted !== undefined && (worker.graceMs === undefined || wanted < worker.graceMs)) {
      worker.graceMs = wanted;
      if (worker.running !== undefined) this.#deps.killer.hurry(worker.state.uid, wanted);
    } else if (worker.phase === 'finished' && (worker.removed || worker.state.pod.metadata.deletionTimestamp !== undefined)) {
      worker.phase = 'finishing';
    }
  }

  #wake(worker: Worker): void {
    if (this.#stopped) return;
    worker.dirty = true;
    worker.cancelTimer?.();
    worker.cancelTimer = undefined;
    worker.running ??= this.#run(worker);
  }

  async #run(worker: Worker): Promise<void> {
    // Wakes of one moment are one round.
    await Promise.resolve();
    try {
      while (worker.dirty && !this.#stopped) {
        worker.dirty = false;
        try {
          const againInMs = await this.#round(worker);
          worker.failures = 0;
          if (againInMs === 0) worker.dirty = true;
          else if (againInMs !== undefined && !worker.dirty) this.#schedule(worker, againInMs);
        } catch (error) {
          if (this.#stopped) return;
          const delayMs = Math.min(maxErrorRetryMs, errorRetryMs * 2 ** worker.failures++);
          this.#deps.logger.warn('a pod could not be synced, trying again', {
            pod: worker.state.pod.metadata.name,
            namespace: worker.state.pod.metadata.namespace,
            phase: worker.phase,
            detail: messageOf(error),
            err: error,
          });
          this.#deps.onError(worker.state.pod, error);
          if (!worker.dirty) this.#schedule(worker, delayMs);
        }
      }
    } finally {
      // In the same turn as the last look at `dirty`: whoever wakes the pod later starts the next run.
      worker.running = undefined;
    }
  }

  /** Returns when to come again without being woken; 0 for at once, undefined for never. */
  async #round(worker: Worker): Promise<number | undefined> {
    const { syncer, syncFrequencyMs, onGone, onForgotten } = this.#deps;
    const { state } = worker;
    if (worker.phase === 'syncing') {
      const result = await syncer.sync(state, worker.sync.signal);
      if (result.terminal) this.#terminate(worker, undefined);
      if (this.#phaseOf(worker) === 'syncing') return Math.min(result.againInMs ?? syncFrequencyMs, syncFrequencyMs);
    }
    if (this.#phaseOf(worker) === 'terminating') {
      await syncer.terminate(state, worker.graceMs ?? (state.pod.spec.terminationGracePeriodSeconds ?? 30) * 1000);
      worker.phase = 'finishing';
    }
    if (this.#phaseOf(worker) === 'finishing') {
      if (!worker.removed) await syncer.finish(state);
      worker.phase = 'finished';
    }
    if (worker.removed && this.#workers.get(state.uid) === worker) {
      await onGone(state.pod);
      this.#workers.delete(state.uid);
      onForgotten(state.pod);
    }
    return undefined;
  }

  /** Read anew: other calls change it while a round waits. */
  #phaseOf(worker: Worker): Phase {
    return worker.phase;
  }

  #schedule(worker: Worker, delayMs: number): void {
    if (this.#stopped) return;
    worker.cancelTimer?.();
    worker.cancelTimer = this.#deps.clock.setTimer(delayMs, () => {
      worker.cancelTimer = undefined;
      this.#wake(worker);
    });
  }
}
