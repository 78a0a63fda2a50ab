/**
 * Runs the probes of running containers and remembers what they say. Promises: at most one run of a probe at a time; a result counts
 * only after its threshold; `onResult` is called when a result changed. Events as upstream. Results belong to one container instance.
 */
import type { V1Probe } from '@coffer/api/generated/types';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, ContainerStatus } from '@coffer/cri/runtime/container-runtime';
import type { ProbeView } from '../pods/pod-status.ts';
import { latestContainer } from '../pods/restart-policy.ts';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import { allContainers, type Container, isSidecar, type Pod } from '../types.ts';
import type { PodReach } from './pod-reach.ts';
import { type ProbeResult, runProbe } from './probers.ts';

type ProbeType = 'startup' | 'liveness' | 'readiness';

export interface ProbeManagerDeps {
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  /** The way to the pod for httpGet, tcpSocket and grpc. */
  readonly reachOf: (pod: Pod) => PodReach;
  readonly onResult: (uid: string) => void;
  readonly event: (pod: Pod, container: Container, type: 'Normal' | 'Warning', reason: string, message: string) => void;
}

interface Worker {
  readonly containerId: string;
  readonly stop: AbortController;
  result: 'success' | 'failure' | undefined;
}

const probeNames: Readonly<Record<ProbeType, string>> = { startup: 'Startup', liveness: 'Liveness', readiness: 'Readiness' };
const triesPerRun = 3;

export class ProbeManager implements ProbeView {
  readonly #deps: ProbeManagerDeps;
  readonly #workers = new Map<string, Worker>();

  constructor(deps: ProbeManagerDeps) {
    this.#deps = deps;
  }

  /** Starts probes of containers that run now and stops those of instances that are gone. */
  ensure(pod: Pod, runtime: RuntimePod): void {
    for (const { kind, container } of allContainers(pod)) {
      if (kind === 'ephemeral' || (kind === 'init' && !isSidecar(container))) continue;
      const status = latestContainer(runtime, container.name);
      for (const type of ['startup', 'readiness', 'liveness'] as const) {
        const probe = container[`${type}Probe`];
        const key = keyOf(pod.metadata.uid, container.name, type);
        const worker = this.#workers.get(key);
        if (probe === undefined || status?.state !== 'running') {
          worker?.stop.abort();
          if (status?.id !== worker?.containerId) this.#workers.delete(key);
          continue;
        }
        if (worker?.containerId === status.id) continue;
        worker?.stop.abort();
        this.#start(key, pod, container, status, type, probe);
      }
    }
  }

  started(uid: string, container: Container, containerId: string): boolean {
    return container.startupProbe === undefined || this.#result(uid, container, containerId, 'startup') === 'success';
  }

  ready(uid: string, container: Container, containerId: string): boolean {
    return container.readinessProbe === undefined || this.#result(uid, container, containerId, 'readiness') === 'success';
  }

  /** Whether this instance has to be killed, and for which probe. */
  failed(uid: string, container: Container, containerId: string): 'startup' | 'liveness' | undefined {
    if (this.#result(uid, container, containerId, 'liveness') === 'failure') return 'liveness';
    if (this.#result(uid, container, containerId, 'startup') === 'failure') return 'startup';
    return undefined;
  }

  /** A pod that is being stopped is not killed for its probes any more; readiness goes on. */
  stopLivenessAndStartup(uid: string): void {
    this.#stopWhere((key) => key.startsWith(`${uid}/`) && !key.endsWith('/readiness'));
  }

  removePod(uid: string): void {
    this.#stopWhere((key) => key.startsWith(`${uid}/`), true);
  }

  stop(): void {
    this.#stopWhere(() => true, true);
  }

  #stopWhere(matches: (key: string) => boolean, forget = false): void {
    for (const [key, worker] of this.#workers) {
      if (!matches(key)) continue;
      worker.stop.abort();
      if (forget) this.#workers.delete(key);
    }
  }

  #result(uid: string, container: Container, containerId: string, type: ProbeType): 'success' | 'failure' | undefined {
    const worker = this.#workers.get(keyOf(uid, container.name, type));
    return worker?.containerId === containerId ? worker.result : undefined;
  }

