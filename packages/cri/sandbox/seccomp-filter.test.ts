import { describe, expect, it } from 'vitest';
import { defaultSeccompFilter } from './seccomp-filter.ts';

/** What the filter answers: a small machine that runs it, written from the kernel's documentation. */
function run(filter: string, call: { readonly number: number; readonly arch: number; readonly argument?: number }): number {
  const program = Buffer.from(filter, 'hex');
  const data = new Map([
    [0, call.number],
    [4, call.arch],
    [16, call.argument ?? 0],
  ]);
  let accumulator = 0;
  for (let at = 0; ; at++) {
    const code = program.readUInt16LE(at * 8);
    const value = program.readUInt32LE(at * 8 + 4);
    const jump = (condition: boolean): void => {
      at += program.readUInt8(at * 8 + (condition ? 2 : 3));
    };
    if (code === 0x06) return value;
    if (code === 0x20) accumulator = data.get(value) ?? 0;
    else if (code === 0x15) jump(accumulator === value);
    else if (code === 0x35) jump(accumulator >= value);
    else if (code === 0x45) jump((accumulator & value) !== 0);
    else throw new Error(`unknown instruction ${code}`);
  }
}

const allow = 0x7fff0000;
const denied = 0x00050001;
const x64 = { arch: 0xc000003e };

describe('defaultSeccompFilter', () => {
  const filter = defaultSeccompFilter('x64', new Set()) ?? '';

  it('forbids what changes the machine', () => {
    for (const number of [165, 166, 272, 308, 169, 175, 246, 250, 321, 425, 442]) expect(run(filter, { ...x64, number })).toBe(denied);
  });

  it('allows what programs do', () => {
    for (const number of [0, 1, 2, 9, 41, 56, 57, 59, 61, 101, 202, 257, 334]) expect(run(filter, { ...x64, number })).toBe(allow);
  });

  it('lets processes be born, but not in new namespaces', () => {
    expect(run(filter, { ...x64, number: 56, argument: 0x01200011 })).toBe(allow);
    expect(run(filter, { ...x64, number: 56, argument: 0x10000011 })).toBe(denied);
    expect(run(filter, { ...x64, number: 435 })).toBe(0x00050026);
  });

  it('forbids calls of other kinds of machines', () => {
    expect(run(filter, { arch: 0x40000003, number: 4 })).toBe(denied);
    expect(run(filter, { ...x64, number: 0x40000001 })).toBe(denied);
  });

  it('follows capabilities', () => {
    const admin = defaultSeccompFilter('x64', new Set(['SYS_ADMIN'])) ?? '';
    expect(run(admin, { ...x64, number: 165 })).toBe(allow);
    expect(run(admin, { ...x64, number: 56, argument: 0x10000011 })).toBe(allow);
    expect(run(admin, { ...x64, number: 175 })).toBe(denied);
    expect(run(defaultSeccompFilter('x64', new Set(['SYS_MODULE'])) ?? '', { ...x64, number: 175 })).toBe(allow);
  });

  it('knows the numbers of the machine', () => {
    const arm = defaultSeccompFilter('arm64', new Set()) ?? '';
    expect(run(arm, { arch: 0xc00000b7, number: 40 })).toBe(denied);
    expect(run(arm, { arch: 0xc00000b7, number: 165 })).toBe(allow);
    expect(defaultSeccompFilter('mips', new Set())).toBeUndefined();
  });
});
