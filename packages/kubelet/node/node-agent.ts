/**
 * Registers this node and keeps its Node object and Lease current. Promises: registration is retried until it works; the Lease is
 * renewed every 10 s; the status is sent when something in it changed and every 5 minutes anyway. What others advertise in the node's
 * capacity can be allocated.
 */
import { isReason } from '@coffer/api/errors/status-error';
import type { V1Node, V1NodeCondition, V1NodeStatus } from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';
import { equalJson, getOwn, isRecord } from '@coffer/api/meta/safe-object';
import { type BackoffOptions, backoffDelayMs } from '@coffer/base/backoff';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, RuntimeHandler } from '@coffer/cri/runtime/container-runtime';
import { type EventRecorder, type KubeletApi, resources } from '../deps.ts';
import type { PressureCondition } from '../eviction/pressure.ts';
import { extendedResources, type NodeFacts, nodeLabels, nodeStatus } from './node-status.ts';

export interface NodeAgentDeps {
  readonly api: KubeletApi;
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: EventRecorder;
  readonly facts: NodeFacts;
  /** What the node is short of, looked at anew. */
  readonly pressure: () => Promise<ReadonlySet<PressureCondition>>;
  /** Added to what the node says about itself. */
  readonly labels: Readonly<Record<string, string>>;
}

const retry: BackoffOptions = { initialMs: 100, factor: 2, maxMs: 7000 };
const leaseSeconds = 40;
const renewMs = 10_000;
const statusMs = 10_000;
const fullReportMs = 300_000;
const leaseNamespace = 'kube-node-lease';

export class NodeAgent {
  readonly #deps: NodeAgentDeps;
  #sent: V1NodeStatus | undefined;
  #handlers: readonly RuntimeHandler[] = [];
  #sentAtMs = 0;
  #lease: KubeObject | undefined;
  #node: KubeObject | undefined;

  constructor(deps: NodeAgentDeps) {
    this.#deps = deps;
  }

  /** UID of the Node object, once it is registered. */
  get nodeUid(): string | undefined {
    return this.#node?.metadata.uid;
  }

  /** The Node object as last read or written; a bare one before the node is registered. */
  get node(): V1Node {
    return this.#node ?? { metadata: { name: this.#deps.facts.nodeName } };
  }

  /** The Node object as it is now. */
  async readNode(): Promise<V1Node> {
    const { api, facts } = this.#deps;
    const node = await api.get({ resource: resources.nodes, namespace: undefined, name: facts.nodeName });
    this.#node = node;
    return node;
  }

  /** Handlers of the runtime, as of the last report. */
  get handlers(): readonly RuntimeHandler[] {
    return this.#handlers;
  }

