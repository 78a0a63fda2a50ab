/**
 * From a container's configuration to the instructions that make it: pure, in the order in which they are carried out. The order is
 * the security argument: everything of the machine that the container gets is copied out of the mount tree first (`clone`), then
 * the root changes and the old one is gone, then the copies are attached inside the new root, where no symbolic link can lead out.
 */
import { type ContainerConfig, RuntimeRefusal } from '../runtime/container-runtime.ts';
import type { CapabilitySet } from './capabilities.ts';
import { type Instruction, mountAttributes, mountFlags, namespaceFlags } from './program.ts';
import { type RootLayout, rootInstructions } from './root-layout.ts';
import { defaultSeccompFilter } from './seccomp-filter.ts';
import type { ContainerPaths } from './state-directory.ts';
import type { ProcessIdentity } from './users.ts';

/** Everything that decides how a container is made. */
export interface LaunchInput {
  readonly config: ContainerConfig;
  readonly paths: ContainerPaths;
  readonly hostname: string;
  readonly identity: ProcessIdentity;
  readonly capabilities: CapabilitySet;
  readonly root: RootLayout;
  /** In a user namespace: users, groups and some mounts are what the kernel allows there. */
  readonly plainUser: boolean;
  /** Namespace files to join. */
  readonly namespaces: readonly { readonly path: string; readonly flag: number }[];
  /** Files the first process writes `0` to, to be counted in the container's control groups. */
  readonly cgroupProcs: readonly string[];
  readonly shm: string;
  readonly resolvConf: string | undefined;
  readonly hostnameFile: string | undefined;
  /** Shown to all devices of the machine (privileged). */
  readonly hostDevices: readonly string[];
  /** Paths that would be masked; mounted over again when masking is switched off by a test. */
  readonly unsafeReveal: readonly string[];
}

const standardDevices = ['null', 'zero', 'full', 'random', 'urandom', 'tty'];
const standardPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const alwaysMasked = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/key-users',
  '/proc/kmsg',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/sysrq-trigger',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  '/sys/fs/pstore',
  '/sys/kernel/debug',
  '/sys/kernel/tracing',
];
const alwaysReadOnly = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys'];

/** Instructions that end in the container's command. */
export function containerInstructions(input: LaunchInput): Instruction[] {
  const { config, paths } = input;
  const { security } = config;
  const volumes = mounts(input);
  const devices = deviceMounts(input);
  return [
    ['report'],
    ['errors', `${paths.run}/start-error`],
    ['session'],
    ...(config.tty ? [['controlling_terminal'] as const] : []),
    ...input.cgroupProcs.map((file): Instruction => ['write', file, '0']),
    ...oomScore(config),
    ...input.namespaces.map(({ path, flag }): Instruction => ['enter', path, flag]),
    ['unshare', namespaceFlags.mount | namespaceFlags.uts | namespaceFlags.cgroup | ownIpc(input)],
    ['hostname', input.hostname],
    ...devices.map(({ name, source }): Instruction => ['clone', name, source, 0]),
    ...volumes.map(({ name, source }): Instruction => ['clone', name, source, 1]),
    ['propagation', '/', mountFlags.recursive | mountFlags.slave],
    ...rootMounts(input),
    ['pivot', paths.root],
    ...deviceLinks(),
    ...devices.map(({ name, target }): Instruction => ['attach', name, target, mountAttributes.noSuid, mountFlags.private, 0]),
    ...volumes.map(
      ({ name, target, attributes, propagation, below }): Instruction => ['attach', name, target, attributes, propagation, below ? 1 : 0],
    ),
    ...(security.privileged || input.unsafeReveal.length > 0 ? [] : procRestrictions(config)),
    ...workingDirectory(config, false),
    ...(security.readOnlyRootFilesystem ? [['readonly_root'] as const] : []),
    ['keyring'],
    ...identityInstructions(input),
    ...workingDirectory(config, true),
    ['env', ...containerEnvironment(input)],
    ['exec', ...commandLine(config)],
  ];
}

/** Where the pod has no IPC namespace for all of its containers, a plain user's containers make their own. */
function ownIpc({ plainUser, namespaces }: LaunchInput): number {
  return plainUser && !namespaces.some(({ flag }) => flag === namespaceFlags.ipc) ? namespaceFlags.ipc : 0;
}

