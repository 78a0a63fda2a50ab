import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@coffer/base/time/clock';
import { describe, expect, it } from 'vitest';
import type { Pod } from '../types.ts';
import { writeAtomically } from './atomic-writer.ts';
import { makeNestedMountPoints, nestedMountPoints } from './nested-mounts.ts';

function podWith(...mounts: readonly (readonly [string, string])[]): Pod {
  return {
    metadata: { name: 'p', namespace: 'default', uid: 'u' },
    spec: { containers: [{ name: 'c', volumeMounts: mounts.map(([name, mountPath]) => ({ name, mountPath })) }] },
    status: {},
  };
}

describe('nestedMountPoints', () => {
  const cases = [
    {
      name: 'nothing below',
      mounts: [
        ['v', '/etc/v'],
        ['w', '/etc/w'],
      ],
      expected: [],
    },
    {
      name: 'one below',
      mounts: [
        ['v', '/etc/v'],
        ['w', '/etc/v/w/'],
      ],
      expected: ['w'],
    },
    {
      name: 'a path that only begins alike',
      mounts: [
        ['v', '/etc/v'],
        ['w', '/etc/v2/w'],
      ],
      expected: [],
    },
    {
      name: 'what lies below a nested one is not its own',
      mounts: [
        ['v', '/d'],
        ['w', '/d/n'],
        ['x', '/d/n/o'],
      ],
      expected: ['n'],
    },
    {
      name: 'deep and relative paths',
      mounts: [
        ['v', '/d'],
        ['w', 'd/a/../b/c'],
      ],
      expected: ['b/c'],
    },
    {
      name: 'a path that climbs stays below the root',
      mounts: [
        ['v', '/../d'],
        ['w', '/../../d/n'],
      ],
      expected: ['n'],
    },
  ] as const;
  for (const { name, mounts, expected } of cases) it(name, () => expect(nestedMountPoints(podWith(...mounts), 'v')).toEqual(expected));
});

describe('a volume with a nested mount point', () => {
  it('keeps it when files are written, change and go', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'nested-'));
    try {
      await makeNestedMountPoints(podWith(['v', '/etc/v'], ['w', '/etc/v/inner']), 'v', directory);
      const file = (text: string) => ({ data: Buffer.from(text), mode: 0o644 });
      await writeAtomically(new Map([['a', file('1')]]), { directory, clock: systemClock });
      await mkdir(join(directory, 'inner', 'used'));
      await writeAtomically(new Map([['b', file('2')]]), { directory, clock: systemClock });
      expect((await readdir(directory)).filter((name) => !name.startsWith('..')).sort()).toEqual(['b', 'inner']);
      expect(await readdir(join(directory, 'inner'))).toEqual(['used']);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