  /** Records an event about this node. */
  event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    const name = this.#deps.facts.nodeName;
    this.#deps.events.event({ apiVersion: 'v1', kind: 'Node', namespace: '', name, uid: name }, type, reason, message);
  }

  /** Registers the node; resolves when the API has it, ready status included. */
  async register(signal: AbortSignal): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      signal.throwIfAborted();
      try {
        await this.#registerOnce(signal);
        await this.#reportStatus(signal);
        break;
      } catch (error) {
        if (signal.aborted) throw error;
        this.#deps.logger.warn('the node could not be registered, trying again', { node: this.#deps.facts.nodeName, err: error });
        await this.#deps.clock.sleep(backoffDelayMs(retry, attempt), signal);
      }
    }
    this.#announce();
  }

  /** Keeps Lease and status current until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#every(renewMs, signal, () => this.#renewLease(signal), 'the node lease could not be renewed', true),
      this.#every(statusMs, signal, () => this.#reportStatus(signal), 'the node status could not be sent', false),
    ]);
  }

  async #registerOnce(signal: AbortSignal): Promise<void> {
    const { api, facts, labels } = this.#deps;
    const name = facts.nodeName;
    const wanted = { ...nodeLabels(facts), ...labels };
    try {
      this.#node = await api.create(
        { resource: resources.nodes, namespace: undefined },
        { apiVersion: 'v1', kind: 'Node', metadata: { name, labels: wanted }, spec: {}, status: await this.#observe([]) },
        signal,
      );
    } catch (error) {
      if (!isReason(error, 'AlreadyExists')) throw error;
      this.#node = await api.get({ resource: resources.nodes, namespace: undefined, name }, signal);
      const missing = Object.entries(wanted).filter(([key, value]) => this.#node?.metadata.labels?.[key] !== value);
      if (missing.length === 0) return;
      const patch = { metadata: { labels: Object.fromEntries(missing) } };
      this.#node = await api.patch(
        { resource: resources.nodes, namespace: undefined, name },
        'application/strategic-merge-patch+json',
        patch,
        signal,
      );
    }
  }

  async #observe(previous: readonly V1NodeCondition[]): Promise<V1NodeStatus> {
    const { runtime, facts, clock, pressure } = this.#deps;
    const [status, images, short] = await Promise.all([runtime.status(), runtime.listImages().catch(() => []), pressure()]);
    this.#handlers = status.handlers;
    return nodeStatus(
      facts,
      {
        runtime: status,
        images,
        pressure: short,
        nowMs: clock.now(),
      },
      previous,
    );
  }

  async #reportStatus(signal: AbortSignal): Promise<void> {
    const { api, clock, facts } = this.#deps;
    const path = { resource: resources.nodes, namespace: undefined, name: facts.nodeName };
    try {
      this.#node = await api.get(path, signal);
      const known = isRecord(this.#node.status) ? (this.#node.status as V1NodeStatus) : {};
      const advertised = extendedResources(known.capacity);
      const observed = await this.#observe(this.#sent?.conditions ?? known.conditions ?? []);
      const status = { ...observed, allocatable: { ...observed.allocatable, ...advertised } };
      const withdrawn = Object.keys(extendedResources(known.allocatable)).filter((name) => getOwn(advertised, name) === undefined);
      const due = clock.now() - this.#sentAtMs >= fullReportMs;
      const same = this.#sent !== undefined && equalJson(withoutHeartbeats(this.#sent), withoutHeartbeats(status));
      if (same && !due && withdrawn.length === 0) return;
      const removed = Object.fromEntries(withdrawn.map((name) => [name, null]));
      // Addresses merge by type, of which there may be several: the list replaces the old one.
      const addresses = [...(status.addresses ?? []), { $patch: 'replace' }];
      const patch = { status: { ...status, allocatable: { ...status.allocatable, ...removed }, addresses } };
      this.#node = await api.patch({ ...path, subresource: 'status' }, 'application/strategic-merge-patch+json', patch, signal);
      this.#sent = status;
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      // Somebody deleted the Node object: a node that is alive comes back.
      this.#sent = undefined;
      await this.#registerOnce(signal);
      return;
    }
    this.#sentAtMs = clock.now();
  }

  async #renewLease(signal: AbortSignal): Promise<void> {
    const { api, clock, facts } = this.#deps;
    const name = facts.nodeName;
    const renewTime = new Date(clock.now()).toISOString().replace('Z', '000Z');
    const spec = { holderIdentity: name, leaseDurationSeconds: leaseSeconds, renewTime };
    const path = { resource: resources.leases, namespace: leaseNamespace, name };
    if (this.#lease === undefined) {
      const uid = this.#node?.metadata.uid;
      const owner = uid === undefined ? {} : { ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name, uid }] };
      try {
        this.#lease = await api.create(
          { resource: resources.leases, namespace: leaseNamespace },
          { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace: leaseNamespace, ...owner }, spec },
          signal,
        );
        return;
      } catch (error) {
        if (!isReason(error, 'AlreadyExists')) throw error;
        this.#lease = await api.get(path, signal);
      }
    }
    try {
      this.#lease = await api.update(path, { ...this.#lease, spec }, signal);
    } catch (error) {
      if (isReason(error, 'Conflict') || isReason(error, 'NotFound')) this.#lease = undefined;
      throw error;
    }
  }

  async #every(intervalMs: number, signal: AbortSignal, task: () => Promise<void>, complaint: string, atOnce: boolean): Promise<void> {
    for (let failures = 0, first = atOnce; !signal.aborted; first = false) {
      const pauseMs = failures > 0 ? Math.min(intervalMs, backoffDelayMs(retry, failures - 1)) : intervalMs;
      if (!first) await this.#deps.clock.sleep(pauseMs, signal).catch(() => {});
      if (signal.aborted) return;
      try {
        await task();
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        // One line when it begins, not one per try.
        if (failures === 1) this.#deps.logger.warn(complaint, { node: this.#deps.facts.nodeName, err: error });
      }
    }
  }

  #announce(): void {
    this.event('Normal', 'Starting', 'Starting kubelet.');
    void this.#deps.runtime.status().then(
      (status) => {
        for (const limitation of status.limitations) this.event('Warning', 'RuntimeLimitation', limitation);
        if (status.ready) this.event('Normal', 'NodeReady', `Node ${this.#deps.facts.nodeName} status is now: NodeReady`);
      },
      () => {},
    );
  }
}

function withoutHeartbeats(status: V1NodeStatus): unknown {
  return { ...status, conditions: (status.conditions ?? []).map(({ lastHeartbeatTime: _time, ...rest }) => rest) };
}
