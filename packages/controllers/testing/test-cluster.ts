/** A cluster for unit tests of loops: the fake API, a clock moved by hand, and pods that become ready when told so. */
import type { V1Pod } from '@coffer/api/generated/types';
import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { EVENTS, PODS } from '@coffer/client/rest/well-known';
import { settle } from '@coffer/client/testing/eventually';
import { FakeApi } from '@coffer/client/testing/fake-api';
import { expect } from 'vitest';
import type { LoopDeps } from '../common/loop-deps.ts';
import { loopIdentity, makeLoopDeps } from '../common/loop-deps.ts';

export class TestCluster {
  readonly clock = new FakeClock(Date.UTC(2026, 0, 1));
  readonly api = new FakeApi(this.clock);
  readonly #stop = new AbortController();
  readonly #running: Promise<void>[] = [];

  /** Starts a loop under the identity of that name. */
  run(name: string, loop: (deps: LoopDeps, signal: AbortSignal) => Promise<void>): void {
    this.#running.push(loop(this.deps(name), this.#stop.signal));
  }

  deps(name: string): LoopDeps {
    const environment = { transportFor: () => this.api.transport(name), clock: this.clock, logger: silentLogger };
    return makeLoopDeps(environment, loopIdentity(name), name, this.#stop.signal);
  }

  /** Stops all loops; nothing may be left open. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the test is over'));
    await Promise.all(this.#running);
    await settle(5);
    expect(this.api.openWatches).toBe(0);
  }

  /** Lets the loops do all they can without time passing. */
  settle(): Promise<void> {
    return settle();
  }

  pods(namespace = 'default'): V1Pod[] {
    return this.api.all(PODS, namespace) as unknown as V1Pod[];
  }

  /** Says what a kubelet would about a pod that runs. */
  makeReady(pod: V1Pod, ready = true): void {
    const since = `${new Date(this.clock.now()).toISOString().slice(0, 19)}Z`;
    const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: since }];
    this.api.put(PODS, { ...pod, status: { ...pod.status, phase: 'Running', conditions } });
  }

  async makeAllReady(): Promise<void> {
    for (const pod of this.pods()) if (pod.metadata?.deletionTimestamp === undefined) this.makeReady(pod);
    await this.settle();
  }

  /** `Type Reason: message xCount` of all events, oldest first. */
  events(): string[] {
    return this.api.all(EVENTS).map((event) => {
      const count = event.count === 1 || event.count === undefined ? '' : ` x${JSON.stringify(event.count)}`;
      return `${String(event.type)} ${String(event.reason)}: ${String(event.message ?? event.note)}${count}`;
    });
  }
}
