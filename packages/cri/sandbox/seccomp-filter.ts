/**
 * The seccomp filter for `RuntimeDefault`: calls that change the machine or make namespaces are answered with EPERM, unless the container
 * holds the capability they are for. It names what is forbidden; engines' own profiles name what is allowed, with much the same effect.
 */

interface ForbiddenCall {
  readonly name: string;
  readonly x64?: number;
  readonly arm64?: number;
  /** Holding one of these allows the call. */
  readonly allowedBy?: readonly string[];
}

const admin = ['SYS_ADMIN'];

const forbiddenCalls: readonly ForbiddenCall[] = [
  { name: 'acct', x64: 163, arm64: 89, allowedBy: ['SYS_PACCT'] },
  { name: 'add_key', x64: 248, arm64: 217 },
  { name: 'bpf', x64: 321, arm64: 280, allowedBy: ['SYS_ADMIN', 'BPF'] },
  { name: 'clock_adjtime', x64: 305, arm64: 266, allowedBy: ['SYS_TIME'] },
  { name: 'clock_settime', x64: 227, arm64: 112, allowedBy: ['SYS_TIME'] },
  { name: 'create_module', x64: 174 },
  { name: 'delete_module', x64: 176, arm64: 106, allowedBy: ['SYS_MODULE'] },
  { name: 'fanotify_init', x64: 300, arm64: 262, allowedBy: admin },
  { name: 'finit_module', x64: 313, arm64: 273, allowedBy: ['SYS_MODULE'] },
  { name: 'fsconfig', x64: 431, arm64: 431, allowedBy: admin },
  { name: 'fsmount', x64: 432, arm64: 432, allowedBy: admin },
  { name: 'fsopen', x64: 430, arm64: 430, allowedBy: admin },
  { name: 'fspick', x64: 433, arm64: 433, allowedBy: admin },
  { name: 'get_kernel_syms', x64: 177 },
  { name: 'init_module', x64: 175, arm64: 105, allowedBy: ['SYS_MODULE'] },
  { name: 'io_uring_enter', x64: 426, arm64: 426 },
  { name: 'io_uring_register', x64: 427, arm64: 427 },
  { name: 'io_uring_setup', x64: 425, arm64: 425 },
  { name: 'ioperm', x64: 173, allowedBy: ['SYS_RAWIO'] },
  { name: 'iopl', x64: 172, allowedBy: ['SYS_RAWIO'] },
  { name: 'kcmp', x64: 312, arm64: 272, allowedBy: ['SYS_PTRACE'] },
  { name: 'kexec_file_load', x64: 320, arm64: 294, allowedBy: ['SYS_BOOT'] },
  { name: 'kexec_load', x64: 246, arm64: 104, allowedBy: ['SYS_BOOT'] },
  { name: 'keyctl', x64: 250, arm64: 219 },
  { name: 'lookup_dcookie', x64: 212, arm64: 18, allowedBy: admin },
  { name: 'mount', x64: 165, arm64: 40, allowedBy: admin },
  { name: 'mount_setattr', x64: 442, arm64: 442, allowedBy: admin },
  { name: 'move_mount', x64: 429, arm64: 429, allowedBy: admin },
  { name: 'nfsservctl', x64: 180, arm64: 42 },
  { name: 'open_by_handle_at', x64: 304, arm64: 265, allowedBy: ['DAC_READ_SEARCH'] },
  { name: 'open_tree', x64: 428, arm64: 428, allowedBy: admin },
  { name: 'perf_event_open', x64: 298, arm64: 241, allowedBy: ['SYS_ADMIN', 'PERFMON'] },
  { name: 'pivot_root', x64: 155, arm64: 41 },
  { name: 'query_module', x64: 178 },
  { name: 'quotactl', x64: 179, arm64: 60, allowedBy: admin },
  { name: 'reboot', x64: 169, arm64: 142, allowedBy: ['SYS_BOOT'] },
  { name: 'request_key', x64: 249, arm64: 218 },
  { name: 'setdomainname', x64: 171, arm64: 162, allowedBy: admin },
  { name: 'sethostname', x64: 170, arm64: 161, allowedBy: admin },
  { name: 'setns', x64: 308, arm64: 268, allowedBy: admin },
  { name: 'settimeofday', x64: 164, arm64: 170, allowedBy: ['SYS_TIME'] },
  { name: 'swapoff', x64: 168, arm64: 225 },
  { name: 'swapon', x64: 167, arm64: 224 },
  { name: 'sysfs', x64: 139 },
  { name: 'syslog', x64: 103, arm64: 116, allowedBy: ['SYS_ADMIN', 'SYSLOG'] },
  { name: 'umount2', x64: 166, arm64: 39, allowedBy: admin },
  { name: 'unshare', x64: 272, arm64: 97, allowedBy: admin },
  { name: 'uselib', x64: 134 },
  { name: 'userfaultfd', x64: 323, arm64: 282 },
  { name: 'ustat', x64: 136 },
  { name: 'vhangup', x64: 153, arm64: 58, allowedBy: ['SYS_TTY_CONFIG'] },
];

