/**
 * Gives pods without a node one that is ready and has room. Decisions are made one pod at a time on the scheduler's own picture of the
 * cluster, in which a chosen pod counts at once; bindings are written in parallel. Identity: `system:kube-scheduler`.
 *
 * A pod that fits nowhere takes the place of pods of lower priority, which are deleted; until they have gone, nothing less important gets it.
 *
 * Not supported: volumes that need binding, dynamic resource claims; a pod that needs them stays pending and its condition says why.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Namespace, V1Node, V1Pod, V1PodDisruptionBudget } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { UserInfo } from '@coffer/base/http/handler';
import { SeriesRecorder } from '@coffer/client/events/series-recorder';
import { keyOf, nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { apiTime } from '@coffer/client/rest/api-time';
import { NAMESPACES, NODES, POD_DISRUPTION_BUDGETS, PODS } from '@coffer/client/rest/well-known';
import type { LoopDeps } from '../common/loop-deps.ts';
import { podCondition } from '../common/pods.ts';
import type { FilterResult } from './filters.ts';
import { NodeFilters } from './filters.ts';
import { fitMessage, NEVER_PREEMPTS, NO_NODES, NOT_HELPFUL, VICTIMS_ENDING } from './fit-error.ts';
import { NodeState } from './node-state.ts';
import { Nominations } from './nominations.ts';
import { choosePreemption, type Preemption, priorityOf } from './preemption.ts';
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
  readonly #nominations = new Nominations();
  #namespaceOf: (name: string) => V1Namespace | undefined = () => undefined;
  #budgets: () => readonly V1PodDisruptionBudget[] = () => [];
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
    const budgets = informers.informer(POD_DISRUPTION_BUDGETS);
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
    this.#budgets = () => budgets.list();
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
    else if (this.#isOurs(pod)) {
      this.#nominations.observe(undefined, pod);
      this.#queue.add(pod);
    }
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
      this.#nominations.remove(keyOf(pod));
    } else if (this.#places.get(keyOf(pod))?.assumed !== true) {
      this.#nominations.observe(old, pod);
      // A change of the status alone is mostly our own report.
      const same = equalJson(old.spec, pod.spec) && equalJson(old.metadata?.labels, pod.metadata?.labels);
      if (same) this.#queue.add(pod);
      else this.#queue.update(pod);
    }
  }

  #podDeleted(pod: V1Pod): void {
    this.#queue.remove(keyOf(pod));
    this.#nominations.remove(keyOf(pod));
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
    this.#nominations.remove(key);
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
    if (claim !== undefined) {
      const text = `persistentvolumeclaim "${claim.claimName}" not found`;
      const preemption = neverPreempts(pod) ? NEVER_PREEMPTS : known.map(() => [NOT_HELPFUL]);
      this.#reject(pod, fitMessage(known.length, text, preemption));
      return;
    }
    const filters = new NodeFilters(pod, { nodes: known, namespace: this.#namespaceOf });
    const candidates: Candidate[] = [];
    const failures: Failure[] = [];
    for (const state of known) {
      const { node } = state;
      if (node === undefined) continue;
      const result = filters.check(state, node) ?? this.#besideNominated(pod, state, known);
      if (result === undefined) candidates.push({ state, node });
      else failures.push({ state, result });
    }
    const wanted = this.#nominations.get(pod)?.node;
    const best = candidates.find(({ state }) => state.name === wanted) ?? bestNode(pod, candidates);
    if (best === undefined) this.#preempt(pod, failures, known);
    else void this.#bind(pod, best.state.name);
  }

  /** Whether the pod fits when the pods that go before it have what is being made free for them. */
  #besideNominated(pod: V1Pod, state: NodeState, known: readonly NodeState[]): FilterResult | undefined {
    const nominated = this.#nominations.before(pod, state.name);
    if (nominated.length === 0 || state.node === undefined) return undefined;
    for (const other of nominated) state.addPod(other);
    try {
      return new NodeFilters(pod, { nodes: known, namespace: this.#namespaceOf }).check(state, state.node);
    } finally {
      for (const other of nominated) state.removePod(keyOf(other));
    }
  }

  /** The pod fits nowhere: less important ones go for it, or it has to wait. */
  #preempt(pod: V1Pod, failures: readonly Failure[], known: readonly NodeState[]): void {
    const results = failures.map(({ result }) => result);
    const reject = (preemption: Parameters<typeof fitMessage>[2], nominated?: string) =>
      this.#reject(pod, fitMessage(failures.length, results, preemption), nominated);
    if (neverPreempts(pod)) {
      reject(NEVER_PREEMPTS);
      return;
    }
    const helpful = failures.filter(({ result }) => result.resolvable).map(({ state }) => state);
    if (helpful.some((state) => this.#victimsLeave(pod, state))) {
      reject(VICTIMS_ENDING);
      return;
    }
    const context = { nodes: known, namespace: this.#namespaceOf };
    const fits = (state: NodeState): FilterResult | undefined =>
      state.node && (new NodeFilters(pod, context).check(state, state.node) ?? this.#besideNominated(pod, state, known));
    const chosen = choosePreemption({ pod, states: helpful, fits, budgets: this.#budgets() });
    if ('failures' in chosen) {
      this.#nominations.remove(keyOf(pod));
      reject(
        failures.map(({ state }) => chosen.failures.get(state.name) ?? [NOT_HELPFUL]),
        '',
      );
      return;
    }
    this.#nominations.set(pod, chosen.node, new Set(chosen.victims.map(uidOf)));
    reject(undefined, chosen.node);
    void this.#makeRoom(pod, chosen);
  }

  /** Room is being made there for the pod already. */
  #victimsLeave(pod: V1Pod, state: NodeState): boolean {
    const nomination = this.#nominations.get(pod);
    if (nomination?.node !== state.name) return false;
    return [...state.pods.values()].some((other) => {
      const ending = other.metadata?.deletionTimestamp !== undefined && podCondition(other, 'DisruptionTarget')?.reason === PREEMPTED;
      return priorityOf(other) < priorityOf(pod) && (ending || nomination.victims.has(uidOf(other)));
    });
  }

  async #makeRoom(pod: V1Pod, { node, victims }: Preemption): Promise<void> {
    for (const other of this.#nominations.behind(pod, node)) {
      this.#nominations.remove(keyOf(other));
      const patch = { metadata: { uid: uidOf(other) }, status: { nominatedNodeName: null } };
      await this.#patchStatus(other, patch).catch((error: unknown) =>
        this.#complain(other, 'the nomination of a pod could not be ended', error),
      );
    }
    await Promise.all(
      victims.map((victim) =>
        this.#remove(pod, victim, node).catch((error: unknown) => {
          this.#complain(victim, 'a pod could not be removed for a more important one', error);
          // What stays is not waited for: the next attempt decides anew.
          this.#nominations.remove(keyOf(pod));
          this.#queue.clusterChanged();
        }),
      ),
    );
  }

  async #remove(pod: V1Pod, victim: V1Pod, node: string): Promise<void> {
    if (victim.metadata?.deletionTimestamp !== undefined) return;
    const condition = {
      type: 'DisruptionTarget',
      status: 'True',
      reason: PREEMPTED,
      message: `${SCHEDULER_NAME}: preempting to accommodate a higher priority pod`,
      lastTransitionTime: apiTime(this.#deps.clock.now()),
      ...observedGeneration(victim),
    };
    try {
      await this.#patchStatus(victim, { metadata: { uid: uidOf(victim) }, status: { conditions: [condition] } });
      const scope = { namespace: namespaceOf(victim), signal: this.#signal, body: { preconditions: { uid: uidOf(victim) } } };
      await this.#deps.api.resource(PODS).delete(nameOf(victim), scope);
    } catch (error) {
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
    }
    this.#record(victim, 'Normal', 'Preempted', 'Preempting', `Preempted by pod ${uidOf(pod)} on node ${node}`);
  }

  async #patchStatus(pod: V1Pod, patch: object): Promise<void> {
    const scope = { namespace: namespaceOf(pod), subresource: 'status', signal: this.#signal };
    await this.#deps.api.resource(PODS).patch(nameOf(pod), 'strategic', patch, scope);
  }

  #complain(pod: V1Pod, message: string, error: unknown): void {
    if (!this.#signal.aborted && !isReason(error, 'NotFound')) this.#deps.logger.warn(message, { pod: keyOf(pod), err: error });
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

  /** `nominated` is the node where room is made for the pod, `''` that there is none any more. */
  #reject(pod: V1Pod, message: string, nominated?: string): void {
    this.#record(pod, 'Warning', 'FailedScheduling', 'Scheduling', message);
    this.#queue.failed(keyOf(pod), { retrySoon: false });
    this.#writeCondition(pod, message, nominated).catch((error: unknown) => {
      this.#complain(pod, 'the condition of a pod could not be written', error);
    });
  }

  async #writeCondition(pod: V1Pod, message: string, nominated: string | undefined): Promise<void> {
    const current = podCondition(pod, 'PodScheduled');
    const renamed = nominated !== undefined && nominated !== (pod.status?.nominatedNodeName ?? '');
    if (!renamed && current?.status === 'False' && current.reason === 'Unschedulable' && current.message === message) return;
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastProbeTime: null,
      lastTransitionTime: current?.status === 'False' ? current.lastTransitionTime : apiTime(this.#deps.clock.now()),
      ...observedGeneration(pod),
    };
    const status = { conditions: [condition], ...(renamed ? { nominatedNodeName: nominated || null } : {}) };
    await this.#patchStatus(pod, { metadata: { uid: uidOf(pod) }, status });
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

interface Failure {
  readonly state: NodeState;
  readonly result: FilterResult;
}

const PREEMPTED = 'PreemptionByScheduler';

function neverPreempts(pod: V1Pod): boolean {
  return pod.spec?.preemptionPolicy === 'Never';
}

function observedGeneration(pod: V1Pod): { readonly observedGeneration?: number } {
  const generation = pod.metadata?.generation;
  return generation === undefined ? {} : { observedGeneration: generation };
}
