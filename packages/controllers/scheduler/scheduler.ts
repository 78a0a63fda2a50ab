/**
 * Gives pods without a node one that is ready and has room. Decisions are made one pod at a time on the scheduler's own picture of the
 * cluster, in which a chosen pod counts at once; bindings are written in parallel. Identity: `system:kube-scheduler`.
 *
 * Not supported: preemption of running pods, volumes that need binding, dynamic resource claims; a pod that needs them stays pending and
 * its condition says why.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Namespace, V1Node, V1Pod } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { UserInfo } from '@coffer/base/http/handler';
import { SeriesRecorder } from '@coffer/client/events/series-recorder';
import { keyOf, nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { apiTime } from '@coffer/client/rest/api-time';
import { NAMESPACES, NODES, PODS } from '@coffer/client/rest/well-known';
import type { LoopDeps } from '../common/loop-deps.ts';
import { podCondition } from '../common/pods.ts';
import type { FilterResult } from './filters.ts';
import { NodeFilters } from './filters.ts';
import { fitMessage, NO_NODES } from './fit-error.ts';
import { NodeState } from './node-state.ts';
import { SchedulingQueue } from './scheduling-queue.ts';
import type { Candidate } from './scoring.ts';
import { bestNode } from './scoring.ts';

export const SCHEDULER_IDENTITY: UserInfo = { name: 'system:kube-scheduler', groups: ['system:authenticated'] };
const SCHEDULER_NAME = 'default-scheduler';
/** How long one turn may take before other work gets its turn. */
const TURN_MS = 5;

export interface SchedulerOptions {
  /** Host name in the events' `reportingInstance`. */
  readonly host: string;
}

/** Runs the scheduler until the signal is aborted. */
export async function runScheduler(deps: LoopDeps, options: SchedulerOptions, signal: AbortSignal): Promise<void> {
  await new Scheduler(deps, options, signal).run();
}

class Scheduler {
  readonly #deps: LoopDeps;
  readonly #signal: AbortSignal;
  readonly #queue: SchedulingQueue;
  readonly #events: SeriesRecorder;
  readonly #nodes = new Map<string, NodeState>();
  /** Node of every pod that has or will have one, by key. */
  readonly #places = new Map<string, { readonly node: string; readonly uid: string; readonly assumed: boolean }>();
  #namespaceOf: (name: string) => V1Namespace | undefined = () => undefined;
  #draining = false;
  #ready = false;

