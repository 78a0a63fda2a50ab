import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '@coffer/base/time/clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ControlGroups, cpuWeight, findControlGroups } from './control-groups.ts';
import type { Instruction } from './program.ts';

const resources = {
  memoryLimitBytes: 67_108_864,
  cpuQuotaUs: 50_000,
  cpuPeriodUs: 100_000,
  cpuShares: 1024,
  oomScoreAdj: undefined,
  pidsLimit: 100,
};

/** As the launch program does, but for files that the kernel would make with a group. */
async function carryOut(instructions: readonly Instruction[]): Promise<void> {
  for (const [name, path = '', value = ''] of instructions) {
    if (name === 'mkdir') await mkdir(String(path), { recursive: true });
    else await writeFile(String(path), String(value), { flag: name === 'try_write' ? 'a' : 'w' });
  }
}

describe('ControlGroups', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp('/tmp/control-groups-');
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  const content = (...path: string[]) => readFile(join(root, ...path), 'utf8');

  it('finds nothing in an empty tree, and says what that means', async () => {
    const groups = new ControlGroups(await findControlGroups(root), 'coffer-x', systemClock);
    expect(groups.create('c1', resources)).toEqual([]);
    expect(groups.entryFiles('c1')).toEqual([]);
    expect(groups.limitations()).toEqual([
      'resource limits are not applied and OOMKilled is not reported: no control group is writable here',
    ]);
    expect(await groups.wasOutOfMemory('c1')).toBe(false);
    expect(await groups.usage('c1')).toBeUndefined();
  });

  it('uses one tree per controller in version 1', async () => {
    for (const name of ['memory', 'cpu', 'cpuacct', 'pids']) {
      await mkdir(join(root, name));
      await writeFile(join(root, name, 'cgroup.procs'), '');
    }
    const groups = new ControlGroups(await findControlGroups(root), 'coffer-x', systemClock);
    expect(groups.limitations()).toEqual([]);
    await carryOut(groups.create('c1', resources));
    expect(groups.entryFiles('c1').sort()).toEqual(
      ['cpu', 'cpuacct', 'memory', 'pids'].map((name) => join(root, name, 'coffer-x/c1/tasks')),
    );
    expect(await content('memory/coffer-x/c1/memory.limit_in_bytes')).toBe('67108864');
    expect(await content('cpu/coffer-x/c1/cpu.shares')).toBe('1024');
    expect(await content('cpu/coffer-x/c1/cpu.cfs_quota_us')).toBe('50000');
    expect(await content('cpu/coffer-x/c1/cpu.cfs_period_us')).toBe('100000');
    expect(await content('pids/coffer-x/c1/pids.max')).toBe('100');
    await groups.update('c1', { ...resources, memoryLimitBytes: 134_217_728, cpuQuotaUs: 20_000 });
    expect(await content('memory/coffer-x/c1/memory.limit_in_bytes')).toBe('134217728');
    expect(await content('memory/coffer-x/c1/memory.memsw.limit_in_bytes')).toBe('134217728');
    expect(await content('cpu/coffer-x/c1/cpu.cfs_quota_us')).toBe('20000');
    await writeFile(join(root, 'memory/coffer-x/c1/memory.oom_control'), 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n');
    await writeFile(join(root, 'memory/coffer-x/c1/memory.usage_in_bytes'), '1000\n');
    await writeFile(join(root, 'memory/coffer-x/c1/memory.stat'), 'cache 5\ninactive_file 1\ntotal_inactive_file 300\n');
    await writeFile(join(root, 'cpuacct/coffer-x/c1/cpuacct.usage'), '12345\n');
    expect(await groups.wasOutOfMemory('c1')).toBe(true);
    expect(await groups.usage('c1')).toEqual({ cpuUsageNs: 12_345, memoryWorkingSetBytes: 700 });
    expect(await groups.ids()).toEqual(['c1']);
  });

  it('names the controllers that are missing', async () => {
    await mkdir(join(root, 'memory'));
    await writeFile(join(root, 'memory/cgroup.procs'), '');
    const groups = new ControlGroups(await findControlGroups(root), 'coffer-x', systemClock);
    expect(groups.limitations()).toEqual([
      'limits of cpu are not applied: the machine has no writable cpu control group',
      'limits of pids are not applied: the machine has no writable pids control group',
    ]);
  });

  // A tree as a machine with version 2 alone shows it: what the kernel makes in each new directory is written by hand.
  it('uses the one tree of version 2', async () => {
    await writeFile(join(root, 'cgroup.controllers'), 'cpuset cpu io memory hugetlb pids\n');
    await writeFile(join(root, 'cgroup.subtree_control'), '');
    const groups = new ControlGroups(await findControlGroups(root), 'coffer-x', systemClock);
    expect(groups.limitations()).toEqual([]);
    await carryOut(groups.create('c1', resources));
    expect(groups.entryFiles('c1')).toEqual([join(root, 'coffer-x/c1/cgroup.procs')]);
    expect(await content('coffer-x/c1/memory.max')).toBe('67108864');
    expect(await content('coffer-x/c1/memory.swap.max')).toBe('0');
    expect(await content('coffer-x/c1/cpu.max')).toBe('50000 100000');
    expect(await content('coffer-x/c1/cpu.weight')).toBe('39');
    expect(await content('coffer-x/c1/pids.max')).toBe('100');
    expect(await content('coffer-x/cgroup.subtree_control')).toBe('+memory+cpu+pids');
    await writeFile(join(root, 'coffer-x/c1/memory.events'), 'low 0\nhigh 0\nmax 12\noom 1\noom_kill 1\noom_group_kill 0\n');
    await writeFile(join(root, 'coffer-x/c1/memory.current'), '5000\n');
    await writeFile(join(root, 'coffer-x/c1/memory.stat'), 'anon 1\nfile 2\ninactive_file 1000\n');
    await writeFile(join(root, 'coffer-x/c1/cpu.stat'), 'usage_usec 77\nuser_usec 50\n');
    await writeFile(join(root, 'coffer-x/c1/cgroup.procs'), '12\n13\n');
    expect(await groups.wasOutOfMemory('c1')).toBe(true);
    expect(await groups.usage('c1')).toEqual({ cpuUsageNs: 77_000, memoryWorkingSetBytes: 4000 });
    expect(await groups.processes('c1')).toEqual([12, 13]);
  });

  it('turns shares into weights', () => {
    expect([2, 1024, 262_144, 0].map(cpuWeight)).toEqual([1, 39, 10_000, 1]);
  });
});
