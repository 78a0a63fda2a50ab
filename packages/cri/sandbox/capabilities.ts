/** Linux capabilities by name, the default set of containers, and what `add` and `drop` of a security context make of it. */

const names = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
] as const;

/** What a container holds when its security context says nothing: the set that container engines agree on. */
export const defaultCapabilities: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FSETID',
  'FOWNER',
  'MKNOD',
  'NET_RAW',
  'SETGID',
  'SETUID',
  'SETFCAP',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'KILL',
  'AUDIT_WRITE',
];

/** A set of capabilities as the kernel takes it. */
export interface CapabilitySet {
  readonly low: number;
  readonly high: number;
  /** Names of those in the set, without prefix. */
  readonly held: readonly string[];
  /** Numbers of those not in the set, up to the highest that this program knows. */
  readonly dropped: readonly number[];
}

/**
 * The capabilities of a container. `drop: [ALL]` empties the default set, `add: [ALL]` fills it, single names win over ALL, and
 * privileged means all. Throws on a name that is no capability. `available` masks what the machine itself does not have.
 */
export function containerCapabilities(
  security: { readonly privileged: boolean; readonly addCapabilities: readonly string[]; readonly dropCapabilities: readonly string[] },
  available: bigint,
): CapabilitySet {
  const add = security.addCapabilities.map(normalize);
  const drop = security.dropCapabilities.map(normalize);
  let held = security.privileged || add.includes('ALL') ? new Set<string>(names) : new Set(drop.includes('ALL') ? [] : defaultCapabilities);
  if (security.privileged) held = new Set<string>(names);
  for (const name of add) if (name !== 'ALL') held.add(known(name));
  for (const name of drop) if (name !== 'ALL' && !security.privileged) held.delete(known(name));
  return capabilitySet(held, available);
}

function capabilitySet(held: ReadonlySet<string>, available: bigint): CapabilitySet {
  let mask = 0n;
  const kept: string[] = [];
  const dropped: number[] = [];
  // 0 to 63: capabilities of kernels newer than this list are dropped too; the launch program ignores those the kernel does not know.
  for (let number = 0; number < 64; number++) {
    const name = names[number];
    if (name !== undefined && held.has(name) && (available >> BigInt(number)) & 1n) {
      mask |= 1n << BigInt(number);
      kept.push(name);
    } else dropped.push(number);
  }
  return { low: Number(mask & 0xffffffffn), high: Number(mask >> 32n), held: kept, dropped };
}

function normalize(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '');
}

function known(name: string): string {
  if (!(names as readonly string[]).includes(name)) throw new Error(`unknown capability "CAP_${name}"`);
  return name;
}