  constructor(deps: LoopDeps, options: SchedulerOptions, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#queue = new SchedulingQueue(deps.clock, () => this.#drainSoon());
    const instance = `${SCHEDULER_NAME}-${options.host}`;
    this.#events = new SeriesRecorder(
      { api: deps.api, clock: deps.clock, logger: deps.logger, controller: SCHEDULER_NAME, instance },
      signal,
    );
  }

  async run(): Promise<void> {
    const { informers } = this.#deps;
    const nodes = informers.informer(NODES);
    const pods = informers.informer(PODS, { fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' });
    const namespaces = informers.informer(NAMESPACES);
    nodes.addHandler({
      onAdd: (node) => this.#nodeChanged(undefined, node),
      onUpdate: (old, node) => this.#nodeChanged(old, node),
      onDelete: (node) => this.#nodeDeleted(node),
    });
    pods.addHandler({
      onAdd: (pod) => this.#podAdded(pod),
      onUpdate: (old, pod) => this.#podUpdated(old, pod),
      onDelete: (pod) => this.#podDeleted(pod),
    });
    this.#namespaceOf = (name) => namespaces.get(name);
    await informers.whenSynced(this.#signal).catch(() => undefined);
    this.#ready = true;
    this.#drainSoon();
    await new Promise<void>((resolve) => {
      if (this.#signal.aborted) resolve();
      else this.#signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#queue.stop();
  }

  #state(name: string): NodeState {
    const state = this.#nodes.get(name) ?? new NodeState(name);
    this.#nodes.set(name, state);
    return state;
  }

  #nodeChanged(old: V1Node | undefined, node: V1Node): void {
    const state = this.#state(nameOf(node));
    const before = state.taints;
    state.setNode(node);
    const matters =
      old === undefined ||
      !equalJson(old.spec, node.spec) ||
      !equalJson(before, state.taints) ||
      !equalJson(old.metadata?.labels, node.metadata?.labels) ||
      !equalJson(old.status?.allocatable, node.status?.allocatable);
    if (matters) this.#queue.clusterChanged();
  }

  #nodeDeleted(node: V1Node): void {
    const state = this.#nodes.get(nameOf(node));
    state?.setNode(undefined);
    if (state?.pods.size === 0) this.#nodes.delete(nameOf(node));
  }

  #podAdded(pod: V1Pod): void {
    const node = pod.spec?.nodeName ?? '';
    if (node !== '') this.#place(pod, node, false);
    else if (this.#isOurs(pod)) this.#queue.add(pod);
  }

  #podUpdated(old: V1Pod, pod: V1Pod): void {
    const node = pod.spec?.nodeName ?? '';
    if (node !== '') {
      this.#queue.remove(keyOf(pod));
      const freed = !equalJson(old.spec?.containers, pod.spec?.containers) || !equalJson(old.metadata?.labels, pod.metadata?.labels);
      this.#place(pod, node, false);
      if (freed) this.#queue.clusterChanged();
    } else if (!this.#isOurs(pod)) {
      this.#queue.remove(keyOf(pod));
    } else if (this.#places.get(keyOf(pod))?.assumed !== true) {
      // A change of the status alone is mostly our own report.
      const same = equalJson(old.spec, pod.spec) && equalJson(old.metadata?.labels, pod.metadata?.labels);
      if (same) this.#queue.add(pod);
      else this.#queue.update(pod);
    }
  }

  #podDeleted(pod: V1Pod): void {
    this.#queue.remove(keyOf(pod));
    if (this.#places.has(keyOf(pod))) {
      this.#unplace(keyOf(pod));
      this.#queue.clusterChanged();
    }
  }

  #isOurs(pod: V1Pod): boolean {
    return (
      (pod.spec?.schedulerName ?? SCHEDULER_NAME) === SCHEDULER_NAME &&
      pod.metadata?.deletionTimestamp === undefined &&
      (pod.spec?.schedulingGates ?? []).length === 0
    );
  }

  #place(pod: V1Pod, node: string, assumed: boolean): void {
    const key = keyOf(pod);
    const known = this.#places.get(key);
    if (known !== undefined && known.node !== node) this.#unplace(key);
    this.#places.set(key, { node, uid: uidOf(pod), assumed });
    this.#state(node).addPod(pod);
  }

  #unplace(key: string): void {
    const place = this.#places.get(key);
    if (place === undefined) return;
    this.#places.delete(key);
    const state = this.#nodes.get(place.node);
    state?.removePod(key);
    if (state !== undefined && state.node === undefined && state.pods.size === 0) this.#nodes.delete(place.node);
  }

  #drainSoon(): void {
    if (this.#draining || !this.#ready) return;
    this.#draining = true;
    setImmediate(() => this.#drain());
  }

  /** Works on active pods for a short turn, then lets others run. */
  #drain(): void {
    this.#draining = false;
    const endMs = this.#deps.clock.monotonicMs() + TURN_MS;
    for (;;) {
      if (this.#signal.aborted) return;
      const pod = this.#queue.take();
      if (pod === undefined) return;
      this.#schedule(pod);
      if (this.#deps.clock.monotonicMs() > endMs) {
        this.#drainSoon();
        return;
      }
    }
  }

  #schedule(pod: V1Pod): void {
    const known = [...this.#nodes.values()].filter((state) => state.node !== undefined);
    if (known.length === 0) {
      this.#reject(pod, NO_NODES);
      return;
    }
    const claim = pod.spec?.volumes?.find((volume) => volume.persistentVolumeClaim !== undefined)?.persistentVolumeClaim;
    const nothing: FilterResult = { reasons: [], resolvable: false };
    if (claim !== undefined) {
      this.#reject(
        pod,
        fitMessage(
          pod,
          known.map(() => nothing),
          `persistentvolumeclaim "${claim.claimName}" not found`,
        ),
      );
      return;
    }
    const filters = new NodeFilters(pod, { nodes: known, namespace: this.#namespaceOf });
    const candidates: Candidate[] = [];
    const failures: FilterResult[] = [];
    for (const state of known) {
      const { node } = state;
      if (node === undefined) continue;
      const failure = filters.check(state, node);
      if (failure === undefined) candidates.push({ state, node });
      else failures.push(failure);
    }
    const best = bestNode(pod, candidates);
    if (best === undefined) this.#reject(pod, fitMessage(pod, failures));
    else void this.#bind(pod, best.state.name);
  }

  async #bind(pod: V1Pod, node: string): Promise<void> {
    const key = keyOf(pod);
    this.#place(pod, node, true);
    try {
      const binding = {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name: nameOf(pod), namespace: namespaceOf(pod), uid: uidOf(pod) },
        target: { kind: 'Node', name: node },
      };
      const scope = { namespace: namespaceOf(pod), name: nameOf(pod), subresource: 'binding', signal: this.#signal };
      await this.#deps.api.resource(PODS).create(binding, scope);
      this.#queue.remove(key);
      this.#record(pod, 'Normal', 'Scheduled', 'Binding', `Successfully assigned ${namespaceOf(pod)}/${nameOf(pod)} to ${node}`);
    } catch (error) {
      if (this.#signal.aborted) return;
      const place = this.#places.get(key);
      if (place?.assumed === true && place.uid === uidOf(pod)) this.#unplace(key);
      if (isReason(error, 'NotFound')) {
        this.#queue.remove(key);
        return;
      }
      this.#deps.logger.warn('a pod could not be bound, trying again', { pod: key, node, err: error });
      const message = error instanceof Error ? error.message : String(error);
      this.#record(pod, 'Warning', 'FailedScheduling', 'Scheduling', `running Bind plugin "DefaultBinder": ${message}`);
      this.#queue.failed(key, { retrySoon: true });
    }
  }

  #reject(pod: V1Pod, message: string): void {
    this.#record(pod, 'Warning', 'FailedScheduling', 'Scheduling', message);
    this.#queue.failed(keyOf(pod), { retrySoon: false });
    this.#writeCondition(pod, message).catch((error: unknown) => {
      if (!this.#signal.aborted && !isReason(error, 'NotFound')) {
        this.#deps.logger.warn('the condition of a pod could not be written', { pod: keyOf(pod), err: error });
      }
    });
  }

  async #writeCondition(pod: V1Pod, message: string): Promise<void> {
    const current = podCondition(pod, 'PodScheduled');
    if (current?.status === 'False' && current.reason === 'Unschedulable' && current.message === message) return;
    const generation = pod.metadata?.generation;
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastProbeTime: null,
      lastTransitionTime: current?.status === 'False' ? current.lastTransitionTime : apiTime(this.#deps.clock.now()),
      ...(generation === undefined ? {} : { observedGeneration: generation }),
    };
    const patch = { metadata: { uid: uidOf(pod) }, status: { conditions: [condition] } };
    const scope = { namespace: namespaceOf(pod), subresource: 'status', signal: this.#signal };
    await this.#deps.api.resource(PODS).patch(nameOf(pod), 'strategic', patch, scope);
  }

  #record(pod: V1Pod, type: 'Normal' | 'Warning', reason: string, action: string, note: string): void {
    const regarding = {
      kind: 'Pod',
      apiVersion: 'v1',
      namespace: namespaceOf(pod),
      name: nameOf(pod),
      uid: uidOf(pod),
      resourceVersion: pod.metadata?.resourceVersion ?? '',
    };
    this.#events.record({ regarding, type, reason, action, note });
  }
}