  #start(key: string, pod: Pod, container: Container, status: ContainerStatus, type: ProbeType, probe: V1Probe): void {
    const worker: Worker = { containerId: status.id, stop: new AbortController(), result: initialResult(pod, container, status.id, type) };
    this.#workers.set(key, worker);
    void this.#run(worker, pod, container, status, type, probe);
  }

  async #run(worker: Worker, pod: Pod, container: Container, status: ContainerStatus, type: ProbeType, probe: V1Probe): Promise<void> {
    const { clock } = this.#deps;
    const signal = worker.stop.signal;
    const periodMs = (probe.periodSeconds ?? 10) * 1000;
    let last: 'success' | 'failure' | undefined;
    let count = 0;
    try {
      const firstMs = (status.startedAtMs ?? status.createdAtMs) + (probe.initialDelaySeconds ?? 0) * 1000;
      if (firstMs > clock.now()) await clock.sleep(firstMs - clock.now(), signal);
      for (; !signal.aborted; await clock.sleep(periodMs, signal)) {
        if (type === 'startup' && worker.result === 'success') return;
        // Readiness and liveness begin when the container has started.
        while (type !== 'startup' && !this.started(pod.metadata.uid, container, worker.containerId))
          await clock.sleep(Math.min(periodMs, 1000), signal);
        const result = await this.#probe(pod, container, worker.containerId, type, probe);
        if (signal.aborted) return;
        if (result.kind === 'unknown') continue;
        count = result.kind === last ? count + 1 : 1;
        last = result.kind;
        const threshold = result.kind === 'failure' ? (probe.failureThreshold ?? 3) : (probe.successThreshold ?? 1);
        if (count < threshold) continue;
        if (worker.result !== result.kind) {
          worker.result = result.kind;
          this.#deps.onResult(pod.metadata.uid);
        }
        // The container is killed for it: nothing more to find out about this instance.
        if (type !== 'readiness' && result.kind === 'failure') return;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #probe(
    pod: Pod,
    container: Container,
    containerId: string,
    type: ProbeType,
    probe: V1Probe,
  ): Promise<Exclude<ProbeResult, { kind: 'warning' }>> {
    const target = { container, containerId, reach: this.#deps.reachOf(pod) };
    let result: ProbeResult = { kind: 'unknown', error: '' };
    for (let attempt = 0; attempt < triesPerRun && result.kind === 'unknown'; attempt++)
      result = await runProbe(this.#deps.runtime, probe, target);
    const name = probeNames[type];
    // A probe that lost its container while it ran says nothing.
    const stopped = this.#workers.get(keyOf(pod.metadata.uid, container.name, type))?.stop.signal.aborted !== false;
    if (result.kind === 'warning') {
      if (!stopped) this.#deps.event(pod, container, 'Warning', 'ProbeWarning', `${name} probe warning: ${result.output}`);
      return { kind: 'success', output: result.output };
    }
    if (stopped) return result;
    if (result.kind === 'failure') this.#deps.event(pod, container, 'Warning', 'Unhealthy', `${name} probe failed: ${result.output}`);
    if (result.kind === 'unknown') {
      this.#deps.event(pod, container, 'Warning', 'Unhealthy', `${name} probe errored and resulted in unknown state: ${result.error}`);
    }
    return result;
  }
}

/** An adopted container keeps what the last kubelet knew of it. */
function initialResult(pod: Pod, container: Container, containerId: string, type: ProbeType): 'success' | 'failure' | undefined {
  if (type === 'liveness') return 'success';
  const statuses = [...(pod.status.containerStatuses ?? []), ...(pod.status.initContainerStatuses ?? [])];
  const before = statuses.find((status) => status.name === container.name);
  if (before?.containerID?.endsWith(`://${containerId}`) !== true) return type === 'readiness' ? 'failure' : undefined;
  if (type === 'startup') return before.started === true ? 'success' : undefined;
  return before.ready ? 'success' : 'failure';
}

function keyOf(uid: string, container: string, type: ProbeType): string {
  return `${uid}/${container}/${type}`;
}