/** Instructions that give a process the identity of the container; shared by its first process and by exec. */
export function identityInstructions(input: Pick<LaunchInput, 'identity' | 'capabilities' | 'config' | 'plainUser'>): Instruction[] {
  const { identity, capabilities, config } = input;
  return [
    ['own_streams', identity.uid],
    ...seccompFilter(config, capabilities),
    ['bounding', ...capabilities.dropped],
    ...(config.security.noNewPrivileges ? [['no_new_privileges'] as const] : []),
    ...(input.plainUser
      ? []
      : ([
          ['groups', ...identity.groups],
          ['user', identity.uid, identity.gid],
        ] as const)),
    ...(identity.uid === 0 ? [['capabilities', capabilities.low, capabilities.high] as const] : []),
  ];
}

/** Loaded while the process may still do so without giving up privileges; what follows needs no forbidden call. */
function seccompFilter({ security }: ContainerConfig, { held }: CapabilitySet): Instruction[] {
  if (security.privileged || security.seccomp.kind !== 'runtime-default') return [];
  const filter = defaultSeccompFilter(process.arch, new Set(held));
  return filter === undefined ? [] : [['filter', filter]];
}

/** Command and arguments. A container without a command is refused: there is no image whose entry point could be meant. */
export function commandLine(config: ContainerConfig): readonly string[] {
  if (config.security.seccomp.kind === 'localhost') {
    throw new RuntimeRefusal(
      'CreateContainerError',
      `container "${config.name}": the sandbox runtime cannot load seccomp profiles from files`,
    );
  }
  if (config.command.length === 0) {
    throw new RuntimeRefusal(
      'CommandRequired',
      `container "${config.name}" has no command: the sandbox runtime runs programs of this machine, and image "${config.image}" is only ` +
        'recorded, not pulled, so its entry point is not known; set "command" in the container\'s spec, or start the node with ' +
        '--container-runtime-endpoint to use containerd or CRI-O',
    );
  }
  return [...config.command, ...config.args];
}

/** `NAME=value` of every variable: an image's usual ones first, each name once, the last value wins. */
export function containerEnvironment(input: Pick<LaunchInput, 'config' | 'hostname' | 'identity'>): Uint8Array[] {
  const variables = new Map<string, Uint8Array>();
  const set = (assignment: string): void => {
    variables.set(assignment.slice(0, assignment.indexOf('=')), Buffer.from(assignment));
  };
  set(standardPath);
  set(`HOSTNAME=${input.hostname}`);
  if (input.config.tty) set('TERM=xterm');
  for (const { name, value } of input.config.env) variables.set(name, Buffer.concat([Buffer.from(`${name}=`), value]));
  if (!variables.has('HOME')) set(`HOME=${input.identity.home}`);
  return [...variables.values()];
}

interface PlannedMount {
  readonly name: string;
  readonly source: string;
  readonly target: string;
  readonly attributes: number;
  readonly propagation: number;
  /** Whether what is mounted below is read-only, too, if this is. */
  readonly below: boolean;
}

/** The container's volumes and the files every pod gets, parents before children. */
function mounts(input: LaunchInput): PlannedMount[] {
  const { config } = input;
  const attributes = config.security.privileged ? 0 : mountAttributes.noDev;
  const planned: Omit<PlannedMount, 'name'>[] = [];
  const given = new Set(config.mounts.map(({ containerPath }) => normalized(containerPath)));
  const add = (source: string | undefined, target: string, extra: number): void => {
    if (source !== undefined && !given.has(target)) {
      planned.push({ source, target, attributes: attributes | extra, propagation: mountFlags.private, below: false });
    }
  };
  if (input.plainUser) add('/sys', '/sys', mountAttributes.readOnly);
  add(input.shm, '/dev/shm', mountAttributes.noSuid | mountAttributes.noExec);
  add(input.resolvConf, '/etc/resolv.conf', 0);
  add(input.hostnameFile, '/etc/hostname', 0);
  for (const path of input.unsafeReveal) add(path, path, 0);
  const propagations = { private: mountFlags.private, 'host-to-container': mountFlags.slave, bidirectional: 0 } as const;
  for (const mount of config.mounts) {
    planned.push({
      source: mount.hostPath,
      target: normalized(mount.containerPath),
      attributes: attributes | (mount.readOnly ? mountAttributes.readOnly : 0),
      propagation: propagations[mount.propagation],
      below: mount.recursiveReadOnly === true,
    });
  }
  return planned
    .map((mount, index) => ({ ...mount, name: `volume ${index}` }))
    .sort((a, b) => depth(a.target) - depth(b.target) || Number(a.name.slice(7)) - Number(b.name.slice(7)));
}

