/**
 * Stops containers of a pod: preStop hook, then the runtime's stop within what is left of the grace period. Sidecars end after the
 * regular containers, the last one first, all within the same grace period. Resolves when everything has ended.
 */
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, ContainerStatus } from '@coffer/cri/runtime/container-runtime';
import type { PodReach } from '../probes/pod-reach.ts';
import { factsOf } from '../runtime/labels.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import { type Container, findContainer, isSidecar, type Pod } from '../types.ts';
import type { ContainerEvent } from './container-starter.ts';
import { runHook } from './hooks.ts';

export interface ContainerKillerDeps {
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly event: ContainerEvent;
  readonly reachOf: (pod: Pod) => PodReach;
}

const minimumGraceMs = 2000;

export class ContainerKiller {
  readonly #deps: ContainerKillerDeps;
  /** Of preStop hooks under way, by container: gives them less time. */
  readonly #hooks = new Map<string, (graceMs: number) => void>();

  constructor(deps: ContainerKillerDeps) {
    this.#deps = deps;
  }

  /** Stops one container. `graceMs` undefined means what pod and probes say. */
  async kill(pod: Pod, status: ContainerStatus, message: string, graceMs: number, waitFor?: Promise<unknown>): Promise<void> {
    const { runtime, cache, clock, event } = this.#deps;
    const found = findContainer(pod, status.name);
    const startedMs = clock.monotonicMs();
    if (found !== undefined) event(pod, found.kind, found.container, 'Normal', 'Killing', message);
    if (found?.container.lifecycle?.preStop !== undefined && status.state === 'running') await this.#preStop(pod, found, status, graceMs);
    // A sidecar serves the others to their end, but not longer than the pod has time.
    if (waitFor !== undefined) await this.#atMost(waitFor, graceMs - (clock.monotonicMs() - startedMs));
    const left = graceMs - (clock.monotonicMs() - startedMs);
    // However short the time, a container gets a moment to end by itself, unless none was asked for.
    await runtime.stopContainer(status.id, graceMs === 0 ? 0 : Math.max(left, Math.min(minimumGraceMs, graceMs)));
    await cache.refreshContainer(pod.metadata.uid, status.id);
  }

  /** Stops everything that runs in a pod. `onEnded` hears of every container that ended while others still run. */
  async killAll(pod: Pod, graceMs: number, onEnded?: () => Promise<unknown>): Promise<void> {
    const running = this.#deps.cache.get(pod.metadata.uid).containers.filter((status) => status.state !== 'exited');
    const order = (status: ContainerStatus) => (pod.spec.initContainers ?? []).findIndex((c) => c.name === status.name && isSidecar(c));
    const others = running.filter((status) => order(status) < 0);
    const sidecars = running.filter((status) => order(status) >= 0).sort((a, b) => order(b) - order(a));
    const failures: unknown[] = [];
    const stop = async (status: ContainerStatus, waitFor?: Promise<unknown>) => {
      try {
        await this.kill(pod, status, `Stopping container ${status.name}`, graceMs, waitFor);
        if (this.#deps.cache.get(pod.metadata.uid).containers.some(({ state }) => state === 'running')) await onEnded?.();
      } catch (error) {
        failures.push(error);
      }
    };
    const kills = others.map((status) => stop(status));
    for (const status of sidecars) kills.push(stop(status, Promise.all(kills)));
    await Promise.all(kills);
    if (failures.length > 0) throw new AggregateError(failures, 'containers could not be stopped');
  }

  /** Asks running containers again to end, sooner than they were told before. */
  hurry(uid: string, graceMs: number): void {
    for (const status of this.#deps.cache.get(uid).containers) {
      if (status.state === 'exited') continue;
      this.#hooks.get(status.id)?.(graceMs);
      this.#deps.runtime
        .stopContainer(status.id, graceMs)
        .catch((error: unknown) => this.#deps.logger.warn('a container could not be stopped', { containerId: status.id, err: error }));
    }
  }

  async #preStop(
    pod: Pod,
    found: { readonly kind: 'init' | 'regular' | 'ephemeral'; readonly container: Container },
    status: ContainerStatus,
    graceMs: number,
  ): Promise<void> {
    const hook = found.container.lifecycle?.preStop;
    if (hook === undefined || graceMs <= 0) return;
    const { clock } = this.#deps;
    const limit = new AbortController();
    const abortIn = (ms: number) => clock.setTimer(ms, () => limit.abort(new Error('the grace period is over')));
    const cancels = [abortIn(graceMs)];
    this.#hooks.set(status.id, (ms) => cancels.push(abortIn(ms)));
    try {
      await runHook(
        { ...this.#deps, warn: (reason, message) => this.#deps.event(pod, found.kind, found.container, 'Warning', reason, message) },
        hook,
        { pod, container: found.container, containerId: status.id, reach: this.#deps.reachOf(pod) },
        limit.signal,
      );
    } catch (error) {
      if (!limit.signal.aborted) this.#deps.event(pod, found.kind, found.container, 'Warning', 'FailedPreStopHook', 'PreStopHook failed');
      this.#deps.logger.info('a preStop hook failed', { pod: pod.metadata.name, container: status.name, err: error });
    } finally {
      this.#hooks.delete(status.id);
      for (const cancel of cancels) cancel();
    }
  }

  async #atMost(work: Promise<unknown>, limitMs: number): Promise<void> {
    const given = new AbortController();
    await Promise.race([work, this.#deps.clock.sleep(Math.max(0, limitMs), given.signal).catch(() => {})]);
    given.abort();
  }
}

/** Grace period for a container that is killed for itself: the failed probe's own one where it has it, else the pod's. */
export function containerGraceMs(pod: Pod, container: Container, failed: 'startup' | 'liveness' | undefined): number {
  const own = failed === undefined ? undefined : container[`${failed}Probe`]?.terminationGracePeriodSeconds;
  return (own ?? pod.spec.terminationGracePeriodSeconds ?? 30) * 1000;
}

/** The same from what the container itself remembers, for pods whose spec is gone. */
export function rememberedGraceMs(status: ContainerStatus): number {
  return factsOf(status).graceSeconds * 1000;
}
