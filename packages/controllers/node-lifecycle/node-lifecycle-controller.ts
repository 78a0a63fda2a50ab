/**
 * Watches over nodes: a node whose kubelet renews neither its Lease nor its status is declared unknown, nodes get the taints of their
 * conditions, and pods that do not tolerate a `NoExecute` taint are evicted when their time has come. Identity: `node-controller`.
 * Silence is measured on this process's clock from the moment the last renewal was seen, so that a restart evicts nobody.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Lease, V1Node, V1Pod } from '@coffer/api/generated/types';
import type { Informer } from '@coffer/client/informer/informer';
import { nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { apiTime } from '@coffer/client/rest/api-time';
import { LEASES, NODES, PODS } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isPodTerminal, podCondition } from '../common/pods.ts';
import { silentConditions, wantedTaints } from './node-conditions.ts';
import { evictionTime } from './taint-eviction.ts';

export interface NodeLifecycleOptions {
  /** Silence after which a node is unknown. */
  readonly gracePeriodMs: number;
  readonly monitorPeriodMs: number;
}

interface Health {
  readonly uid: string;
  readonly leaseRenewal: string;
  readonly statusHeartbeat: string;
  readonly seenAtMs: number;
}

/** Runs the loop until the signal is aborted. */
export async function runNodeLifecycleController(deps: LoopDeps, options: NodeLifecycleOptions, signal: AbortSignal): Promise<void> {
  await new NodeLifecycleController(deps, options, signal).run();
}

class NodeLifecycleController {
  readonly #deps: LoopDeps;
  readonly #options: NodeLifecycleOptions;
  readonly #signal: AbortSignal;
  readonly #nodes: Informer<V1Node>;
  readonly #leases: Informer<V1Lease>;
  readonly #queue: WorkQueue;
  readonly #health = new Map<string, Health>();

  constructor(deps: LoopDeps, options: NodeLifecycleOptions, signal: AbortSignal) {
    this.#deps = deps;
    this.#options = options;
    this.#signal = signal;
    this.#nodes = deps.informers.informer(NODES);
    this.#leases = deps.informers.informer(LEASES, { namespace: 'kube-node-lease' });
    this.#queue = new WorkQueue(deps.clock);
  }

  async run(): Promise<void> {
    await this.#deps.informers.whenSynced(this.#signal).catch(() => undefined);
    const known = new Set(this.#nodes.list().map(uidOf));
    this.#nodes.addHandler({
      onAdd: (node) => {
        if (!known.has(uidOf(node)))
          this.#recordNode(node, 'RegisteredNode', `Node ${nameOf(node)} event: Registered Node ${nameOf(node)} in Controller`);
        this.#queue.add(nameOf(node));
      },
      onUpdate: (_old, node) => this.#queue.add(nameOf(node)),
      onDelete: (node) => {
        this.#health.delete(nameOf(node));
        this.#recordNode(node, 'RemovingNode', `Node ${nameOf(node)} event: Removing Node ${nameOf(node)} from Controller`);
      },
    });
    const work = this.#queue.run(4, (name) => this.#sync(name), this.#deps.logger, this.#signal);
    while (!this.#signal.aborted) {
      for (const node of this.#nodes.list()) this.#queue.add(nameOf(node));
      await this.#deps.clock.sleep(this.#options.monitorPeriodMs, this.#signal).catch(() => undefined);
    }
    await work;
  }

