/** The security context of a container, from the pod's and its own, in the runtime's words. Pure. */
import { join } from 'node:path';
import type { ContainerSecurity, ImageStatus } from '@coffer/cri/runtime/container-runtime';
import type { Container, Pod } from '../types.ts';

const maskedPaths = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** `profiles` is the directory of the node's own seccomp profiles. */
export function containerSecurity(pod: Pod, container: Container, image: ImageStatus | undefined, profiles: string): ContainerSecurity {
  const own = container.securityContext;
  const whole = pod.spec.securityContext;
  const privileged = own?.privileged === true;
  const open = privileged || own?.procMount === 'Unmasked';
  const runAsUser = own?.runAsUser ?? whole?.runAsUser;
  const groups = [...(whole?.supplementalGroups ?? []), ...(whole?.fsGroup === undefined ? [] : [whole.fsGroup])];
  const profile = own?.seccompProfile ?? whole?.seccompProfile;
  return {
    runAsUser: runAsUser ?? image?.uid,
    runAsUserName:
      runAsUser === undefined && image?.uid === undefined && image !== undefined && image.username !== '' ? image.username : undefined,
    runAsGroup: own?.runAsGroup ?? whole?.runAsGroup,
    supplementalGroups: [...new Set(groups)],
    strictGroups: whole?.supplementalGroupsPolicy === 'Strict',
    privileged,
    readOnlyRootFilesystem: own?.readOnlyRootFilesystem === true,
    noNewPrivileges: own?.allowPrivilegeEscalation === false,
    addCapabilities: own?.capabilities?.add ?? [],
    dropCapabilities: own?.capabilities?.drop ?? [],
    seccomp:
      profile?.type === 'Localhost' && profile.localhostProfile !== undefined
        ? { kind: 'localhost', path: join(profiles, profile.localhostProfile) }
        : { kind: profile?.type === 'RuntimeDefault' ? 'runtime-default' : 'unconfined' },
    maskedPaths: open ? [] : maskedPaths,
    readonlyPaths: open ? [] : readonlyPaths,
  };
}

/** Why `runAsNonRoot` forbids this container, or undefined. `description` names pod and container. */
export function nonRootViolation(pod: Pod, container: Container, image: ImageStatus | undefined, description: string): string | undefined {
  const nonRoot = container.securityContext?.runAsNonRoot ?? pod.spec.securityContext?.runAsNonRoot;
  if (nonRoot !== true) return undefined;
  const user = container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser;
  if (user !== undefined) {
    return user === 0 ? `container's runAsUser breaks non-root policy (${description})` : undefined;
  }
  if (image?.uid !== undefined)
    return image.uid === 0 ? `container has runAsNonRoot and image will run as root (${description})` : undefined;
  if (image !== undefined && image.username !== '') {
    return `container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root (${description})`;
  }
  return `container has runAsNonRoot and image will run as root (${description})`;
}