const machines = {
  x64: { audit: 0xc000003e, clone: 56, clone3: 435 },
  arm64: { audit: 0xc00000b7, clone: 220, clone3: 435 },
} as const;

/** Flags of clone(2) that make namespaces. */
const namespaceCloneFlags = 0x7e020000;
const allow = 0x7fff0000;
const answer = (errno: number): number => 0x00050000 | errno;
const permissionDenied = 1;
const notImplemented = 38;

/**
 * The filter as the kernel takes it, in hexadecimal digits; undefined for a machine it is not known for. `held` are the container's
 * capabilities, without prefix.
 */
export function defaultSeccompFilter(arch: string, held: ReadonlySet<string>): string | undefined {
  if (arch !== 'x64' && arch !== 'arm64') return undefined;
  const machine = machines[arch];
  const forbidden = forbiddenCalls.filter(({ allowedBy }) => !(allowedBy ?? []).some((name) => held.has(name)));
  const numbers = forbidden.map((call) => call[arch]).filter((number) => number !== undefined);
  const program = [
    load(4),
    // Calls of another kind of machine (32 bit) have other numbers: none of them.
    ...when(notEqual, machine.audit, answer(permissionDenied)),
    load(0),
    ...(arch === 'x64' ? when(atLeast, 0x40000000, answer(permissionDenied)) : []),
    ...numbers.flatMap((number) => when(equal, number, answer(permissionDenied))),
    ...(held.has('SYS_ADMIN')
      ? []
      : [
          // Its flags are in memory, where a filter cannot look; libraries then use clone.
          ...when(equal, machine.clone3, answer(notImplemented)),
          instruction(0x15, 0, 3, machine.clone),
          load(16),
          ...when(anyBit, namespaceCloneFlags, answer(permissionDenied)),
        ]),
    instruction(0x06, 0, 0, allow),
  ];
  return Buffer.concat(program).toString('hex');
}

type Test = (value: number) => Buffer;

const equal: Test = (value) => instruction(0x15, 0, 1, value);
const notEqual: Test = (value) => instruction(0x15, 1, 0, value);
const atLeast: Test = (value) => instruction(0x35, 0, 1, value);
const anyBit: Test = (value) => instruction(0x45, 0, 1, value);

/** Returns `result` when the test holds, goes on otherwise. */
function when(test: Test, value: number, result: number): Buffer[] {
  return [test(value), instruction(0x06, 0, 0, result)];
}

/** Loads 32 bits of what is known of the call: 0 its number, 4 the kind of machine, 16 the first argument. */
function load(offset: number): Buffer {
  return instruction(0x20, 0, 0, offset);
}

function instruction(code: number, ifTrue: number, ifFalse: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(ifTrue, 2);
  bytes.writeUInt8(ifFalse, 3);
  bytes.writeUInt32LE(value >>> 0, 4);
  return bytes;
}
