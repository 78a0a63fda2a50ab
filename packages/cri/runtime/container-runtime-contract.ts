/** The behaviour every container runtime has in common: one suite that each implementation runs, with real containers. */
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerRuntime, ContainerStatus, PodSandboxConfig, RuntimeEvent } from './container-runtime.ts';
import { bind, type ContainerOverrides, eventually, exited, logLines, logText, podConfig, shellContainer } from './contract-fixtures.ts';
import { describeContainerStreams } from './contract-streams.ts';

/** One runtime under test. */
export interface ContractSubject {
  /** Connects, or starts. Called again after `close` to show that containers are adopted. */
  readonly open: () => Promise<ContainerRuntime>;
  /** An image with `sh`, `env`, `cat`, `id`, `sleep`, `ls`, `stty` and `nc` or `perl`. */
  readonly image: string;
  /** Called once at the end. */
  readonly dispose: () => Promise<void>;
}

/** Registers the suite. `setUp` runs once; a reason in `skip` skips everything and is printed. */
export function describeContainerRuntime(name: string, skip: string | undefined, setUp: () => Promise<ContractSubject>): void {
  describe.skipIf(skip !== undefined)(`ContainerRuntime ${name}${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
    let subject: ContractSubject;
    let runtime: ContainerRuntime;
    let directory: string;
    const pods: string[] = [];

    beforeAll(async () => {
      directory = await mkdtemp('/tmp/runtime-contract-');
      subject = await setUp();
      runtime = await subject.open();
    });

    afterEach(async () => {
      for (const id of pods.splice(0)) await runtime.removePodSandbox(id);
    });

    afterAll(async () => {
      await runtime?.close();
      await subject?.dispose();
      await rm(directory, { recursive: true, force: true });
    });

    const newPod = async (overrides: Partial<PodSandboxConfig> = {}): Promise<{ id: string; config: PodSandboxConfig }> => {
      const config = podConfig(directory, overrides);
      await mkdir(config.logDirectory, { recursive: true });
      const id = await runtime.runPodSandbox(config);
      pods.push(id);
      return { id, config };
    };

    const start = async (script: string, overrides: ContainerOverrides = {}, podOverrides: Partial<PodSandboxConfig> = {}) => {
      const pod = await newPod(podOverrides);
      const id = await runtime.createContainer(pod.id, shellContainer(subject.image, script, overrides));
      await runtime.startContainer(id);
      return { id, pod, log: join(pod.config.logDirectory, 'main/0.log') };
    };

    const run = async (
      script: string,
      overrides: ContainerOverrides = {},
      podOverrides: Partial<PodSandboxConfig> = {},
    ): Promise<{ text: string; status: ContainerStatus; log: string }> => {
      const { id, log } = await start(script, overrides, podOverrides);
      const status = await exited(runtime, id);
      return { text: await logText(log), status, log };
    };

    describe('a container', () => {
      it('runs to its end and reports its exit status', async () => {
        const { status } = await run('exit 42');
        expect(status).toMatchObject({ state: 'exited', exitCode: 42, reason: 'Error', name: 'main', attempt: 0 });
        // The end is seen by another part of a runtime than the start, and of a short run it may be seen first.
        expect(status.createdAtMs).toBeLessThanOrEqual(Math.min(status.startedAtMs ?? 0, status.finishedAtMs ?? 0));
        expect((await run('true')).status).toMatchObject({ exitCode: 0, reason: 'Completed' });
      });

      it('reports 128 plus the signal that ended it', async () => {
        const { status } = await run('sh -c "kill -9 \\$\\$" & wait $!; exit $?');
        expect(status.exitCode).toBe(137);
      });

      it('writes its log in CRI format, both streams, with what has no newline at the end', async () => {
        const { log } = await run('echo one; sleep 0.1; echo two >&2; sleep 0.1; printf three');
        expect(await logLines(log)).toEqual([
          { stream: 'stdout', tag: 'F', content: 'one' },
          { stream: 'stderr', tag: 'F', content: 'two' },
          { stream: 'stdout', tag: 'P', content: 'three' },
        ]);
      });

      it('loses none of a lot of output, and splits long lines', async () => {
        const script = 'i=0; while [ $i -lt 3000 ]; do echo "line $i"; i=$((i+1)); done; head -c 40000 /dev/zero | tr "\\0" x; echo';
        const { log } = await run(script);
        const lines = await logLines(log);
        expect(lines.slice(0, 3000).map(({ content }) => content)).toEqual(Array.from({ length: 3000 }, (_, i) => `line ${i}`));
        expect(lines.slice(3000).map(({ tag }) => tag)).toEqual(['P', 'P', 'F']);
        expect(
          lines
            .slice(3000)
            .map(({ content }) => content)
            .join(''),
        ).toBe('x'.repeat(40_000));
      });

      it('can open its standard streams by name', async () => {
        const { text } = await run('echo a > /dev/stdout; echo b >> /dev/stderr; echo c > /proc/self/fd/1');
        expect(text.split('\n').sort()).toEqual(['', 'a', 'b', 'c']);
      });

      it('gets its environment byte for byte under any name', async () => {
        const awkward = Buffer.from('\x01\n\'"$`\\=ü🙂');
        const env: [string, string | Uint8Array][] = [
          ['plain', 'x'],
          ['with.dot', 'two\nlines\n'],
          ['with-dash', ''],
          ['__proto__', 'p'],
          ['constructor', 'c'],
          ['BYTES', awkward],
          ['twice', 'first'],
          ['twice', 'second'],
        ];
        const { text } = await run('', { command: ['cat', '/proc/self/environ'], env });
        const found = new Map(text.split('\0').map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
        expect(found.get('plain')).toBe('x');
        expect(found.get('with.dot')).toBe('two\nlines\n');
        expect(found.get('with-dash')).toBe('');
        expect(found.get('__proto__')).toBe('p');
        expect(found.get('constructor')).toBe('c');
        expect(found.get('BYTES')).toBe(awkward.toString('latin1'));
        expect(found.get('twice')).toBe('second');
        expect(found.get('PATH')).toContain('/usr/bin');
        expect(text.split('\0').filter((entry) => entry.startsWith('twice='))).toHaveLength(1);
      });

      it('takes values as large as the kernel does', async () => {
        const { text } = await run('printf %s "$BIG" | wc -c', { env: { BIG: 'x'.repeat(120_000) } });
        expect(text).toBe('120000\n');
      });

      it('runs command and args with every byte as given', async () => {
        const { text } = await run('', { command: ['printf', '%s|'], args: ['a b', '', '$HOME', '"', "'", 'ü\n'] });
        expect(Buffer.from(text, 'latin1').toString()).toBe('a b||$HOME|"|\'|ü\n|');
      });

      it('is process 1 of a process namespace of its own', async () => {
        const { text } = await run('echo $$; ls -d /proc/[0-9]* | wc -l');
        const [own, count] = text.trim().split('\n').map(Number);
        expect(own).toBe(1);
        expect(count).toBeLessThanOrEqual(4);
      });

      it('has the host name of its pod', async () => {
        expect((await run('hostname', {}, { hostname: 'my-pod' })).text).toBe('my-pod\n');
      });

      it('starts in its working directory, which is made when missing', async () => {
        expect((await run('pwd', { workingDir: '/made/for/it' })).text).toBe('/made/for/it\n');
        expect((await run('pwd')).text).toBe('/\n');
      });

      it('fails to start in the words of upstream when its command does not exist', async () => {
        const pod = await newPod();
        const id = await runtime.createContainer(pod.id, shellContainer(subject.image, '', { command: ['no-such-program'] }));
        await expect(runtime.startContainer(id)).rejects.toThrow('exec: "no-such-program": executable file not found in $PATH');
        expect(await exited(runtime, id)).toMatchObject({ exitCode: 128, reason: 'StartError' });
        const other = await runtime.createContainer(
          pod.id,
          shellContainer(subject.image, '', { name: 'other', logPath: 'other/0.log', command: ['/no/such'] }),
        );
        await expect(runtime.startContainer(other)).rejects.toThrow('exec: "/no/such": stat /no/such: no such file or directory');
      });

      it('keeps its state in statuses and lists', async () => {
        const pod = await newPod({ labels: { app: 'x' }, annotations: { note: 'y' } });
        const id = await runtime.createContainer(pod.id, shellContainer(subject.image, 'sleep 100', { labels: { l: '1' }, attempt: 3 }));
        expect(await runtime.containerStatus(id)).toMatchObject({
          id,
          sandboxId: pod.id,
          state: 'created',
          attempt: 3,
          labels: { l: '1' },
        });
        await runtime.startContainer(id);
        expect((await runtime.listContainers()).find((container) => container.id === id)).toMatchObject({ state: 'running', attempt: 3 });
        const found = (await runtime.listPodSandboxes()).find((sandbox) => sandbox.id === pod.id);
        expect(found).toMatchObject({ state: 'ready', uid: pod.config.uid, labels: { app: 'x' }, annotations: { note: 'y' } });
        expect(await runtime.containerStatus('0'.repeat(64))).toBeUndefined();
        expect(await runtime.podSandboxStatus('0'.repeat(64))).toBeUndefined();
      });
    });

    describe('stopping', () => {
      it('sends SIGTERM first and lets the container end by itself', async () => {
        const { id, log } = await start('trap "echo bye; exit 5" TERM; echo ready; while :; do sleep 0.05; done');
        await eventually('the trap', async () => ((await logText(log)) === 'ready\n' ? true : undefined));
        await runtime.stopContainer(id, 10_000);
        expect(await runtime.containerStatus(id)).toMatchObject({ state: 'exited', exitCode: 5 });
        expect(await logText(log)).toBe('ready\nbye\n');
      });

      it('kills what does not end in time', async () => {
        const { id } = await start('trap "" TERM; while :; do sleep 1; done');
        await runtime.stopContainer(id, 200);
        expect(await runtime.containerStatus(id)).toMatchObject({ state: 'exited', exitCode: 137 });
      });

      it('is idempotent, also for what does not exist', async () => {
        const { id, pod } = await start('sleep 100');
        await runtime.stopContainer(id, 0);
        await runtime.stopContainer(id, 0);
        await runtime.removeContainer(id);
        await runtime.removeContainer(id);
        await runtime.stopPodSandbox(pod.id);
        await runtime.stopPodSandbox(pod.id);
        await runtime.removePodSandbox(pod.id);
        await runtime.removePodSandbox(pod.id);
        await runtime.stopContainer('0'.repeat(64), 0);
      });

      it('stops the containers of a stopped pod, which is then not ready', async () => {
        const { id, pod } = await start('sleep 100');
        await runtime.stopPodSandbox(pod.id);
        expect(await runtime.containerStatus(id)).toMatchObject({ state: 'exited', exitCode: 137 });
        expect((await runtime.podSandboxStatus(pod.id))?.state).toBe('not-ready');
      });
    });

    describe('files', () => {
      it('mounts directories and files where the spec says, also below each other', async () => {
        const data = join(directory, 'data');
        await mkdir(join(data, 'inner'), { recursive: true });
        await writeFile(join(data, 'file'), 'content\n');
        await writeFile(join(directory, 'single'), 'single\n');
        const { text } = await run('cat /etc/x/file /etc/x/inner/file /etc/hosts; echo new > /etc/x/inner/written', {
          mounts: [bind(data, '/etc/x/inner'), bind(data, '/etc/x', true), bind(join(directory, 'single'), '/etc/hosts')],
        });
        expect(text).toBe('content\ncontent\nsingle\n');
        expect(await readFile(join(data, 'written'), 'utf8')).toBe('new\n');
      });

      it('keeps read-only mounts and a read-only root as they are', async () => {
        const data = join(directory, 'read-only');
        await mkdir(data);
        const { text } = await run(
          'touch /ro/x 2>&1 | grep -o "Read-only"; touch /x 2>&1 | grep -o "Read-only"; touch /rw/x && echo written',
          {
            mounts: [bind(data, '/ro', true), bind(data, '/rw')],
            security: { readOnlyRootFilesystem: true },
          },
        );
        expect(text).toBe('Read-only\nRead-only\nwritten\n');
      });

      it('makes a mount read-only with all that is mounted below it, where it says that it can', async () => {
        const can = (await runtime.status()).handlers.some((handler) => handler.name === '' && handler.recursiveReadOnlyMounts);
        const file = `shm/${basename(directory)}`;
        // Shared memory of the machine is a mount of its own.
        const { text } = await run(`for d in one all; do touch /$d/${file} 2>&1 | grep -o "Read-only" || echo ok; done; rm /one/${file}`, {
          mounts: [bind('/dev', '/one', true), { ...bind('/dev', '/all', true), recursiveReadOnly: can }],
        });
        expect(text).toBe(can ? 'ok\nRead-only\n' : 'ok\nok\n');
      });

      it('has a root of its own: what one container writes another does not see', async () => {
        await run('echo x > /only-here');
        expect((await run('ls /only-here 2>/dev/null || echo absent')).text).toBe('absent\n');
      });

      it('shows a change of a mounted directory at once', async () => {
        const data = join(directory, 'live');
        await mkdir(data);
        const { id } = await start('sleep 100', { mounts: [bind(data, '/live', true)] });
        await writeFile(join(data, 'now'), 'here');
        const { stdout } = await runtime.execSync(id, ['cat', '/live/now'], 5_000);
        expect(Buffer.from(stdout).toString()).toBe('here');
      });

      it('has the devices that programs expect, and no disks', async () => {
        const script =
          'for f in null zero full random urandom tty stdin stdout stderr fd ptmx shm; do [ -e /dev/$f ] || echo no $f; done; find /dev -type b';
        expect((await run(script)).text).toBe('');
        expect((await run('echo x > /dev/null && head -c 4 /dev/zero | wc -c; echo y > /dev/shm/f && cat /dev/shm/f')).text).toBe('4\ny\n');
      });
    });

    describe('identity', () => {
      it('runs as the user, group and groups asked for', async () => {
        const security = { runAsUser: 1234, runAsGroup: 4321, supplementalGroups: [2000, 3000] };
        const { text, status } = await run('id -u; id -g; id -G', { security });
        const [uid, gid, groups] = text.trim().split('\n');
        expect([uid, gid]).toEqual(['1234', '4321']);
        expect((groups ?? '').split(' ').sort()).toEqual(['2000', '3000', '4321']);
        expect(status.state).toBe('exited');
      });

      it('is root without a user, in the default capabilities', async () => {
        const { text } = await run('id -u; grep -E "^Cap(Prm|Eff|Bnd)" /proc/self/status | cut -f 2');
        expect(text).toBe(`0\n${'00000000a80425fb\n'.repeat(3)}`);
      });

      it('adds and drops capabilities', async () => {
        const caps = 'grep ^CapBnd /proc/self/status | cut -f 2';
        expect((await run(caps, { security: { dropCapabilities: ['ALL'], addCapabilities: ['NET_BIND_SERVICE'] } })).text).toBe(
          '0000000000000400\n',
        );
        expect((await run(caps, { security: { dropCapabilities: ['CHOWN'], addCapabilities: ['SYS_TIME'] } })).text).toBe(
          '00000000aa0425fa\n',
        );
      });

      it('gives a user no capabilities', async () => {
        const { text } = await run('grep ^CapEff /proc/self/status | cut -f 2', { security: { runAsUser: 1000 } });
        expect(text).toBe('0000000000000000\n');
      });

      it('forbids new privileges when asked', async () => {
        const { text } = await run('grep ^NoNewPrivs /proc/self/status | cut -f 2', { security: { noNewPrivileges: true } });
        expect(text).toBe('1\n');
      });

      it('has the default seccomp filter when asked', async () => {
        const script =
          'grep ^Seccomp: /proc/self/status | cut -f 2; (unshare -U true || mount -t tmpfs x /mnt) 2>/dev/null || echo denied; ls / > /dev/null && echo works';
        expect((await run(script, { security: { seccomp: { kind: 'runtime-default' } } })).text).toBe('2\ndenied\nworks\n');
        expect((await run('grep ^Seccomp: /proc/self/status | cut -f 2', { security: { seccomp: { kind: 'unconfined' } } })).text).toBe(
          '0\n',
        );
      });

      it('cannot write to what would change the machine', async () => {
        const { text } = await run(
          'for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/uevent_helper; do (echo x > $f) 2>/dev/null && echo wrote $f; done; mount -t tmpfs none /mnt 2>/dev/null && echo mounted; true',
        );
        expect(text.replace('wrote /proc/sysrq-trigger\n', '')).toBe('');
      });
    });

    describeContainerStreams({ runtime: () => runtime, start });

    describe('a pod', () => {
      it('shares processes between its containers when asked', async () => {
        const pod = await newPod({ shareProcessNamespace: true });
        const first = await runtime.createContainer(pod.id, shellContainer(subject.image, '', { command: ['sleep', '7654'] }));
        await runtime.startContainer(first);
        const second = shellContainer(subject.image, 'cat /proc/[0-9]*/cmdline | tr "\\0" " "; echo; [ $$ != 1 ] && echo not first', {
          name: 'second',
          logPath: 'second/0.log',
        });
        const id = await runtime.createContainer(pod.id, second);
        await runtime.startContainer(id);
        await exited(runtime, id);
        const text = await logText(join(pod.config.logDirectory, 'second/0.log'));
        expect(text).toContain('sleep 7654');
        expect(text).toContain('not first');
        await runtime.stopContainer(first, 0);
        expect(await runtime.containerStatus(first)).toMatchObject({ state: 'exited', exitCode: 137 });
      });

      it('lets a container see the processes of another one when asked', async () => {
        const pod = await newPod();
        const target = await runtime.createContainer(pod.id, shellContainer(subject.image, '', { command: ['sleep', '6543'] }));
        await runtime.startContainer(target);
        const config = shellContainer(subject.image, 'tr "\\0" " " < /proc/1/cmdline; echo', {
          name: 'debugger',
          logPath: 'debugger/0.log',
          targetContainerId: target,
        });
        const id = await runtime.createContainer(pod.id, config);
        await runtime.startContainer(id);
        await exited(runtime, id);
        expect(await logText(join(pod.config.logDirectory, 'debugger/0.log'))).toBe('sleep 6543 \n');
        expect((await runtime.containerStatus(target))?.state).toBe('running');
      });

      it('shares memory between its containers', async () => {
        const pod = await newPod();
        const write = await runtime.createContainer(pod.id, shellContainer(subject.image, 'echo shared > /dev/shm/word'));
        await runtime.startContainer(write);
        await exited(runtime, write);
        const read = shellContainer(subject.image, 'cat /dev/shm/word', { name: 'second', logPath: 'second/0.log' });
        const id = await runtime.createContainer(pod.id, read);
        await runtime.startContainer(id);
        await exited(runtime, id);
        expect(await logText(join(pod.config.logDirectory, 'second/0.log'))).toBe('shared\n');
      });

      it('has the name servers of its configuration', async () => {
        const dns = { servers: ['10.0.0.10'], searches: ['default.svc.cluster.local', 'svc.cluster.local'], options: ['ndots:5'] };
        const { text } = await run('cat /etc/resolv.conf', {}, { dns });
        expect(text).toBe('search default.svc.cluster.local svc.cluster.local\nnameserver 10.0.0.10\noptions ndots:5\n');
      });
    });

    it('reopens a log that was moved away', async () => {
      const { id, log } = await start('echo before; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo after');
      await eventually('the first line', async () => ((await logText(log)) === 'before\n' ? true : undefined));
      await rename(log, `${log}.1`);
      await runtime.reopenContainerLog(id);
      await runtime.execSync(id, ['touch', '/tmp/go'], 5_000);
      await exited(runtime, id);
      expect(await logText(`${log}.1`)).toBe('before\n');
      expect(await logText(log)).toBe('after\n');
    });

    it('tells what happens to containers', async () => {
      const abort = new AbortController();
      const events = runtime.events(abort.signal);
      if (!events) return;
      const seen: RuntimeEvent[] = [];
      const reading = (async () => {
        for await (const event of events) seen.push(event);
      })();
      const { id, pod } = await start('true');
      await eventually('the end', async () =>
        seen.some((event) => event.containerId === id && event.type === 'stopped') ? true : undefined,
      );
      const own = seen.filter((event) => event.containerId === id);
      expect(own.map(({ type }) => type)).toEqual(['created', 'started', 'stopped']);
      expect(own[0]).toMatchObject({ sandboxId: pod.id, podUid: pod.config.uid });
      abort.abort();
      await reading.catch(() => {});
    });

    it('ends a container that takes more memory than its limit, and says so', async () => {
      const { status } = await run('x=a; while :; do x=$x$x; done', { resources: { memoryLimitBytes: 32 * 1024 * 1024 } });
      expect(status).toMatchObject({ exitCode: 137, reason: 'OOMKilled' });
    });

    it('gives a running container another limit', async () => {
      const grow = 'i=0; x=a; while [ $i -lt 27 ]; do x=$x$x; i=$((i+1)); done; exit 5';
      const { id } = await start(`while [ ! -e /tmp/go ]; do sleep 0.02; done; ${grow}`, { resources: { memoryLimitBytes: 1024 ** 3 } });
      await runtime.updateContainerResources(id, {
        memoryLimitBytes: 32 * 1024 * 1024,
        cpuQuotaUs: undefined,
        cpuPeriodUs: undefined,
        cpuShares: undefined,
        oomScoreAdj: undefined,
        pidsLimit: undefined,
      });
      await runtime.execSync(id, ['touch', '/tmp/go'], 5_000);
      expect(await exited(runtime, id)).toMatchObject({ exitCode: 137, reason: 'OOMKilled' });
    });

    it('adopts running containers after it was closed and opened again', async () => {
      const { id, log } = await start('echo first; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo last; exit 9');
      const before = await runtime.containerStatus(id);
      await eventually('the first line', async () => ((await logText(log)) === 'first\n' ? true : undefined));
      await runtime.close();
      runtime = await subject.open();
      expect(await runtime.containerStatus(id)).toEqual(before);
      await runtime.execSync(id, ['touch', '/tmp/go'], 5_000);
      expect(await exited(runtime, id)).toMatchObject({ exitCode: 9, attempt: 0 });
      expect(await logText(log)).toBe('first\nlast\n');
      expect((await stat(log)).size).toBeGreaterThan(0);
    });
  });
}
