/** What has to be done to a pod so that the runtime runs what its spec says. Pure: from the present state, never from an event. */
import type { ContainerStatus } from '@coffer/cri/runtime/container-runtime';
import { containerHash, factsOf } from '../runtime/labels.ts';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import { type Container, type ContainerKind, isSidecar, type Pod } from '../types.ts';
import { latestContainer, restartsAfterExit, shouldBeStarted } from './restart-policy.ts';

export interface PodActions {
  /** Stop everything, the sandbox included. */
  readonly killPod: boolean;
  readonly createSandbox: boolean;
  /** Number of the sandbox to create. */
  readonly sandboxAttempt: number;
  readonly kill: readonly { readonly container: ContainerStatus; readonly spec: Container; readonly message: string }[];
  /** In order. */
  readonly start: readonly { readonly kind: ContainerKind; readonly container: Container }[];
}

/** Which probe has given up on a running container. */
export type FailedProbe = (container: Container, containerId: string) => 'startup' | 'liveness' | undefined;
/** Whether a running container has passed its startup probe. */
export type StartedCheck = (container: Container, containerId: string) => boolean;

export interface ActionInput {
  readonly pod: Pod;
  readonly runtime: RuntimePod;
  readonly failedProbe: FailedProbe;
  readonly hasStarted: StartedCheck;
  /** Whether a running container gets its new resources only by being started anew. */
  readonly restartsForResize: (container: Container, containerId: string) => boolean;
}

export function computeActions(input: ActionInput): PodActions {
  const { pod, runtime } = input;
  const sandbox = runtime.sandboxes[0];
  if (sandbox === undefined || sandbox.state !== 'ready') return withoutSandbox(input, sandbox === undefined ? 0 : sandbox.attempt + 1);
  const draft = new Draft(input, sandbox.id);
  for (const ephemeral of pod.spec.ephemeralContainers ?? []) {
    const container = ephemeral as Container;
    if (latestContainer(runtime, container.name) === undefined) draft.start.push({ kind: 'ephemeral', container });
  }
  if (!draft.init()) return draft.finish();
  let kept = 0;
  for (const container of pod.spec.containers) if (draft.regular(container)) kept++;
  if (kept === 0 && draft.start.every((entry) => entry.kind !== 'regular')) draft.killPod = true;
  return draft.finish();
}

/** There is no sandbox to run in: make one, unless the pod has nothing left to run. */
function withoutSandbox(input: ActionInput, attempt: number): PodActions {
  const { pod, runtime } = input;
  const nothing: PodActions = { killPod: attempt > 0, createSandbox: false, sandboxAttempt: attempt, kill: [], start: [] };
  const regular = pod.spec.containers.filter((container) => shouldBeStarted(container, pod, runtime));
  if (regular.length === 0) return nothing;
  const init = pod.spec.initContainers ?? [];
  const first = init[0];
  return {
    killPod: attempt > 0,
    createSandbox: true,
    sandboxAttempt: attempt,
    kill: [],
    start:
      first === undefined ? regular.map((container) => ({ kind: 'regular' as const, container })) : [{ kind: 'init', container: first }],
  };
}

class Draft {
  readonly #input: ActionInput;
  readonly #sandboxId: string;
  readonly kill: { container: ContainerStatus; spec: Container; message: string }[] = [];
  readonly start: { kind: ContainerKind; container: Container }[] = [];
  killPod = false;

  constructor(input: ActionInput, sandboxId: string) {
    this.#input = input;
    this.#sandboxId = sandboxId;
  }

  finish(): PodActions {
    return {
      killPod: this.killPod,
      createSandbox: false,
      sandboxAttempt: 0,
      kill: this.killPod ? [] : this.kill,
      start: this.killPod ? [] : this.start,
    };
  }

  /** Decides about init containers; true when regular containers may run. */
  init(): boolean {
    const { pod } = this.#input;
    const initialized = pod.spec.containers.some(
      (container) => this.#here(container)?.state !== undefined && this.#here(container)?.state !== 'created',
    );
    for (const container of pod.spec.initContainers ?? []) {
      const status = this.#here(container);
      if (isSidecar(container)) {
        if (!this.#sidecar(container, status) && !initialized) return false;
        continue;
      }
      if (initialized) continue;
      if (status === undefined || status.state === 'created') {
        this.start.push({ kind: 'init', container });
        return false;
      }
      if (status.state === 'running') return false;
      if (status.state === 'unknown') {
        this.kill.push({
          container: status,
          spec: container,
          message: `Init container ${container.name} is in unknown state, try killing it before restart`,
        });
        this.start.push({ kind: 'init', container });
        return false;
      }
      if (status.exitCode === 0) continue;
      if (restartsAfterExit(container, pod, status.exitCode ?? 0)) this.start.push({ kind: 'init', container });
      else this.killPod = true;
      return false;
    }
    return true;
  }

  /** True when the sidecar has started, so that what comes after it may run. */
  #sidecar(container: Container, status: ContainerStatus | undefined): boolean {
    if (status?.state !== 'running') {
      if (this.#input.pod.metadata.deletionTimestamp === undefined) this.start.push({ kind: 'init', container });
      return false;
    }
    if (this.#restartForResize('init', container, status)) return false;
    const reason = this.#reasonToRestart(container, status);
    if (reason !== undefined) {
      this.kill.push({ container: status, spec: container, message: `${reason}, will be restarted` });
      this.start.push({ kind: 'init', container });
      return false;
    }
    return this.#input.hasStarted(container, status.id);
  }

  /** True when the container runs on as it is. */
  regular(container: Container): boolean {
    const { pod, runtime } = this.#input;
    const status = latestContainer(runtime, container.name);
    if (status?.state !== 'running') {
      if (!shouldBeStarted(container, pod, runtime)) return false;
      if (status?.state === 'unknown') {
        this.kill.push({
          container: status,
          spec: container,
          message: `Container ${container.name} is in unknown state, try killing it before restart`,
        });
      }
      this.start.push({ kind: 'regular', container });
      return false;
    }
    if (this.#restartForResize('regular', container, status)) return false;
    const reason = this.#reasonToRestart(container, status);
    if (reason === undefined) return true;
    // An exit by the kubelet's hand counts as a failure.
    const restart = restartsAfterExit(container, pod, 137);
    this.kill.push({ container: status, spec: container, message: restart ? `${reason}, will be restarted` : reason });
    if (restart) this.start.push({ kind: 'regular', container });
    return !restart;
  }

  #restartForResize(kind: ContainerKind, container: Container, status: ContainerStatus): boolean {
    if (!this.#input.restartsForResize(container, status.id)) return false;
    this.kill.push({ container: status, spec: container, message: `Container ${container.name} resize requires restart` });
    this.start.push({ kind, container });
    return true;
  }

  #reasonToRestart(container: Container, status: ContainerStatus): string | undefined {
    const { hash } = factsOf(status);
    if (hash !== '' && hash !== containerHash(container)) return `Container ${container.name} definition changed`;
    const probe = this.#input.failedProbe(container, status.id);
    return probe === undefined ? undefined : `Container ${container.name} failed ${probe} probe`;
  }

  /** The newest instance in the present sandbox: what ran in an earlier one does not count for initialisation. */
  #here(container: Container): ContainerStatus | undefined {
    return this.#input.runtime.containers.find((status) => status.name === container.name && status.sandboxId === this.#sandboxId);
  }
}
