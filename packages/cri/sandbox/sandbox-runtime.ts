/**
 * The embedded container runtime: each container is a process in Linux namespaces of its own over the machine's root filesystem,
 * copy-on-write. No daemon and no images. Isolation for development, not a security boundary: see `status().limitations`.
 */
import { createHash, randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { diskUsageBytes } from '@coffer/base/files/disk-usage';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import {
  type ContainerConfig,
  type ContainerResources,
  type ContainerRuntime,
  type ContainerStats,
  type ContainerStatus,
  type DialPod,
  type ExecSyncResult,
  type ImageStatus,
  type PodSandboxConfig,
  type PodSandboxStatus,
  type RuntimeEvent,
  RuntimeRefusal,
  type RuntimeStatus,
  type StreamExec,
  type StreamPair,
} from '../runtime/container-runtime.ts';
import { attachStreams } from './attach-session.ts';
import { BridgeNetwork, type PodNetworkInfo } from './bridge-network.ts';
import { type ContainerEntry, containerStatus } from './container-entry.ts';
import { ControlGroups, findControlGroups } from './control-groups.ts';
import { EventHub } from './event-hub.ts';
import { execStreams, execSync } from './exec-session.ts';
import { keeperScript, pauseScript } from './keeper-script.ts';
import { identityInstructions } from './launch-plan.ts';
import { containerScript, launchScript } from './launch-script.ts';
import { Launcher } from './launcher.ts';
import { buildMaskLayer } from './masking.ts';
import { isPrivileged, plainUserLimitations } from './plain-user.ts';
import { dialInNamespace, forwardInNamespace, forwardOnHost, type NamespaceForward } from './port-forward-session.ts';
import { argumentsOf, type Instruction, namespaceFlags } from './program.ts';
import { byDirectoryLayout, type RootLayout } from './root-layout.ts';
import { parentOf } from './run-monitor.ts';
import { SandboxContainers } from './sandbox-containers.ts';
import { SandboxPods } from './sandbox-pods.ts';
import { removeTree, StateDirectory } from './state-directory.ts';
import { runTool } from './tools.ts';
import { UserNetwork, type UserNetworkOptions } from './user-network.ts';

export interface SandboxRuntimeOptions {
  /** Absolute; made when missing, mode 0700. One server at a time may use it. */
  readonly stateDir: string;
  /** Paths of this machine that no container may see, with everything below. The state directory and the usual ones are added. */
  readonly maskedPaths: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly version?: string;
  /** Every pod gets a network of its own, as root on a bridge of the node. Undefined: pods share the machine's network. */
  readonly network?: UserNetworkOptions | undefined;
  /** Only for the test that shows what masking is for: containers see the machine's files and processes. */
  readonly unsafeDisableMasking?: boolean;
}

/** The sandbox runtime, and what the node needs to know of its network. */
export interface SandboxContainerRuntime extends ContainerRuntime {
  /** Undefined when pods are on no bridge. */
  readonly podNetwork: PodNetworkInfo | undefined;
  /** True when pods have the machine's network. */
  readonly sharesNetwork: boolean;
  /** Where pods with a network of their own, which no bridge connects, reach the loopback of this machine; undefined where they do not. */
  readonly loopbackGateway: string | undefined;
}

/** Starts the runtime on this machine and adopts what earlier processes left in the state directory. */
export async function createSandboxRuntime(options: SandboxRuntimeOptions): Promise<SandboxContainerRuntime> {
  const [launch, container] = [launchScript(process.arch), containerScript(process.arch)];
  if (launch === undefined || container === undefined)
    throw new Error(`the sandbox runtime does not know this kind of machine: ${process.arch}`);
  const plainUser = !(await isPrivileged());
  const state = new StateDirectory(options.stateDir, plainUser ? plainUserMemory(options.stateDir) : undefined);
  await state.prepare({ launch, container, keeper: keeperScript, pause: pauseScript });
  await (plainUser ? requireOwn(state.memory) : mountMemory(state));
  await mkdir(state.masks, { recursive: true, mode: 0o700 });
  const launcher = new Launcher(state.launchProgram);
  await launcher.ready();
  const runProgram = (instructions: readonly Instruction[]) => launcher.run(instructions);
  const unsafe = options.unsafeDisableMasking === true;
  const opaque = plainUser ? 'user.overlay.opaque' : 'trusted.overlay.opaque';
  const hidden = [...options.maskedPaths, state.memory];
  const [masks, network, layout, available] = await Promise.all([
    unsafe ? undefined : buildMaskLayer(state, hidden, runProgram, opaque),
    openNetwork(options, plainUser, runProgram),
    findControlGroups('/sys/fs/cgroup'),
    availableCapabilities(),
  ]);
  const root: RootLayout = plainUser
    ? await byDirectoryLayout(masks)
    : { kind: 'whole', lowerDirectories: masks === undefined ? ['/'] : [masks, '/'] };
  const name = `coffer-${createHash('sha256').update(state.root).digest('hex').slice(0, 8)}`;
  const groups = new ControlGroups(layout, name, options.clock);
  const events = new EventHub();
  const pods = new SandboxPods({
    state,
    clock: options.clock,
    logger: options.logger,
    runProgram,
    network: network.bridge,
    userNetwork: network.user,
    plainUser,
  });
  const containers = new SandboxContainers({
    state,
    clock: options.clock,
    logger: options.logger,
    groups,
    pods,
    launcher,
    publish: (event) => events.publish(event),
    availableCapabilities: available,
    root,
    plainUser,
    hostDevices,
    unsafeReveal: unsafe ? [state.root, ...options.maskedPaths] : [],
  });
  await pods.load();
  await containers.load();
  return new SandboxRuntime({
    ...options,
    state,
    launcher,
    groups,
    events,
    pods,
    containers,
    bridge: network.bridge,
    userNetwork: network.user,
    sharedNetworkReason: network.reason,
    plainUser,
  });
}

interface RuntimeParts extends SandboxRuntimeOptions {
  readonly state: StateDirectory;
  readonly launcher: Launcher;
  readonly groups: ControlGroups;
  readonly events: EventHub;
  readonly pods: SandboxPods;
  readonly containers: SandboxContainers;
  readonly bridge: BridgeNetwork | undefined;
  readonly userNetwork: UserNetwork | undefined;
  /** Why pods have no network of their own, where they should. */
  readonly sharedNetworkReason: string | undefined;
  readonly plainUser: boolean;
}

class SandboxRuntime implements SandboxContainerRuntime {
  readonly podNetwork: PodNetworkInfo | undefined;
  readonly sharesNetwork: boolean;
  readonly loopbackGateway: string | undefined;
  readonly dialPod: DialPod | undefined;
  readonly #parts: RuntimeParts;

  constructor(parts: RuntimeParts) {
    this.#parts = parts;
    this.podNetwork = parts.bridge?.info;
    this.sharesNetwork = !parts.bridge && !parts.userNetwork;
    this.loopbackGateway = parts.userNetwork?.gateway;
    this.dialPod = parts.userNetwork && ((...to) => this.#dial(...to));
  }

  async version(): Promise<{ name: string; version: string }> {
    return { name: 'sandbox', version: this.#parts.version ?? '0.1.0' };
  }

  async status(): Promise<RuntimeStatus> {
    return {
      ready: true,
      limitations: [
        'images are recorded, not pulled: containers run the programs of this machine, and need a command',
        'seccomp profiles from files are refused',
        this.#networkLimitation(),
        ...(this.#parts.plainUser ? plainUserLimitations : []),
        ...this.#parts.groups.limitations(),
      ],
      runsOnHostFiles: true,
      supplementalGroupsPolicy: true,
      handlers: [{ name: '', recursiveReadOnlyMounts: true }],
    };
  }

  async runPodSandbox(config: PodSandboxConfig): Promise<string> {
    if (config.runtimeHandler !== '') throw new Error(`no runtime for ${JSON.stringify(config.runtimeHandler)} is configured`);
    return (await this.#parts.pods.run(config)).id;
  }

  async stopPodSandbox(sandboxId: string): Promise<void> {
    const running = this.#parts.containers.list().filter((entry) => entry.record.sandboxId === sandboxId);
    await Promise.all(running.map((entry) => this.#parts.containers.stop(entry, 0)));
    await this.#parts.pods.stop(sandboxId);
  }

  async removePodSandbox(sandboxId: string): Promise<void> {
    await this.stopPodSandbox(sandboxId);
    const own = this.#parts.containers.list().filter((entry) => entry.record.sandboxId === sandboxId);
    await Promise.all(own.map((entry) => this.#parts.containers.remove(entry)));
    await this.#parts.pods.remove(sandboxId);
  }

  async podSandboxStatus(sandboxId: string): Promise<PodSandboxStatus | undefined> {
    const record = this.#parts.pods.get(sandboxId);
    return record && this.#parts.pods.status(record);
  }

  async listPodSandboxes(): Promise<readonly PodSandboxStatus[]> {
    return this.#parts.pods.list().map((record) => this.#parts.pods.status(record));
  }

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    const pod = this.#parts.pods.get(sandboxId);
    if (!pod) throw new Error(`sandbox ${sandboxId} not found`);
    if ((config.imageMounts ?? []).length > 0) {
      throw new RuntimeRefusal('CreateContainerError', 'image volumes need a runtime with images: the sandbox runtime pulls none');
    }
    return this.#parts.containers.create(pod, config);
  }

  async startContainer(containerId: string): Promise<void> {
    return this.#parts.containers.start(this.#entry(containerId));
  }

  async updateContainerResources(containerId: string, resources: ContainerResources): Promise<void> {
    if (this.#parts.containers.get(containerId)) await this.#parts.groups.update(containerId, resources);
  }

  async stopContainer(containerId: string, timeoutMs: number): Promise<void> {
    const entry = this.#parts.containers.get(containerId);
    if (entry) await this.#parts.containers.stop(entry, timeoutMs);
  }

  async removeContainer(containerId: string): Promise<void> {
    const entry = this.#parts.containers.get(containerId);
    if (entry) await this.#parts.containers.remove(entry);
  }

  async containerStatus(containerId: string): Promise<ContainerStatus | undefined> {
    const entry = this.#parts.containers.get(containerId);
    return entry && containerStatus(entry);
  }

  async listContainers(): Promise<readonly ContainerStatus[]> {
    return this.#parts.containers.list().map(containerStatus);
  }

  async execSync(containerId: string, command: readonly string[], timeoutMs: number): Promise<ExecSyncResult> {
    const { launcher, clock } = this.#parts;
    return execSync(launcher, await this.#execInstructions(containerId, command, false), timeoutMs, clock);
  }

  async exec(containerId: string, options: StreamExec, signal: AbortSignal): Promise<number> {
    const { state } = this.#parts;
    const instructions = await this.#execInstructions(containerId, options.command, options.tty);
    const programPath = join(state.memory, `exec-${randomBytes(8).toString('hex')}`);
    return execStreams({ launchProgram: state.launchProgram, programPath, instructions }, options, signal);
  }

  async attach(containerId: string, options: Omit<StreamExec, 'command'>, signal: AbortSignal): Promise<number> {
    const { containers } = this.#parts;
    const entry = this.#entry(containerId);
    const { config } = entry.record;
    const { pid } = entry.state;
    // The process may have ended a moment ago: output that is over must be had from the log, so the client has to know.
    const state = entry.status === 'running' && (pid === undefined || (await parentOf(pid)) === undefined) ? 'exited' : entry.status;
    if (state !== 'running' || pid === undefined) {
      throw new RuntimeRefusal('AttachFailed', `container ${containerId} is not running: its state is ${state}`);
    }
    const stdin = config.stdin ? { closeAfterFirst: config.stdinOnce, close: () => containers.closeStdin(entry) } : undefined;
    const deps = { runDirectory: entry.paths.run, log: entry.log, ended: entry.ended.promise, pid, stdin };
    return attachStreams(deps, options, signal);
  }

  async portForward(sandboxId: string, port: number, stream: StreamPair, signal: AbortSignal): Promise<void> {
    const entry = this.#networkEntry(sandboxId);
    return entry ? forwardInNamespace(entry, port, stream, signal) : forwardOnHost(port, stream, signal);
  }

  async imageStatus(image: string): Promise<ImageStatus | undefined> {
    return { id: image, repoTags: [image], repoDigests: [], sizeBytes: 0, uid: 0, username: '', pinned: true };
  }

  async imageFilesystem(): Promise<undefined> {
    return undefined;
  }

  async pullImage(image: string): Promise<string> {
    return image;
  }

  async listImages(): Promise<readonly ImageStatus[]> {
    return [];
  }

  async removeImage(): Promise<void> {}

  async containerStats(): Promise<readonly ContainerStats[]> {
    const running = this.#parts.containers.list().filter((entry) => entry.status === 'running');
    const stats = running.map(async ({ record, paths }) => {
      const none = { cpuUsageNs: 0, memoryWorkingSetBytes: 0 };
      const [usage, writableLayerBytes] = await Promise.all([this.#parts.groups.usage(record.id), diskUsageBytes(paths.upper)]);
      return { containerId: record.id, ...(usage ?? none), writableLayerBytes };
    });
    return Promise.all(stats);
  }

  async reopenContainerLog(containerId: string): Promise<void> {
    await this.#entry(containerId).log.reopen();
  }

  events(signal: AbortSignal): AsyncIterable<RuntimeEvent> {
    return this.#parts.events.subscribe(signal);
  }

  async close(): Promise<void> {
    await this.#parts.containers.close();
    // Stopped pods need neither mounts nor network; the next start finds their records and makes both anew.
    const { pods, containers } = this.#parts;
    const inUse =
      pods.list().some((record) => pods.status(record).state === 'ready') || containers.list().some(({ status }) => status !== 'exited');
    if (inUse) return this.#parts.launcher.close();
    await this.#parts.groups.removeRoot();
    await this.#parts.bridge?.close();
    this.#parts.launcher.close();
    if (this.#parts.plainUser) await removeTree(this.#parts.state.memory);
    else await runTool('umount', [this.#parts.state.memory]);
  }

  #entry(containerId: string): ContainerEntry {
    const entry = this.#parts.containers.get(containerId);
    if (!entry) throw new Error(`container ${containerId} not found`);
    return entry;
  }

  #networkLimitation(): string {
    const { bridge, userNetwork, sharedNetworkReason } = this.#parts;
    if (bridge) return 'pods reach each other and this machine, not other networks; host ports are not served';
    return userNetwork?.limitation ?? `pods share the network of this machine${sharedNetworkReason ? `: ${sharedNetworkReason}` : ''}`;
  }

  async #dial(sandboxId: string, host: string, port: number, signal: AbortSignal): Promise<Duplex> {
    const entry = this.#networkEntry(sandboxId);
    if (!entry) throw new Error(`sandbox ${sandboxId} has no network of its own`);
    return dialInNamespace(entry, host, port, signal);
  }

  /** How a process gets into the network of a pod; undefined for the network of the machine. */
  #networkEntry(sandboxId: string): NamespaceForward | undefined {
    const { pods, state } = this.#parts;
    const pod = pods.get(sandboxId);
    if (!pod || !pods.isReady(pod)) throw new RuntimeRefusal('PortForwardFailed', `sandbox ${sandboxId} is not running`);
    const { user, net } = pods.namespaces(pod);
    if (net === undefined) return undefined;
    return {
      launchProgram: state.launchProgram,
      programPath: join(state.memory, `forward-${randomBytes(8).toString('hex')}`),
      enter: [...(user === undefined ? [] : [['enter', user, namespaceFlags.user] as const]), ['enter', net, namespaceFlags.network]],
    };
  }

  async #execInstructions(containerId: string, command: readonly string[], tty: boolean): Promise<Instruction[]> {
    const { groups, pods, plainUser } = this.#parts;
    const entry = this.#entry(containerId);
    const { record, paths } = entry;
    const pid = entry.state.pid;
    if (entry.status !== 'running' || pid === undefined) {
      throw new RuntimeRefusal('ExecFailed', `container ${containerId} is not running: its state is ${entry.status}`);
    }
    const program = await readFile(paths.program);
    const namespace = (name: string, flag: number): Instruction => ['enter', `/proc/${pid}/ns/${name}`, flag];
    const config: ContainerConfig = { ...record.config, env: [], command: [], args: [] };
    return [
      ['report_errors'],
      ...groups.entryFiles(record.id).map((file): Instruction => ['write', file, '0']),
      ...(plainUser ? [namespace('user', namespaceFlags.user)] : []),
      namespace('pid', namespaceFlags.pid),
      namespace('ipc', namespaceFlags.ipc),
      namespace('uts', namespaceFlags.uts),
      ...(plainUser && !pods.get(record.sandboxId)?.ownNetwork ? [] : [namespace('net', namespaceFlags.network)]),
      namespace('cgroup', namespaceFlags.cgroup),
      namespace('mnt', namespaceFlags.mount),
      ['descend', tty ? 'terminal' : 'pipes', record.identity.uid],
      ...identityInstructions({ identity: record.identity, capabilities: record.capabilities, config, plainUser }).filter(
        ([name]) => name !== 'own_streams',
      ),
      ['chdir', config.workingDir === '' ? '/' : config.workingDir],
      ['env', ...(argumentsOf(program, 'env') ?? []), ...(tty ? ['TERM=xterm'] : [])],
      ['exec', ...command],
    ];
  }
}

interface OpenedNetwork {
  readonly bridge?: BridgeNetwork;
  readonly user?: UserNetwork;
  /** Why pods share the machine's network. */
  readonly reason?: string;
}

/** Without a network for pods the runtime still works: they then share the machine's, and the status says why. */
async function openNetwork(
  { network, stateDir, logger }: SandboxRuntimeOptions,
  plainUser: boolean,
  runProgram: (instructions: readonly Instruction[]) => Promise<void>,
): Promise<OpenedNetwork> {
  if (network === undefined) return {};
  try {
    if (plainUser) return { user: await UserNetwork.open(stateDir, network, runProgram) };
    return { bridge: await BridgeNetwork.open(stateDir, network.podCidr, runProgram) };
  } catch (error) {
    logger.warn('pods share the network of this machine', { err: error });
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

/** A plain user mounts nothing: a directory on the machine's tmpfs for shared memory. */
function plainUserMemory(stateDir: string): string {
  return `/dev/shm/coffer-${createHash('sha256').update(`${process.getuid?.()} ${stateDir}`).digest('hex').slice(0, 16)}`;
}

/** The name can be guessed: a directory that somebody else made there is not used. */
async function requireOwn(directory: string): Promise<void> {
  const { uid, mode } = await stat(directory);
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0) throw new Error(`${directory} exists and is not this user's own`);
}

/** A tmpfs for environments and commands, without swap where the kernel can. */
async function mountMemory(state: StateDirectory): Promise<void> {
  if ((await stat(state.memory)).dev !== (await stat(state.root)).dev) return;
  const mount = (options: string) => runTool('mount', ['-t', 'tmpfs', '-o', options, 'coffer-memory', state.memory]);
  if ((await mount('mode=0700,nosuid,nodev,noexec,noswap')).code === 0) return;
  const result = await mount('mode=0700,nosuid,nodev,noexec');
  if (result.code !== 0) throw new Error(`cannot mount a tmpfs at ${state.memory}: ${result.stderr.trim()}`);
}

async function availableCapabilities(): Promise<bigint> {
  const text = await readFile('/proc/self/status', 'utf8');
  return BigInt(`0x${/^CapBnd:\s*([0-9a-f]+)$/m.exec(text)?.[1] ?? '0'}`);
}

/** Device files directly below /dev, for privileged containers; not links such as `/dev/stdin`, which lead to whatever this process has open. */
async function hostDevices(): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir('/dev')) {
    const info = await lstat(join('/dev', name)).catch(() => undefined);
    if (info?.isCharacterDevice() || info?.isBlockDevice()) found.push(join('/dev', name));
  }
  return found;
}
