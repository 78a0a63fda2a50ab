/** What starting and ending `coffer up` promises about the pods: who outlives whom, and what is adopted. Needs root on Linux. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { bundle, CofferProcess, eventually, freePort, runCommand } from '../support/coffer-process.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0 ? 'needs root on Linux' : undefined;

/** A pod whose process is found among those of the machine by a word of its own; a stubborn one has to be killed. */
function sleeper(word: string, stubborn: boolean): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'sleeper' },
    spec: {
      terminationGracePeriodSeconds: 60,
      containers: [
        {
          name: 'main',
          image: 'busybox',
          command: ['sh', '-c', `trap '${stubborn ? '' : 'exit 0'}' TERM; : ${word}; while :; do sleep 1; done`],
        },
      ],
    },
  });
}

async function processesWith(word: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const argv = (await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (argv[0] === 'sh' && argv.some((argument) => argument.startsWith('trap') && argument.includes(word))) found.push(Number(name));
  }
  return found;
}

interface Seen {
  readonly uid: string;
  readonly containerID: string;
  readonly restartCount: number;
}

async function running(coffer: CofferProcess): Promise<Seen> {
  return eventually('the pod to run', async () => {
    const { body } = await coffer.call('GET', '/api/v1/namespaces/default/pods/sleeper');
    const [status] = body?.status?.containerStatuses ?? [];
    if (status?.state?.running === undefined || status.ready !== true) return undefined;
    return { uid: body.metadata.uid, containerID: status.containerID, restartCount: status.restartCount };
  });
}

/** A terminal with `coffer up` in its foreground: what is typed here arrives there. */
function inTerminal(dataDir: string, port: number, args: readonly string[]): ChildProcess {
  const command = [process.execPath, bundle, 'up', '--data-dir', dataDir, '--secure-port', String(port), ...args].join(' ');
  return spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'pipe'] });
}

async function typeCtrlC(terminal: ChildProcess): Promise<{ readonly code: number | null; readonly output: string }> {
  let output = '';
  terminal.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  const code = new Promise<number | null>((resolve) => terminal.once('exit', resolve));
  terminal.stdin?.write('\x03');
  return { code: await code, output };
}

