/**
 * What a container of the sandbox runtime can see and change of its machine, and what is left of it afterwards. Real containers,
 * real files of this machine: needs root on Linux.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { bind, eventually, exited, logText, podConfig, shellContainer } from '@coffer/cri/runtime/contract-fixtures';
import { createSandboxRuntime } from '@coffer/cri/sandbox/sandbox-runtime';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { bundleScript } from '../support/bundle-script.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0 ? 'needs root on Linux' : undefined;

describe.skipIf(skip !== undefined)(`isolation of the sandbox runtime${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
  let directory: string;
  let runtime: ContainerRuntime | undefined;

  beforeAll(async () => {
    directory = await mkdtemp('/tmp/sandbox-isolation-');
  });

  afterEach(async () => {
    if (!runtime) return;
    for (const pod of await runtime.listPodSandboxes()) await runtime.removePodSandbox(pod.id);
    await runtime.close();
    runtime = undefined;
  });

  afterAll(() => rm(directory, { recursive: true, force: true }));

  const open = async (unsafeDisableMasking = false): Promise<ContainerRuntime> => {
    runtime = await createSandboxRuntime({
      stateDir: join(directory, 'data/runtime'),
      maskedPaths: [join(directory, 'data'), join(directory, 'kubelet')],
      clock: systemClock,
      logger: silentLogger,
      network: {},
      unsafeDisableMasking,
    });
    return runtime;
  };

  const start = async (on: ContainerRuntime, script: string, overrides: Parameters<typeof shellContainer>[2] = {}) => {
    const config = podConfig(join(directory, 'logs'));
    const pod = await on.runPodSandbox(config);
    const id = await on.createContainer(pod, shellContainer('busybox', script, overrides));
    await on.startContainer(id);
    return { pod, id, log: join(config.logDirectory, 'main/0.log') };
  };

  const output = async (on: ContainerRuntime, script: string, overrides: Parameters<typeof shellContainer>[2] = {}): Promise<string> => {
    const { id, pod, log } = await start(on, script, overrides);
    await exited(on, id, 240_000);
    const text = await logText(log);
    await on.removePodSandbox(pod);
    return text;
  };

  describe('twenty canaries', () => {
    const canaries = new Map<string, string>();
    const files: string[] = [];
    let process_: ChildProcess | undefined;

    const canary = (name: string): string => {
      const value = `canary-${randomBytes(12).toString('hex')}`;
      canaries.set(value, name);
      return value;
    };

    const plant = async (name: string, path: string): Promise<void> => {
      files.push(path);
      await writeFile(path, `${canary(name)}\n`);
    };

    beforeAll(async () => {
      for (const path of ['data/pki', 'data/store', 'kubelet/pods/u/volumes/secret', 'kubelet/tokens']) {
        await mkdir(join(directory, path), { recursive: true });
      }
      await plant('key of the CA', join(directory, 'data/pki/ca.key'));
      await plant('kubeconfig', join(directory, 'data/kubeconfig'));
      await plant('store', join(directory, 'data/store/data.mdb'));
      await plant('encryption key', join(directory, 'data/encryption.yaml'));
      await plant("another pod's secret volume", join(directory, 'kubelet/pods/u/volumes/secret/password'));
      await plant('service account token', join(directory, 'kubelet/tokens/token'));
      const name = `.canary-${randomBytes(6).toString('hex')}`;
      for (const place of ['/root', '/home', '/run', '/var/log', '/var/tmp', '/tmp', '/mnt', '/etc/ssl/private', '/var/backups']) {
        if (existsSync(place)) await plant(`file in ${place}`, join(place, name));
      }
      const inProcess = {
        environment: canary('environment of a process of the machine'),
        argument: canary('argument of a process of the machine'),
      };
      process_ = spawn('sleep', ['1000'], {
        argv0: `sleep ${inProcess.argument}`,
        env: { CANARY: inProcess.environment },
        stdio: 'ignore',
      });
    });

    afterAll(async () => {
      process_?.kill('SIGKILL');
      for (const path of files) await rm(path, { force: true });
    });

    const search = [
      'list() { sed "s/[^ -~]/\\n/g" | grep -o "canary-[0-9a-f]\\{24\\}" | sort -u; }',
      'find / \\( -path /proc -o -path /sys \\) -prune -o -type f -mmin -120 -size -200k -print0 2>/dev/null | xargs -0 cat 2>/dev/null | list',
      'for p in /proc/[0-9]*; do cat $p/environ $p/cmdline 2>/dev/null; done | tr "\\0" "\\n" | list',
      'find /dev -type b -exec echo disk {} ";"',
    ].join('\n');

    const found = async (on: ContainerRuntime): Promise<string[]> => {
      const other = await start(
        on,
        `echo ${canary('output of another pod')}; echo ${canary('file that another pod wrote')} > /written; sleep 1000`,
        {
          env: { SECRET: canary('environment of another pod') },
        },
      );
      await eventually('the other pod', async () => ((await logText(other.log)) === '' ? undefined : true));
      const text = await output(on, search, { security: { addCapabilities: ['ALL'] } });
      await on.removePodSandbox(other.pod);
      const lines = new Set(text.split('\n'));
      return [...canaries].filter(([value]) => lines.has(value)).map(([, name]) => name);
    };

    it('are all invisible', { timeout: 300_000 }, async () => {
      expect(await found(await open())).toEqual([]);
      expect(canaries.size).toBe(20);
      for (const [value, name] of canaries) if (name.includes('another pod') && !name.includes('secret volume')) canaries.delete(value);
    });

    it('are all found when masking is switched off, so that the search is worth something', { timeout: 300_000 }, async () => {
      expect((await found(await open(true))).sort()).toEqual([...new Set(canaries.values())].sort());
      expect(canaries.size).toBe(20);
    });
  });

  describe('the files of the machine', () => {
    const digest = async (roots: readonly string[]): Promise<string> => {
      const hash = createHash('sha256');
      const visit = async (path: string): Promise<void> => {
        const info = await lstat(path).catch(() => undefined);
        if (!info) return;
        hash.update(`${path}\0${info.mode}\0${info.uid}\0${info.gid}\0${info.mtimeMs}\0${info.ino}\0`);
        if (info.isDirectory()) for (const name of (await readdir(path)).sort()) await visit(join(path, name));
        else if (info.isSymbolicLink()) hash.update(await readlink(path));
        else if (info.isFile()) hash.update(await readFile(path).catch(() => ''));
      };
      for (const root of roots) await visit(root);
      return hash.digest('hex');
    };
    const writes =
      'for f in /etc/passwd /etc/hosts /etc/hostname /usr/bin/env /root/x /home/x /opt/x; do echo changed >> $f; done; ' +
      'rm -rf /etc/apt /etc/ssl; mkdir -p /etc/new; chmod 777 /etc; chown 1:1 /etc/ssh /home; mv /etc/group /etc/group.moved; ' +
      'mknod /disk b 254 0 && head -c 1 /disk && echo read the disk; true';

    it('do not change, whatever a root container does', { timeout: 120_000 }, async () => {
      const on = await open();
      const roots = ['/etc', '/root/.bashrc', '/usr/bin/env', '/home'];
      const before = await digest(roots);
      expect(await output(on, `(${writes}) 2>/dev/null; head -1 /etc/group.moved`)).toBe('root:x:0:\n');
      expect(await digest(roots)).toBe(before);
      const planted = join(directory, 'planted');
      await mkdir(planted);
      const unplanted = await digest([planted]);
      await output(on, 'echo x > /planted/file', { mounts: [bind(planted, '/planted')] });
      expect(await digest([planted])).not.toBe(unplanted);
    });
  });

  describe('what remains', () => {
    const traces = async (pods: readonly string[]): Promise<string[]> => {
      const state = join(directory, 'data/runtime');
      const mounts = (await readFile('/proc/self/mountinfo', 'utf8'))
        .split('\n')
        .filter((line) => line.includes(`${state}/pods`) || line.includes(`${state}/containers`));
      const processes: string[] = [];
      for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
        const cmdline = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
        if (cmdline.includes(`${state}/`) && Number(pid) !== process.pid) processes.push(cmdline.replaceAll('\0', ' '));
      }
      const hash = createHash('sha256').update(state).digest('hex').slice(0, 8);
      const groups = existsSync(`/sys/fs/cgroup/memory/coffer-${hash}`)
        ? await readdir(`/sys/fs/cgroup/memory/coffer-${hash}`, { withFileTypes: true })
        : [];
      const interfaces = (await readdir('/sys/class/net')).filter((name) => pods.some((pod) => name === `cfv${pod.slice(0, 12)}`));
      const left = await Promise.all(
        ['pods', 'containers', 'memory'].map(async (name) => (await readdir(join(state, name))).filter((entry) => entry !== 'masks')),
      );
      return [
        ...mounts,
        ...processes,
        ...groups.filter((entry) => entry.isDirectory()).map(({ name }) => name),
        ...interfaces,
        ...left.flat(),
      ];
    };

    it('of removed pods is nothing: no mount, process, control group, interface or file', async () => {
      const on = await open();
      const before = await traces([]);
      const config = podConfig(join(directory, 'logs'), { shareProcessNamespace: true });
      const pod = await on.runPodSandbox(config);
      for (const name of ['one', 'two']) {
        const container = shellContainer('busybox', 'sleep 1000 & sleep 1000', {
          name,
          logPath: `${name}/0.log`,
          stdin: name === 'two',
          tty: name === 'two',
        });
        await on.startContainer(await on.createContainer(pod, container));
      }
      expect((await traces([pod])).length).toBeGreaterThan(before.length + 5);
      await on.removePodSandbox(pod);
      await eventually('everything to be gone', async () => ((await traces([pod])).length === before.length ? true : undefined)).catch(
        () => {},
      );
      expect(await traces([pod])).toEqual(before);
    });

    it('are keepers of less than 2 MB, none of them Node', async () => {
      const on = await open();
      const { id } = await start(on, 'sleep 1000');
      const state = join(directory, 'data/runtime');
      const keepers: string[] = [];
      for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
        const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
        if (cwd !== join(state, 'containers', id, 'run')) continue;
        const status = await readFile(`/proc/${pid}/status`, 'utf8');
        keepers.push(/^Name:\s*(.*)$/m.exec(status)?.[1] ?? '');
        expect(Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1])).toBeLessThan(2048);
      }
      expect(keepers).toEqual(['sh']);
    });
  });

  it('lets containers outlive a server that is killed, and adopts them with all their output', { timeout: 60_000 }, async () => {
    const script = await bundleScript(new URL('../support/sandbox-server.ts', import.meta.url));
    const stateDir = join(directory, 'killed');
    const logs = join(directory, 'killed-logs');
    const body = 'i=0; while [ $i -lt 400 ]; do echo "out $i"; echo "err $i" >&2; i=$((i+1)); sleep 0.01; done; exit 6';
    const server = spawn(process.execPath, [script, stateDir, logs, body], { stdio: ['ignore', 'pipe', 'inherit'] });
    const id = await new Promise<string>((resolve) => server.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim())));
    await new Promise((resolve) => setTimeout(resolve, 500));
    server.kill('SIGKILL');
    await new Promise((resolve) => server.once('exit', resolve));
    await new Promise((resolve) => setTimeout(resolve, 500));
    runtime = await createSandboxRuntime({ stateDir, maskedPaths: [], clock: systemClock, logger: silentLogger });
    const [adopted, ...others] = await runtime.listContainers();
    expect(others).toEqual([]);
    expect(adopted).toMatchObject({ id, state: 'running', attempt: 2 });
    const status = await exited(runtime, id);
    expect(status).toMatchObject({ exitCode: 6, attempt: 2, startedAtMs: adopted?.startedAtMs });
    const lines = (await logText(status.logPath)).trim().split('\n');
    expect(lines.filter((line) => line.startsWith('out'))).toEqual(Array.from({ length: 400 }, (_, i) => `out ${i}`));
    expect(lines.filter((line) => line.startsWith('err'))).toEqual(Array.from({ length: 400 }, (_, i) => `err ${i}`));
  });
});
