import { describe, expect, it } from 'vitest';
import type { Container, Pod, Volume } from '../types.ts';
import { evictionMessage, isCritical, limitsStorage, type PodUsage, rankForEviction, storageViolation } from './pod-usage.ts';
import type { MetThreshold } from './pressure.ts';

const mebibyte = 1024 * 1024;

function pod(
  name: string,
  parts: { containers?: Container[]; volumes?: Volume[]; priority?: number; annotations?: Record<string, string> },
): Pod {
  const { containers = [{ name: 'c' }], volumes = [], priority = 0, annotations = {} } = parts;
  return { metadata: { name, namespace: 'default', uid: name, annotations }, spec: { containers, volumes, priority }, status: {} };
}

type Sizes = Record<string, number>;

function usage(disk: Sizes, emptyDirs: Sizes = {}, memory: Sizes = {}, memoryDirs: Sizes = {}): PodUsage {
  const names = new Set([...Object.keys(disk), ...Object.keys(memory)]);
  return {
    containers: new Map(
      [...names].map((name) => [name, { diskBytes: (disk[name] ?? 0) * mebibyte, memoryBytes: (memory[name] ?? 0) * mebibyte }]),
    ),
    emptyDirs: new Map(Object.entries(emptyDirs).map(([name, size]) => [name, size * mebibyte])),
    memoryDirs: new Map(Object.entries(memoryDirs).map(([name, size]) => [name, size * mebibyte])),
  };
}

const limited = (name: string, limit: string): Container => ({ name, resources: { limits: { 'ephemeral-storage': limit } } });

describe('storageViolation', () => {
  const cases: readonly { name: string; pod: Pod; usage: PodUsage; expected: string | undefined }[] = [
    { name: 'nothing is limited', pod: pod('p', {}), usage: usage({ c: 1000 }, { v: 1000 }), expected: undefined },
    {
      name: 'an emptyDir at its limit',
      pod: pod('p', { volumes: [{ name: 'v', emptyDir: { sizeLimit: '2Mi' } }] }),
      usage: usage({}, { v: 2 }),
      expected: undefined,
    },
    {
      name: 'an emptyDir above its limit',
      pod: pod('p', { volumes: [{ name: 'v', emptyDir: { sizeLimit: '2Mi' } }] }),
      usage: usage({}, { v: 3 }),
      expected: 'Usage of EmptyDir volume "v" exceeds the limit "2Mi". ',
    },
    {
      name: 'a container above its limit, the pod within',
      pod: pod('p', { containers: [limited('a', '1Mi'), limited('b', '9Mi')] }),
      usage: usage({ a: 2, b: 1 }),
      expected: 'Container a exceeded its local ephemeral storage limit "1Mi". ',
    },
    {
      name: 'an emptyDir in memory above its limit',
      pod: pod('p', { volumes: [{ name: 'v', emptyDir: { medium: 'Memory', sizeLimit: '2Mi' } }] }),
      usage: usage({}, {}, {}, { v: 3 }),
      expected: 'Usage of EmptyDir volume "v" exceeds the limit "2Mi". ',
    },
    {
      name: 'volumes in memory do not count for the pod as a whole',
      pod: pod('p', { containers: [limited('a', '3Mi')], volumes: [{ name: 'v', emptyDir: { medium: 'Memory' } }] }),
      usage: usage({ a: 2 }, {}, {}, { v: 2 }),
      expected: undefined,
    },
    {
      name: 'volumes count for the pod as a whole',
      pod: pod('p', { containers: [limited('a', '3Mi')], volumes: [{ name: 'v', emptyDir: {} }] }),
      usage: usage({ a: 2 }, { v: 2 }),
      expected: 'Pod ephemeral local storage usage exceeds the total limit of containers 3Mi. ',
    },
  ];
  for (const { name, pod: subject, usage: used, expected } of cases) {
    it(name, () => {
      expect(storageViolation(subject, used)).toBe(expected);
      if (expected !== undefined) expect(limitsStorage(subject)).toBe(true);
    });
  }
});

describe('rankForEviction', () => {
  const memory: MetThreshold = {
    signal: 'memory.available',
    condition: 'MemoryPressure',
    resource: 'memory',
    thresholdValue: 100 * mebibyte,
    amount: { available: 50 * mebibyte, capacity: 1000 * mebibyte },
  };
  const requests = (quantity: string): Container[] => [{ name: 'c', resources: { requests: { memory: quantity } } }];
  const used = (size: number) => usage({}, {}, { c: size });

  it('takes those above their requests first, then the least important, then the greediest', () => {
    const candidates = [
      { pod: pod('within', { containers: requests('100Mi'), priority: -5 }), usage: used(90) },
      { pod: pod('important', { priority: 10 }), usage: used(500) },
      { pod: pod('little', { containers: requests('10Mi') }), usage: used(20) },
      { pod: pod('greedy', { containers: requests('10Mi') }), usage: used(200) },
    ];
    expect(rankForEviction(candidates, memory).map(({ pod: { metadata } }) => metadata.name)).toEqual([
      'greedy',
      'little',
      'important',
      'within',
    ]);
  });

  it('says what was low and who used more than it had asked for', () => {
    const text = evictionMessage(memory, { pod: pod('p', { containers: requests('10Mi') }), usage: used(20) });
    expect(text).toBe(
      'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. ' +
        'Container c was using 20Mi, request is 10Mi, has larger consumption of memory. ',
    );
  });
});

describe('isCritical', () => {
  it.each([
    ['an ordinary pod', pod('p', {}), false],
    ['a system pod', pod('p', { priority: 2_000_001_000 }), true],
    ['a pod of a file', pod('p', { annotations: { 'kubernetes.io/config.source': 'file' } }), true],
    ['its mirror', pod('p', { annotations: { 'kubernetes.io/config.mirror': 'x' } }), true],
  ])('%s', (_name, subject, expected) => expect(isCritical(subject)).toBe(expected));
});