  async #sync(name: string): Promise<void> {
    let node = this.#nodes.get(name);
    if (node === undefined) return;
    try {
      node = await this.#checkSilence(node);
      node = await this.#taint(node);
    } catch (error) {
      if (isReason(error, 'NotFound')) return;
      throw error;
    }
    if ((node.spec?.taints ?? []).some((taint) => taint.effect === 'NoExecute')) await this.#evict(node);
  }

  async #checkSilence(node: V1Node): Promise<V1Node> {
    const { clock, api } = this.#deps;
    const lease = this.#leases.get(`kube-node-lease/${nameOf(node)}`);
    const leaseRenewal = lease?.spec?.renewTime ?? '';
    const statusHeartbeat = node.status?.conditions?.find((condition) => condition.type === 'Ready')?.lastHeartbeatTime ?? '';
    const before = this.#health.get(nameOf(node));
    const alive = before?.uid !== uidOf(node) || before.leaseRenewal !== leaseRenewal || before.statusHeartbeat !== statusHeartbeat;
    const seenAtMs = alive || before === undefined ? clock.monotonicMs() : before.seenAtMs;
    this.#health.set(nameOf(node), { uid: uidOf(node), leaseRenewal, statusHeartbeat, seenAtMs });
    if (clock.monotonicMs() - seenAtMs < this.#options.gracePeriodMs) return node;
    const conditions = silentConditions(node, clock.now());
    if (conditions === undefined) return node;
    const wasReady = node.status?.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True';
    const written = await api.resource(NODES).updateStatus({ ...node, status: { ...node.status, conditions } }, { signal: this.#signal });
    if (wasReady) {
      this.#recordNode(node, 'NodeNotReady', `Node ${nameOf(node)} status is now: NodeNotReady`);
      await this.#markPodsNotReady(node);
    }
    return written;
  }

  async #taint(node: V1Node): Promise<V1Node> {
    const taints = wantedTaints(node, this.#deps.clock.now());
    if (taints === undefined) return node;
    const revision = node.metadata?.resourceVersion;
    const patch = {
      metadata: { uid: uidOf(node), ...(revision === undefined ? {} : { resourceVersion: revision }) },
      spec: { taints: taints.length === 0 ? null : taints },
    };
    return this.#deps.api.resource(NODES).patch(nameOf(node), 'merge', patch, { signal: this.#signal });
  }

  async #evict(node: V1Node): Promise<void> {
    const nowMs = this.#deps.clock.now();
    for (const pod of await this.#podsOf(node)) {
      if (pod.metadata?.deletionTimestamp !== undefined) continue;
      const due = evictionTime(pod, node.spec?.taints ?? [], nowMs);
      if (due === 'never') continue;
      if (due > nowMs) this.#queue.addAfter(nameOf(node), due - nowMs);
      else await this.#evictPod(pod);
    }
  }

  async #evictPod(pod: V1Pod): Promise<void> {
    const scope = { namespace: namespaceOf(pod), signal: this.#signal };
    const pods = this.#deps.api.resource(PODS);
    this.#deps.events.record(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${namespaceOf(pod)}/${nameOf(pod)}`);
    try {
      if (!isPodTerminal(pod)) {
        const condition = {
          type: 'DisruptionTarget',
          status: 'True',
          reason: 'DeletionByTaintManager',
          message: 'Taint manager: deleting due to NoExecute taint',
          lastTransitionTime: apiTime(this.#deps.clock.now()),
        };
        await pods.patch(
          nameOf(pod),
          'strategic',
          { metadata: { uid: uidOf(pod) }, status: { conditions: [condition] } },
          { ...scope, subresource: 'status' },
        );
      }
      await pods.delete(nameOf(pod), { ...scope, body: { preconditions: { uid: uidOf(pod) } } });
    } catch (error) {
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
    }
  }

  async #markPodsNotReady(node: V1Node): Promise<void> {
    for (const pod of await this.#podsOf(node)) {
      if (podCondition(pod, 'Ready')?.status !== 'True') continue;
      const condition = { type: 'Ready', status: 'False', lastTransitionTime: apiTime(this.#deps.clock.now()) };
      const patch = { metadata: { uid: uidOf(pod) }, status: { conditions: [condition] } };
      try {
        await this.#deps.api
          .resource(PODS)
          .patch(nameOf(pod), 'strategic', patch, { namespace: namespaceOf(pod), subresource: 'status', signal: this.#signal });
        this.#deps.events.record(pod, 'Warning', 'NodeNotReady', 'Node is not ready');
      } catch (error) {
        if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
      }
    }
  }

  async #podsOf(node: V1Node): Promise<readonly V1Pod[]> {
    const result = await this.#deps.api
      .resource(PODS)
      .listAll({ fieldSelector: `spec.nodeName=${nameOf(node)}`, limit: 100, signal: this.#signal });
    return result.items;
  }

  #recordNode(node: V1Node, reason: string, message: string): void {
    this.#deps.events.record({ kind: 'Node', apiVersion: 'v1', name: nameOf(node), uid: uidOf(node) }, 'Normal', reason, message);
  }
}
