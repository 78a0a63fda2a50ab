/** What a plain user cannot have: said before a container is made, with the reason. */
import { readFile } from 'node:fs/promises';
import { type ContainerConfig, type PodSandboxConfig, RuntimeRefusal } from '../runtime/container-runtime.ts';

const sysAdmin = 1n << 21n;

/** True when this process may mount and make namespaces without a user namespace of its own. */
export async function isPrivileged(): Promise<boolean> {
  const text = await readFile('/proc/self/status', 'utf8');
  return (BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(text)?.[1] ?? '0'}`) & sysAdmin) !== 0n;
}

/** Sentences for `status().limitations`. */
export const plainUserLimitations: readonly string[] = [
  'this is not root: containers run as user 0 of a user namespace only, without other users, groups, privileged mode and host namespaces',
  "this is not root: containers cannot change the machine's own files below directories that root owns, not even in their copy",
];

/** Throws for a pod that needs root. */
export function refusePod(config: PodSandboxConfig): void {
  const wanted = [
    ...(config.hostPid ? ['hostPID'] : []),
    ...(config.hostIpc ? ['hostIPC'] : []),
    ...(config.shareProcessNamespace ? ['shareProcessNamespace'] : []),
    ...(Object.keys(config.sysctls).length > 0 ? ['sysctls'] : []),
  ];
  refuse(`pod "${config.name}"`, wanted);
}

/** Throws for a container that needs root. */
export function refuseContainer(config: ContainerConfig): void {
  const { security } = config;
  const wanted = [
    ...(security.privileged ? ['privileged'] : []),
    ...(security.runAsUser || security.runAsUserName ? ['a user other than 0'] : []),
    ...(security.runAsGroup ? ['a group other than 0'] : []),
    ...(security.supplementalGroups.length > 0 ? ['supplemental groups or fsGroup'] : []),
    ...(config.targetContainerId === undefined ? [] : ['the processes of another container']),
    ...((config.devices ?? []).length > 0 ? ['devices'] : []),
  ];
  refuse(`container "${config.name}"`, wanted);
}

function refuse(what: string, wanted: readonly string[]): void {
  if (wanted.length === 0) return;
  throw new RuntimeRefusal(
    'NeedsRoot',
    `${what} asks for ${wanted.join(', ')}: the sandbox runtime needs root for that, and runs as a plain user here`,
  );
}
