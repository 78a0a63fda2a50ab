/**
 * A container runtime in memory for unit tests. Containers "run" until the test ends them, their behaviour says they end, or they are
 * stopped. Every call is recorded by name in `calls`.
 */
import { appendFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '@coffer/base/time/clock';
import type {
  ContainerConfig,
  ContainerResources,
  ContainerRuntime,
  ContainerStatus,
  ExecSyncResult,
  ImageStatus,
  PodSandboxConfig,
  PodSandboxStatus,
  RegistryAuth,
  RuntimeEvent,
  RuntimeStatus,
} from '@coffer/cri/runtime/container-runtime';

export interface FakeContainer {
  status: ContainerStatus;
  readonly config: ContainerConfig;
  readonly logFile: string;
}

/** What a started container does: its exit code to end at once, undefined to run on. */
export type Behaviour = (config: ContainerConfig) => number | undefined;

export class FakeRuntime implements ContainerRuntime {
  readonly calls: string[] = [];
  readonly containers = new Map<string, FakeContainer>();
  readonly sandboxes = new Map<string, { status: PodSandboxStatus; readonly config: PodSandboxConfig }>();
  readonly pulls: { readonly image: string; readonly auth: RegistryAuth | undefined }[] = [];
  behaviour: Behaviour = () => undefined;
  /** May throw to refuse other resources, or take its time. */
  onUpdate: (container: string) => void | Promise<void> = () => {};
  execResult: (command: readonly string[], containerId: string) => Partial<ExecSyncResult> = () => ({});
  /** Undefined: the image is not there and has to be pulled. */
  image: (image: string) => ImageStatus | undefined = (image) => ({
    id: `sha256:${image}`,
    repoTags: [image],
    repoDigests: [],
    sizeBytes: 1000,
    uid: undefined,
    username: '',
    pinned: false,
  });
  /** Bytes that a container uses, by its id. */
  readonly memoryUsage = new Map<string, number>();
  /** What `listImages` shows. */
  readonly images = new Map<string, ImageStatus>();
  onRemoveImage: (id: string) => void = () => {};
  onPull: (image: string, auth: RegistryAuth | undefined) => void = () => {};
  onCreate: (config: ContainerConfig) => void = () => {};
  limitations: readonly string[] = [];
  handlers: RuntimeStatus['handlers'] = [{ name: '', recursiveReadOnlyMounts: true }];
  readonly #clock: Clock;
  #next = 0;
  #listeners = new Set<(event: RuntimeEvent) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async version() {
    return { name: 'fake', version: '1.0' };
  }

  async status(): Promise<RuntimeStatus> {
    return { ready: true, limitations: this.limitations, runsOnHostFiles: false, supplementalGroupsPolicy: true, handlers: this.handlers };
  }

  async runPodSandbox(config: PodSandboxConfig): Promise<string> {
    this.calls.push(`runPodSandbox ${config.name}`);
    const id = `sandbox-${++this.#next}`;
    const status: PodSandboxStatus = {
      id,
      namespace: config.namespace,
      name: config.name,
      uid: config.uid,
      attempt: config.attempt,
      state: 'ready',
      createdAtMs: this.#clock.now(),
      ips: config.hostNetwork ? [] : [`10.0.0.${this.#next}`],
      labels: config.labels,
      annotations: config.annotations,
    };
    this.sandboxes.set(id, { status, config });
    return id;
  }

  async stopPodSandbox(id: string): Promise<void> {
    this.calls.push(`stopPodSandbox ${id}`);
    const sandbox = this.sandboxes.get(id);
    if (sandbox === undefined) return;
    for (const container of this.containers.values()) if (container.status.sandboxId === id) this.end(container.status.id, 137);
    sandbox.status = { ...sandbox.status, state: 'not-ready' };
  }

  async removePodSandbox(id: string): Promise<void> {
    this.calls.push(`removePodSandbox ${id}`);
    this.sandboxes.delete(id);
  }

  async podSandboxStatus(id: string): Promise<PodSandboxStatus | undefined> {
    return this.sandboxes.get(id)?.status;
  }

  async listPodSandboxes(): Promise<readonly PodSandboxStatus[]> {
    return [...this.sandboxes.values()].map((sandbox) => sandbox.status);
  }

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    this.calls.push(`createContainer ${config.name}`);
    this.onCreate(config);
    const id = `container-${++this.#next}`;
    const directory = this.sandboxes.get(sandboxId)?.config.logDirectory ?? '';
    this.containers.set(id, {
      config,
      logFile: join(directory, config.logPath),
      status: {
        id,
        sandboxId,
        name: config.name,
        attempt: config.attempt,
        state: 'created',
        createdAtMs: this.#clock.now(),
        startedAtMs: undefined,
        finishedAtMs: undefined,
        exitCode: undefined,
        signal: undefined,
        reason: '',
        message: '',
        image: config.image,
        imageRef: `sha256:${config.image}`,
        logPath: config.logPath,
        pid: undefined,
        labels: config.labels,
        annotations: config.annotations,
        user: undefined,
      },
    });
    return id;
  }

  async startContainer(id: string): Promise<void> {
    const container = this.#container(id);
    this.calls.push(`startContainer ${container.config.name}`);
    container.status = { ...container.status, state: 'running', startedAtMs: this.#clock.now() };
    const exitCode = this.behaviour(container.config);
    if (exitCode !== undefined) this.end(id, exitCode);
  }

  async updateContainerResources(id: string, resources: ContainerResources): Promise<void> {
    const container = this.#container(id);
    this.calls.push(`updateContainerResources ${container.config.name} ${JSON.stringify(resources)}`);
    await this.onUpdate(container.config.name);
  }

  async stopContainer(id: string, timeoutMs: number): Promise<void> {
    const container = this.containers.get(id);
    this.calls.push(`stopContainer ${container?.config.name ?? id} ${Math.round(timeoutMs)}`);
    if (container !== undefined) this.end(id, 143);
  }

  async removeContainer(id: string): Promise<void> {
    this.calls.push(`removeContainer ${this.containers.get(id)?.config.name ?? id}`);
    this.containers.delete(id);
  }

  async containerStatus(id: string): Promise<ContainerStatus | undefined> {
    return this.containers.get(id)?.status;
  }

  async listContainers(): Promise<readonly ContainerStatus[]> {
    return [...this.containers.values()].map((container) => container.status);
  }

  async execSync(id: string, command: readonly string[], _timeoutMs: number): Promise<ExecSyncResult> {
    this.calls.push(`execSync ${command.join(' ')}`);
    return { exitCode: 0, stdout: new Uint8Array(), stderr: new Uint8Array(), timedOut: false, ...this.execResult(command, id) };
  }

  async exec(): Promise<number> {
    return 0;
  }

  async attach(): Promise<number> {
    return 0;
  }

  async portForward(): Promise<void> {}

  async imageStatus(image: string): Promise<ImageStatus | undefined> {
    return this.image(image);
  }

  async pullImage(image: string, auth: RegistryAuth | undefined): Promise<string> {
    this.pulls.push({ image, auth });
    this.onPull(image, auth);
    return `sha256:${image}`;
  }

  async listImages(): Promise<readonly ImageStatus[]> {
    return [...this.images.values()];
  }

  async removeImage(id: string): Promise<void> {
    this.onRemoveImage(id);
    this.images.delete(id);
  }

  async imageFilesystem(): Promise<string | undefined> {
    return '/';
  }

  async containerStats() {
    const usage = [...this.memoryUsage];
    return usage.map(([containerId, memoryWorkingSetBytes]) => ({
      containerId,
      cpuUsageNs: 0,
      memoryWorkingSetBytes,
      writableLayerBytes: 0,
    }));
  }

  async reopenContainerLog(): Promise<void> {}

  async *events(signal: AbortSignal): AsyncGenerator<RuntimeEvent> {
    const queue: RuntimeEvent[] = [];
    let wake: () => void = () => {};
    const listener = (event: RuntimeEvent) => {
      queue.push(event);
      wake();
    };
    this.#listeners.add(listener);
    signal.addEventListener('abort', () => wake(), { once: true });
    try {
      while (!signal.aborted) {
        const event = queue.shift();
        if (event !== undefined) yield event;
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      this.#listeners.delete(listener);
    }
  }

  async close(): Promise<void> {}

  /** Ends a container as if its process had exited. */
  end(id: string, exitCode: number): void {
    const container = this.#container(id);
    if (container.status.state === 'exited') return;
    container.status = {
      ...container.status,
      state: 'exited',
      finishedAtMs: this.#clock.now(),
      exitCode,
      reason: exitCode === 0 ? 'Completed' : 'Error',
    };
    const podUid = this.sandboxes.get(container.status.sandboxId)?.status.uid ?? '';
    for (const listener of this.#listeners) listener({ containerId: id, sandboxId: container.status.sandboxId, podUid, type: 'stopped' });
  }

  /** The newest container of that name. */
  find(name: string): FakeContainer | undefined {
    return [...this.containers.values()].filter((container) => container.config.name === name).at(-1);
  }

  /** Appends a line to a container's log as the runtime would. */
  async log(name: string, text: string, stream = 'stdout'): Promise<void> {
    const container = this.find(name);
    if (container === undefined) throw new Error(`no container ${name}`);
    await mkdir(dirname(container.logFile), { recursive: true });
    await appendFile(container.logFile, `${new Date(this.#clock.now()).toISOString().replace('Z', '000000Z')} ${stream} F ${text}\n`);
  }

  #container(id: string): FakeContainer {
    const container = this.containers.get(id);
    if (container === undefined) throw new Error(`no container ${id}`);
    return container;
  }
}
