import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { bind, shellContainer } from '../runtime/contract-fixtures.ts';
import { containerCapabilities } from './capabilities.ts';
import { commandLine, containerEnvironment, containerInstructions, type LaunchInput } from './launch-plan.ts';
import { containerScript, launchScript } from './launch-script.ts';
import { StateDirectory } from './state-directory.ts';

function input(overrides: Parameters<typeof shellContainer>[2] = {}): LaunchInput {
  const config = shellContainer('nginx', 'true', overrides);
  return {
    config,
    paths: new StateDirectory('/state').container('c1'),
    hostname: 'web-0',
    identity: { uid: 0, gid: 0, groups: [0], home: '/root' },
    capabilities: containerCapabilities(config.security, (1n << 41n) - 1n),
    root: { kind: 'whole', lowerDirectories: ['/state/memory/masks/1', '/'] },
    plainUser: false,
    namespaces: [{ path: '/state/pods/p/ipc', flag: 0x8000000 }],
    cgroupProcs: [],
    shm: '/state/pods/p/shm',
    resolvConf: '/state/pods/p/resolv.conf',
    hostnameFile: '/state/pods/p/hostname',
    hostDevices: [],
    unsafeReveal: [],
  };
}

const names = (overrides?: Parameters<typeof shellContainer>[2]) => containerInstructions(input(overrides)).map(([name]) => name);

describe('containerInstructions', () => {
  it('copies mounts out before the root changes, attaches them after, gives up rights after that, and ends in the command', () => {
    const order = names({ mounts: [bind('/data', '/srv')] });
    const last = (name: string) => order.lastIndexOf(name);
    expect(order[0]).toBe('report');
    expect(last('enter')).toBeLessThan(order.indexOf('unshare'));
    expect(last('clone')).toBeLessThan(order.indexOf('propagation'));
    expect(order.indexOf('pivot')).toBeLessThan(order.indexOf('attach'));
    expect(last('mask')).toBeLessThan(order.indexOf('bounding'));
    expect(order.indexOf('bounding')).toBeLessThan(order.indexOf('user'));
    expect(order.slice(-3)).toEqual(['chdir', 'env', 'exec']);
  });

  it('attaches parents before children and leaves out what the container mounts itself', () => {
    const instructions = containerInstructions(
      input({ mounts: [bind('/a', '/etc/app/conf.d/'), bind('/b', '/etc//app'), bind('/c', '/etc/hostname'), bind('/d', '/var')] }),
    );
    const targets = instructions
      .filter(([name, source]) => name === 'attach' && String(source).startsWith('volume'))
      .map(([, , target]) => target);
    expect(targets).toEqual(['/var', '/dev/shm', '/etc/resolv.conf', '/etc/app', '/etc/hostname', '/etc/app/conf.d']);
  });

  it('makes what is mounted below a volume read-only only where it is asked to', () => {
    const below = containerInstructions(
      input({ mounts: [bind('/a', '/a', true), { ...bind('/b', '/b', true), recursiveReadOnly: true }] }),
    ).filter(([name, , target]) => name === 'attach' && (target === '/a' || target === '/b'));
    expect(below.map(([, , target, , , readOnlyBelow]) => [target, readOnlyBelow])).toEqual([
      ['/a', 0],
      ['/b', 1],
    ]);
  });

  it('lets no device of a volume or of the root be opened, unless privileged', () => {
    const attributes = (overrides: Parameters<typeof shellContainer>[2]) =>
      containerInstructions(input({ mounts: [bind('/a', '/a', true)], ...overrides }))
        .filter(([name, , target]) => name === 'attach' && target === '/a')
        .map(([, , , set]) => set);
    expect(attributes({})).toEqual([5]);
    expect(attributes({ security: { privileged: true } })).toEqual([1]);
    expect(names({ security: { privileged: true } })).not.toContain('mask');
  });

  it('makes the root read-only only after everything that is made in it', () => {
    const order = names({ security: { readOnlyRootFilesystem: true }, workingDir: '/new' });
    expect(order.lastIndexOf('attach')).toBeLessThan(order.indexOf('readonly_root'));
    expect(order.indexOf('cwd')).toBeLessThan(order.indexOf('readonly_root'));
  });
});

describe('containerEnvironment', () => {
  const environment = (overrides: Parameters<typeof shellContainer>[2]) =>
    containerEnvironment(input(overrides)).map((bytes) => Buffer.from(bytes).toString());

  it('has what images usually bring, each name once, the last value wins', () => {
    const env = [
      ['A', '1'],
      ['A', '2'],
      ['HOSTNAME', 'mine'],
      ['__proto__', 'x'],
    ] as const;
    expect(environment({ env })).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'HOSTNAME=mine',
      'A=2',
      '__proto__=x',
      'HOME=/root',
    ]);
    expect(environment({ tty: true })).toContain('TERM=xterm');
  });
});

describe('commandLine', () => {
  it('refuses a container without a command and says what to do', () => {
    const config = shellContainer('nginx:1.27', '', { command: [], args: ['-g'] });
    expect(() => commandLine(config)).toThrow(
      /sandbox runtime.*image "nginx:1.27" is only recorded.*set "command".*--container-runtime-endpoint/s,
    );
  });
});

describe('launchScript', () => {
  it('is a valid program for the machines it knows, and says so of others', () => {
    for (const [arch, script] of [
      ['x64', launchScript],
      ['x64', containerScript],
      ['arm64', launchScript],
      ['arm64', containerScript],
    ] as const) {
      const check = spawnSync('perl', ['-cw', '-'], { input: `use strict;\n${script(arch) ?? ''}`, encoding: 'utf8' });
      if (check.error) return;
      expect(check.stderr).toBe('- syntax OK\n');
    }
    expect(launchScript('mips')).toBeUndefined();
  });
});
