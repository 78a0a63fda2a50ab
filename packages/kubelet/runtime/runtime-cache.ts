/**
 * What the runtime runs, per pod, without asking it for everything each time. Promises: a change that the runtime reports (or a relist
 * finds) is visible before listeners hear of it; `refresh` makes one pod's view current. The runtime is the truth, this is a copy.
 */
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, ContainerStatus, PodSandboxStatus } from '@coffer/cri/runtime/container-runtime';
import { podUidOf } from './labels.ts';

/** Newest first, both. */
export interface RuntimePod {
  readonly sandboxes: readonly PodSandboxStatus[];
  readonly containers: readonly ContainerStatus[];
}

interface Slot {
  readonly sandboxes: Map<string, PodSandboxStatus>;
  readonly containers: Map<string, ContainerStatus>;
}

export interface RuntimeCacheDeps {
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Something of this pod changed without the kubelet's doing. */
  readonly onChange: (uid: string) => void;
}

const relistWithEventsMs = 60_000;
const relistWithoutEventsMs = 1000;

export class RuntimeCache {
  readonly #deps: RuntimeCacheDeps;
  readonly #pods = new Map<string, Slot>();
  /** While everything is listed: what was asked for in the meantime, of which the list may tell less. */
  #newer: Set<string> | undefined;

  constructor(deps: RuntimeCacheDeps) {
    this.#deps = deps;
  }

  get(uid: string): RuntimePod {
    const slot = this.#pods.get(uid);
    if (slot === undefined) return { sandboxes: [], containers: [] };
    return {
      sandboxes: [...slot.sandboxes.values()].sort((a, b) => b.createdAtMs - a.createdAtMs || b.attempt - a.attempt),
      containers: [...slot.containers.values()].sort((a, b) => b.createdAtMs - a.createdAtMs || b.attempt - a.attempt),
    };
  }

  /** Pods that have anything in the runtime. */
  uids(): readonly string[] {
    return [...this.#pods.keys()];
  }

  /** Asks the runtime about everything of one pod that may still change. */
  async refresh(uid: string): Promise<RuntimePod> {
    const slot = this.#pods.get(uid);
    if (slot !== undefined) {
      const newest = this.get(uid).sandboxes[0];
      await Promise.all([
        ...[...slot.containers.values()].filter((c) => c.state !== 'exited').map((c) => this.refreshContainer(uid, c.id)),
        ...(newest === undefined ? [] : [this.refreshSandbox(uid, newest.id)]),
      ]);
    }
    return this.get(uid);
  }

  async refreshContainer(uid: string, id: string): Promise<void> {
    this.#newer?.add(id);
    const status = await this.#deps.runtime.containerStatus(id);
    this.#newer?.add(id);
    if (status === undefined) this.#pods.get(uid)?.containers.delete(id);
    else this.#slot(uid).containers.set(id, status);
    this.#dropIfEmpty(uid);
  }

  async refreshSandbox(uid: string, id: string): Promise<void> {
    this.#newer?.add(id);
    const status = await this.#deps.runtime.podSandboxStatus(id);
    this.#newer?.add(id);
    if (status === undefined) this.#pods.get(uid)?.sandboxes.delete(id);
    else this.#slot(uid).sandboxes.set(id, status);
    this.#dropIfEmpty(uid);
  }

  /** Compares everything with the runtime and tells which pods changed. */
  async relist(): Promise<void> {
    const newer = new Set<string>();
    this.#newer = newer;
    const [sandboxes, containers] = await this.#list().finally(() => {
      this.#newer = undefined;
    });
    const before = new Map([...this.#pods].map(([uid, slot]) => [uid, fingerprint(slot)]));
    for (const slot of this.#pods.values()) {
      for (const part of [slot.sandboxes, slot.containers]) for (const id of part.keys()) if (!newer.has(id)) part.delete(id);
    }
    for (const sandbox of sandboxes)
      if (!newer.has(sandbox.id)) this.#slot(podUidOf(sandbox) ?? sandbox.uid).sandboxes.set(sandbox.id, sandbox);
    for (const container of containers) {
      const uid = podUidOf(container);
      if (uid !== undefined && !newer.has(container.id)) this.#slot(uid).containers.set(container.id, container);
    }
    for (const uid of this.#pods.keys()) this.#dropIfEmpty(uid);
    for (const uid of new Set([...before.keys(), ...this.#pods.keys()])) {
      const slot = this.#pods.get(uid);
      if ((slot === undefined ? '' : fingerprint(slot)) !== (before.get(uid) ?? '')) this.#deps.onChange(uid);
    }
  }

  /** Follows the runtime until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const events = this.#deps.runtime.events(signal);
    const following = events === undefined ? Promise.resolve() : this.#follow(events, signal);
    const intervalMs = events === undefined ? relistWithoutEventsMs : relistWithEventsMs;
    while (!signal.aborted) {
      await this.#deps.clock.sleep(intervalMs, signal).catch(() => {});
      if (signal.aborted) break;
      await this.relist().catch((error: unknown) => this.#deps.logger.warn('the runtime cannot be listed', { err: error }));
    }
    await following;
  }

  async #follow(events: AsyncIterable<{ readonly containerId: string; readonly podUid: string }>, signal: AbortSignal): Promise<void> {
    try {
      for await (const event of events) {
        if (signal.aborted) return;
        const uid = event.podUid;
        // Events are hints: each is answered by asking for the state, without holding up the next one.
        void (event.containerId === '' ? this.#refreshSandboxes(uid) : this.refreshContainer(uid, event.containerId)).then(
          () => this.#deps.onChange(uid),
          (error: unknown) => this.#deps.logger.warn('the runtime did not tell a container state', { podUid: uid, err: error }),
        );
      }
    } catch (error) {
      if (!signal.aborted) this.#deps.logger.warn('the event stream of the runtime broke; relisting instead', { err: error });
    }
  }

  async #refreshSandboxes(uid: string): Promise<void> {
    for (const id of this.#pods.get(uid)?.sandboxes.keys() ?? []) await this.refreshSandbox(uid, id);
  }

  #list(): Promise<readonly [readonly PodSandboxStatus[], readonly ContainerStatus[]]> {
    return Promise.all([this.#deps.runtime.listPodSandboxes(), this.#deps.runtime.listContainers()]);
  }

  #slot(uid: string): Slot {
    let slot = this.#pods.get(uid);
    if (slot === undefined) {
      slot = { sandboxes: new Map(), containers: new Map() };
      this.#pods.set(uid, slot);
    }
    return slot;
  }

  #dropIfEmpty(uid: string): void {
    const slot = this.#pods.get(uid);
    if (slot !== undefined && slot.sandboxes.size === 0 && slot.containers.size === 0) this.#pods.delete(uid);
  }
}

function fingerprint(slot: Slot): string {
  const sandboxes = [...slot.sandboxes.values()].map((s) => `${s.id}=${s.state}`).sort();
  const containers = [...slot.containers.values()].map((c) => `${c.id}=${c.state}`).sort();
  return [...sandboxes, ...containers].join(',');
}
