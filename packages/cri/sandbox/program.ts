/**
 * The instructions of the launch program (launch-script.ts) as values, and their encoding: fields ended by NUL. Arguments may be
 * any bytes but NUL, which neither a path, an argument nor an environment variable can hold.
 */
export type Instruction = readonly [name: string, ...arguments_: readonly (string | number | Uint8Array)[]];

/** Encodes instructions for the launch program. Throws when an argument holds NUL. */
export function encodeProgram(instructions: readonly Instruction[]): Buffer {
  const parts: Buffer[] = [];
  // Nearly everything is text: one buffer for what lies between two arguments that are bytes.
  let text = '';
  const refuse = (name: string) => new Error(`an argument of instruction ${name} contains a NUL byte`);
  for (const [name, ...args] of instructions) {
    text += `${name}\0${args.length}\0`;
    for (const arg of args) {
      if (typeof arg === 'object') {
        if (arg.includes(0)) throw refuse(name);
        parts.push(Buffer.from(text), Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength));
        text = '\0';
      } else {
        const value = String(arg);
        if (value.includes('\0')) throw refuse(name);
        text += `${value}\0`;
      }
    }
  }
  parts.push(Buffer.from(text));
  return Buffer.concat(parts);
}

/** The arguments of the last instruction of that name in an encoded program, or undefined. */
export function argumentsOf(program: Buffer, name: string): Buffer[] | undefined {
  const fields = splitFields(program);
  let found: Buffer[] | undefined;
  for (let index = 0; index + 1 < fields.length; ) {
    const count = Number(fields[index + 1]?.toString());
    if (fields[index]?.toString() === name) found = fields.slice(index + 2, index + 2 + count);
    index += 2 + count;
  }
  return found;
}

function splitFields(program: Buffer): Buffer[] {
  const fields: Buffer[] = [];
  for (let start = 0; start < program.length; ) {
    const end = program.indexOf(0, start);
    if (end < 0) break;
    fields.push(program.subarray(start, end));
    start = end + 1;
  }
  return fields;
}

/** Flags of unshare(2) and setns(2). */
export const namespaceFlags = {
  mount: 0x20000,
  cgroup: 0x2000000,
  uts: 0x4000000,
  ipc: 0x8000000,
  user: 0x10000000,
  pid: 0x20000000,
  network: 0x40000000,
} as const;

/** Flags of mount(2). */
export const mountFlags = {
  readOnly: 1,
  noSuid: 2,
  noDev: 4,
  noExec: 8,
  recursive: 0x4000,
  private: 0x40000,
  slave: 0x80000,
  shared: 0x100000,
} as const;

/** Attributes of mount_setattr(2); the first three have the numbers of mount(2). */
export const mountAttributes = { readOnly: 1, noSuid: 2, noDev: 4, noExec: 8 } as const;