function deviceMounts(input: LaunchInput): { name: string; source: string; target: string }[] {
  const byTarget = new Map<string, string>();
  for (const name of standardDevices) byTarget.set(`/dev/${name}`, `/dev/${name}`);
  for (const device of input.hostDevices) byTarget.set(device, device);
  for (const device of input.config.devices ?? []) byTarget.set(device.containerPath, device.hostPath);
  if (input.config.tty) byTarget.set('/dev/console', '/proc/self/fd/0');
  return [...byTarget].map(([target, source]) => ({ name: `device ${target}`, source, target }));
}

function rootMounts({ paths, root: layout, config, plainUser }: LaunchInput): Instruction[] {
  const { noSuid, noDev, noExec, readOnly } = mountFlags;
  const { root } = paths;
  const { privileged } = config.security;
  const sysFlags = noSuid | noDev | noExec | (privileged ? 0 : readOnly);
  return [
    // No device file of the root can be opened, so that a container with CAP_MKNOD does not reach the machine's disks.
    ...rootInstructions(layout, paths, privileged ? 0 : noDev),
    ['mount', 'proc', `${root}/proc`, 'proc', noSuid | noDev | noExec, ''],
    // A plain user may not mount what belongs to the machine's network, but may show what is mounted.
    ...(plainUser ? [] : [['mount', 'sysfs', `${root}/sys`, 'sysfs', sysFlags, ''] as const]),
    ['mount', 'tmpfs', `${root}/dev`, 'tmpfs', noSuid | noDev, 'mode=755,size=65536k'],
    ['mkdir', `${root}/dev/pts`, '755'],
    ['mkdir', `${root}/dev/mqueue`, '755'],
    ['mount', 'devpts', `${root}/dev/pts`, 'devpts', noSuid | noExec, `newinstance,ptmxmode=0666,mode=0620${plainUser ? '' : ',gid=5'}`],
    ['mount', 'mqueue', `${root}/dev/mqueue`, 'mqueue', noSuid | noDev | noExec, ''],
  ];
}

function deviceLinks(): Instruction[] {
  return [
    ['symlink', 'pts/ptmx', '/dev/ptmx'],
    ['symlink', '/proc/self/fd', '/dev/fd'],
    ['symlink', '/proc/self/fd/0', '/dev/stdin'],
    ['symlink', '/proc/self/fd/1', '/dev/stdout'],
    ['symlink', '/proc/self/fd/2', '/dev/stderr'],
  ];
}

function procRestrictions(config: ContainerConfig): Instruction[] {
  const masked = new Set([...alwaysMasked, ...config.security.maskedPaths]);
  const readOnly = new Set([...alwaysReadOnly, ...config.security.readonlyPaths]);
  return [...[...readOnly].map((path): Instruction => ['readonly', path]), ...[...masked].map((path): Instruction => ['mask', path])];
}

/** A missing working directory is made by root before the root becomes read-only; it is entered as the container's user. */
function workingDirectory(config: ContainerConfig, enter: boolean): Instruction[] {
  const path = config.workingDir === '' ? '/' : config.workingDir;
  return [[enter ? 'chdir' : 'cwd', path]];
}

/** Lowering needs a right that the machine may not give: then the container keeps the server's value. */
function oomScore(config: ContainerConfig): Instruction[] {
  const score = config.resources.oomScoreAdj;
  return score === undefined ? [] : [['try_write', '/proc/self/oom_score_adj', score]];
}

function normalized(path: string): string {
  return `/${path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')}`;
}

function depth(path: string): number {
  return path.split('/').length;
}
