import { describe, expect, it } from 'vitest';
import { containerCapabilities } from './capabilities.ts';

const all = (1n << 41n) - 1n;
const none = { privileged: false, addCapabilities: [], dropCapabilities: [] };

function mask(set: { low: number; high: number }): string {
  return ((BigInt(set.high) << 32n) | BigInt(set.low)).toString(16);
}

describe('containerCapabilities', () => {
  // The masks are what /proc/PID/status shows in containers of containerd with the same settings.
  const cases = [
    { name: 'the default set', security: none, expected: 'a80425fb' },
    { name: 'drop ALL', security: { ...none, dropCapabilities: ['ALL'] }, expected: '0' },
    { name: 'drop ALL, add one', security: { ...none, dropCapabilities: ['ALL'], addCapabilities: ['NET_BIND_SERVICE'] }, expected: '400' },
    { name: 'add one', security: { ...none, addCapabilities: ['SYS_TIME'] }, expected: 'aa0425fb' },
    { name: 'names with prefix, in any case', security: { ...none, dropCapabilities: ['cap_chown'] }, expected: 'a80425fa' },
    { name: 'add ALL', security: { ...none, addCapabilities: ['ALL'] }, expected: '1ffffffffff' },
    { name: 'add ALL, drop one', security: { ...none, addCapabilities: ['ALL'], dropCapabilities: ['CHOWN'] }, expected: '1fffffffffe' },
    { name: 'privileged', security: { ...none, privileged: true }, expected: '1ffffffffff' },
  ];
  for (const { name, security, expected } of cases) {
    it(name, () => expect(mask(containerCapabilities(security, all))).toBe(expected));
  }

  it('never holds what the machine does not have', () => {
    expect(mask(containerCapabilities({ ...none, privileged: true }, 0b101n))).toBe('5');
  });

  it('drops every other capability, also those of newer kernels', () => {
    const { dropped } = containerCapabilities(none, all);
    expect(dropped).toHaveLength(64 - 14);
    expect(dropped).toContain(63);
    expect(dropped).not.toContain(0);
  });

  it('refuses what is no capability', () => {
    expect(() => containerCapabilities({ ...none, addCapabilities: ['FLY'] }, all)).toThrow('unknown capability "CAP_FLY"');
  });
});
