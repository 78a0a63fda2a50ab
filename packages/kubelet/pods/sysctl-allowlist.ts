/**
 * Which sysctls a pod may set: those that belong to the pod's own namespaces and cannot hurt others, and those that the operator allows
 * beyond. Pure; texts as upstream.
 */
import type { Pod } from '../types.ts';

/** Safe since kernels older than any that this program runs on. */
const safe = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
];

const ipcNames: ReadonlySet<string> = new Set(['kernel.sem']);
const ipcPrefixes = ['kernel.shm', 'kernel.msg', 'fs.mqueue.'];
const netPrefixes = ['net.'];

type Namespace = 'IPC' | 'Net';

/** The namespace that a sysctl, or every sysctl of a pattern, belongs to; undefined when that is the whole machine. */
export function sysctlNamespace(name: string): Namespace | undefined {
  if (ipcNames.has(name) || ipcPrefixes.some((prefix) => name.startsWith(prefix))) return 'IPC';
  return netPrefixes.some((prefix) => name.startsWith(prefix)) ? 'Net' : undefined;
}

/**
 * A sysctl with dots between its parts: `net/ipv4/conf/eth0.1/x` becomes `net.ipv4.conf.eth0/1.x`, as the first separator decides which
 * of the two is meant.
 */
export function dottedSysctl(name: string): string {
  const first = /[./]/.exec(name)?.[0];
  if (first !== '/') return name;
  return name.replace(/[./]/g, (separator) => (separator === '/' ? '.' : '/'));
}

/** What is wrong with the sysctls of a pod; undefined when it may have them. Patterns of the operator may end in `*`. */
export function forbiddenSysctl(pod: Pod, allowedUnsafe: readonly string[]): string | undefined {
  for (const { name: given } of pod.spec.securityContext?.sysctls ?? []) {
    const name = dottedSysctl(given);
    const allowed = [...safe, ...allowedUnsafe].some((pattern) =>
      pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
    );
    if (!allowed) return `${JSON.stringify(name)} not allowlisted`;
    const namespace = sysctlNamespace(name);
    const shared = namespace === 'IPC' ? pod.spec.hostIPC === true : namespace === 'Net' && pod.spec.hostNetwork === true;
    if (shared) return `${JSON.stringify(name)} not allowed with host ${namespace} enabled`;
  }
  return undefined;
}