describe.skipIf(skip !== undefined)(`coffer up${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
  let coffer: CofferProcess | undefined;
  let number = 0;
  const word = () => `word-${process.pid}-${number}`;

  afterEach(async () => {
    number += 1;
    await coffer?.dispose();
    coffer = undefined;
  });

  async function startWithPod(stubborn = false): Promise<{ readonly first: CofferProcess; readonly pod: Seen; readonly pid: number }> {
    coffer = await CofferProcess.start();
    expect(await coffer.kubectl(['create', '-f', '-'], { input: sleeper(word(), stubborn) })).toMatchObject({ code: 0 });
    const pod = await running(coffer);
    const [pid = 0, ...others] = await processesWith(word());
    expect(pid).toBeGreaterThan(0);
    expect(others).toEqual([]);
    return { first: coffer, pod, pid };
  }

  it.each(['SIGTERM', 'SIGKILL'] as const)('leaves pods running when it gets %s, and adopts them', { timeout: 60_000 }, async (signal) => {
    const { first, pod, pid } = await startWithPod();
    await first.stop(signal);
    expect(await processesWith(word())).toEqual([pid]);
    coffer = await CofferProcess.start({ dataDir: first.dataDir, port: first.port });
    expect(await running(coffer)).toEqual(pod);
    expect(await processesWith(word())).toEqual([pid]);
  });

  it('stops them at Ctrl-C within its grace, and starts them anew', { timeout: 60_000 }, async () => {
    const { first, pod } = await startWithPod(true);
    await first.stop();
    const terminal = inTerminal(first.dataDir, first.port, ['--token-auth-file', path.join(first.dataDir, 'tokens.csv')]);
    await eventually('the server in the terminal', async () => (await first.call('GET', '/readyz')).status === 200);
    expect(await running(first)).toEqual(pod);
    const { output } = await typeCtrlC(terminal);
    expect(output).toContain('stopping pods');
    expect(await processesWith(word())).toEqual([]);
    coffer = await CofferProcess.start({ dataDir: first.dataDir, port: first.port });
    const restarted = coffer;
    const again = await eventually('a new container', async () => {
      const seen = await running(restarted);
      return seen.containerID === pod.containerID ? undefined : seen;
    });
    expect(again).toMatchObject({ uid: pod.uid, restartCount: 1 });
    await restarted.call('DELETE', '/api/v1/namespaces/default/pods/sleeper?gracePeriodSeconds=0');
  });

  it('leaves them at Ctrl-C with --keep', { timeout: 60_000 }, async () => {
    const { first, pod, pid } = await startWithPod();
    await first.stop();
    const terminal = inTerminal(first.dataDir, first.port, ['--keep', '--token-auth-file', path.join(first.dataDir, 'tokens.csv')]);
    await eventually('the server in the terminal', async () => (await first.call('GET', '/readyz')).status === 200);
    await running(first);
    await typeCtrlC(terminal);
    expect(await processesWith(word())).toEqual([pid]);
    coffer = await CofferProcess.start({ dataDir: first.dataDir, port: first.port });
    expect(await running(coffer)).toEqual(pod);
  });

  it('is stopped with its pods by coffer down, and leaves a directory that can be removed', { timeout: 60_000 }, async () => {
    const { first } = await startWithPod();
    const down = await runCommand(process.execPath, [bundle, 'down', '--data-dir', first.dataDir]);
    expect(down).toMatchObject({ code: 0, stderr: '' });
    expect(await processesWith(word())).toEqual([]);
    const mounts = await readFile('/proc/self/mountinfo', 'utf8');
    expect(mounts).not.toContain(first.dataDir);
  });

  it('leaves a directory that can be removed at SIGTERM when no pod is left', { timeout: 60_000 }, async () => {
    coffer = await CofferProcess.start();
    const first = coffer;
    const api = '/api/v1/namespaces/default';
    await first.call('POST', `${api}/secrets`, { metadata: { name: 's' }, stringData: { word: 'x' } });
    const pod = (name: string, script: string) => ({
      metadata: { name },
      spec: {
        restartPolicy: 'Never',
        terminationGracePeriodSeconds: 1,
        containers: [{ name: 'main', image: 'busybox', command: ['sh', '-c', script], volumeMounts: [{ name: 's', mountPath: '/s' }] }],
        volumes: [{ name: 's', secret: { secretName: 's' } }],
      },
    });
    await first.call('POST', `${api}/pods`, pod('ends', 'cat /s/word'));
    await first.call('POST', `${api}/pods`, pod('stays', 'cat /s/word; exec sleep 1000'));
    const phase = async (name: string) => (await first.call('GET', `${api}/pods/${name}`)).body?.status?.phase;
    await eventually('both pods', async () => (await phase('ends')) === 'Succeeded' && (await phase('stays')) === 'Running');
    await first.call('DELETE', `${api}/pods/stays`);
    await eventually('the pod to be gone', async () => (await first.call('GET', `${api}/pods/stays`)).status === 404);
    await first.stop('SIGTERM');
    const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
    expect(mounts.filter((mount) => mount.includes(first.dataDir))).toEqual([]);
    await rm(first.dataDir, { recursive: true });
  });

  it('stops what the API no longer has when it starts again', { timeout: 60_000 }, async () => {
    const { first } = await startWithPod();
    await first.stop('SIGKILL');
    const without = await CofferProcess.start({ dataDir: first.dataDir, port: first.port, args: ['--runtime', 'none'] });
    expect((await without.call('DELETE', '/api/v1/namespaces/default/pods/sleeper?gracePeriodSeconds=0')).status).toBe(200);
    await without.stop();
    expect(await processesWith(word())).toHaveLength(1);
    coffer = await CofferProcess.start({ dataDir: first.dataDir, port: first.port });
    await eventually('the process to be gone', async () => (await processesWith(word())).length === 0);
  });

  it('names a port that is taken, and ends', { timeout: 60_000 }, async () => {
    coffer = await CofferProcess.start({ args: ['--runtime', 'none'] });
    const dataDir = await mkdtemp(path.join(tmpdir(), 'coffer-test-'));
    const args = ['up', '--data-dir', dataDir, '--secure-port', String(coffer.port), '--runtime', 'none'];
    const second = await runCommand(process.execPath, [bundle, ...args], { timeoutMs: 20_000 });
    expect(second.code).toBe(1);
    await rm(dataDir, { recursive: true });
    expect(second.stderr).toContain(`port ${coffer.port} on 127.0.0.1 is already in use`);
  });

  it('refuses a data directory that another server uses', { timeout: 60_000 }, async () => {
    coffer = await CofferProcess.start({ args: ['--runtime', 'none'] });
    const args = ['up', '--data-dir', coffer.dataDir, '--secure-port', String(await freePort()), '--runtime', 'none'];
    const second = await runCommand(process.execPath, [bundle, ...args], { timeoutMs: 20_000 });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(coffer.dataDir);
    expect((await coffer.call('GET', '/readyz')).status).toBe(200);
  });
});
