/** What a node does with configuration, the same on the sandbox runtime and on containerd. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually, kubectlPath, runCommand } from '../support/coffer-process.ts';
import { TestContainerd } from '../support/containerd.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;
if (skip) console.log('skipped: nodes with real containers (needs root on Linux)');

describe.skipIf(skip).each(['sandbox', 'containerd'])('a node on %s', (name) => {
  let containerd: TestContainerd | undefined;
  let coffer: CofferProcess;
  let args: string[];

  beforeAll(async () => {
    containerd = name === 'containerd' ? await TestContainerd.start() : undefined;
    args = containerd ? ['--runtime', 'cri', '--container-runtime-endpoint', containerd.endpoint] : ['--runtime', 'sandbox'];
    coffer = await CofferProcess.start({ args });
  });
  afterAll(async () => {
    await coffer.stop('SIGINT');
    await coffer.dispose();
    await containerd?.stop();
  });

  const apply = async (...items: object[]) => {
    const result = await coffer.kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) });
    expect(result.stderr).toBe('');
  };
  const configMap = (name: string, data: Record<string, string>) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default' },
    data,
  });
  const pod = (name: string, script: string, container: object = {}, spec: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { tier: 'one' } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'c', image: 'busybox', imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', script], ...container }],
      ...spec,
    },
  });
  const get = async (kind: string, name: string) => JSON.parse((await coffer.kubectl(['get', kind, name, '-o', 'json'])).stdout);
  const exec = async (name: string, ...command: string[]) => (await coffer.kubectl(['exec', name, '--', ...command])).stdout;
  const logs = async (name: string) => (await coffer.kubectl(['logs', name])).stdout;
  const running = (name: string) => eventually(`${name} to run`, async () => (await get('pod', name)).status.phase === 'Running');

  it('gives configuration as variables and files, and lets files follow a change', async () => {
    await apply(
      configMap('settings', { 'log.level': 'info', greeting: 'hello $(NOT_THERE)' }),
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'credentials', namespace: 'default' }, stringData: { password: 's3cret' } },
      pod(
        'follower',
        'env | grep -e ^PASSWORD -e ^greeting -e ^COMPOSED; sleep 100000',
        {
          env: [
            { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'credentials', key: 'password' } } },
            { name: 'COMPOSED', value: '<$(PASSWORD)>' },
          ],
          envFrom: [{ configMapRef: { name: 'settings' } }],
          volumeMounts: [
            { name: 'settings', mountPath: '/settings' },
            { name: 'settings', mountPath: '/fixed/level', subPath: 'log.level' },
            { name: 'secret', mountPath: '/secret' },
            { name: 'about', mountPath: '/about' },
          ],
        },
        {
          volumes: [
            { name: 'settings', configMap: { name: 'settings' } },
            { name: 'secret', secret: { secretName: 'credentials', defaultMode: 0o400 } },
            { name: 'about', downwardAPI: { items: [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }] } },
          ],
        },
      ),
    );
    await running('follower');
    const text = await eventually('its output', async () => {
      const found = await logs('follower');
      return found.split('\n').length >= 4 && found;
    });
    expect(text.trim().split('\n').sort()).toEqual(['COMPOSED=<s3cret>', 'PASSWORD=s3cret', 'greeting=hello $(NOT_THERE)']);
    expect(await exec('follower', 'cat', '/secret/password')).toBe('s3cret');
    expect(await exec('follower', 'stat', '-L', '-c', '%a', '/secret/password')).toBe('400\n');
    expect(await exec('follower', 'stat', '-f', '-c', '%T', '/secret/password')).toBe('tmpfs\n');

    await apply(configMap('settings', { 'log.level': 'debug', added: 'yes' }));
    await coffer.kubectl(['label', 'pod', 'follower', 'tier=two', '--overwrite']);
    await eventually('the file to follow', async () => (await exec('follower', 'cat', '/settings/log.level')) === 'debug');
    await eventually('the label to follow', async () => (await exec('follower', 'cat', '/about/labels')) === 'tier="two"');
    expect(await exec('follower', 'ls', '/settings')).toBe('added\nlog.level\n');
    expect(await exec('follower', 'cat', '/fixed/level')).toBe('info');
  });

  it('waits for what is missing, says for what, and starts when it appears', async () => {
    await apply(pod('waiter', 'echo $WORD; sleep 100000', { envFrom: [{ configMapRef: { name: 'late' } }] }));
    const waiting = await eventually('the reason', async () => {
      const found = (await get('pod', 'waiter')).status.containerStatuses?.[0]?.state.waiting;
      return found?.reason !== 'ContainerCreating' && found;
    });
    expect(waiting).toEqual({ reason: 'CreateContainerConfigError', message: 'configmap "late" not found' });
    await apply(configMap('late', { WORD: 'here' }));
    await eventually('its output', async () => (await logs('waiter')) === 'here\n');
  });

  it('runs init containers first, restarts what fails and keeps its last words', async () => {
    const init = { name: 'first', image: 'busybox', imagePullPolicy: 'IfNotPresent', command: ['sh', '-c', 'echo made > /shared/file'] };
    const volumeMounts = [{ name: 'shared', mountPath: '/shared' }];
    const script = 'cat /shared/file; echo because > /dev/termination-log; exit 3';
    const volumes = [{ name: 'shared', emptyDir: {} }];
    await apply(pod('failing', script, { volumeMounts }, { volumes, initContainers: [{ ...init, volumeMounts }] }));
    const status = await eventually('a restart', async () => {
      const [found] = (await get('pod', 'failing')).status.containerStatuses ?? [];
      return found?.restartCount >= 1 && found?.state.waiting?.reason === 'CrashLoopBackOff' && found;
    });
    expect(status.lastState.terminated).toMatchObject({ exitCode: 3, reason: 'Error', message: 'because\n' });
    expect(await logs('failing')).toBe('made\n');
  });

  it('is ready when its probe says so', async () => {
    const readinessProbe = { exec: { command: ['test', '-e', '/tmp/ready'] }, periodSeconds: 1 };
    await apply(pod('probed', 'sleep 100000', { readinessProbe }));
    await running('probed');
    const ready = async () => (await get('pod', 'probed')).status.containerStatuses[0].ready as boolean;
    expect(await ready()).toBe(false);
    await exec('probed', 'touch', '/tmp/ready');
    await eventually('readiness', ready);
  });

  it('reports a container that took too much memory', async () => {
    const resources = { limits: { memory: '24Mi' } };
    await apply(pod('hungry', 'x=a; while :; do x=$x$x; done', { resources }, { restartPolicy: 'Never' }));
    const terminated = await eventually(
      'its end',
      async () => (await get('pod', 'hungry')).status.containerStatuses?.[0]?.state.terminated,
    );
    expect(terminated).toMatchObject({ reason: 'OOMKilled', exitCode: 137 });
  });

  it('carries input, terminals, logs, debug containers and ports', async () => {
    const script = 'echo -n; while read line; do echo "got $line"; done; exec sleep 100000';
    // What comes back is what was sent, for several at a time, until the client has sent its last.
    const answer = 'fork or do{syswrite $c,$b while sysread $c,$b,999;exit};close $c';
    const perl = `$SIG{CHLD}="IGNORE";$s=IO::Socket::INET->new(LocalPort=>18090,Listen=>5,ReuseAddr=>1);while($c=$s->accept){${answer}}`;
    const server = `command -v perl >/dev/null && exec perl -MIO::Socket::INET -e '${perl}'; exec nc -ll -p 18090 -e cat`;
    const talk = { stdin: true, stdinOnce: true, ports: [{ containerPort: 18_090 }] };
    await apply(pod('talker', script, talk), pod('served', server));
    await running('talker');
    await running('served');
    // Half-close: the end of the input is the end of the loop, and its output still comes back.
    const attached = await coffer.kubectl(['attach', '-i', 'talker'], { input: 'one\ntwo\n', timeoutMs: 5_000 });
    expect(attached.stdout).toContain('got one\ngot two\n');
    expect(await coffer.kubectl(['exec', '-i', 'talker', '--', 'sh', '-c', 'wc -c; exit 9'], { input: 'x'.repeat(200_000) })).toMatchObject(
      {
        code: 9,
        stdout: expect.stringContaining('200000') as string,
      },
    );
    const flags = ['--kubeconfig', coffer.kubeconfig];
    const terminal = `stty rows 31 cols 97; exec '${kubectlPath}' ${flags.join(' ')} exec -it talker -- sh -c 'sleep 1; stty size; exit 6'`;
    const typed = await runCommand('script', ['-qec', terminal, '/dev/null']);
    expect(typed).toMatchObject({ code: 6, stdout: expect.stringContaining('31 97') as string });
    const followed = coffer.kubectl(['logs', '-f', 'talker'], { timeoutMs: 3_000 });
    expect((await followed).stdout).toBe('got one\ngot two\n');
    const debug = ['debug', 'talker', '--image=busybox', '--image-pull-policy=IfNotPresent', '--target=c', '--', 'sh', '-c', 'sleep 1000'];
    expect((await coffer.kubectl(debug)).code).toBe(0);
    await eventually('the debug container', async () =>
      (await get('pod', 'talker')).status.ephemeralContainerStatuses?.some(({ state }: { state: { running?: object } }) => state.running),
    );
    // 18090 in hexadecimal digits.
    await eventually('the server', async () => (await exec('served', 'sh', '-c', 'cat /proc/net/tcp /proc/net/tcp6')).includes(':46AA '));
    const forward = spawn(kubectlPath, [...flags, 'port-forward', 'pod/served', ':18090'], { stdio: ['ignore', 'pipe', 'ignore'] });
    try {
      let output = '';
      forward.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
      const port = await eventually('the tunnel', () => /127\.0\.0\.1:(\d+)/.exec(output)?.[1]);
      const sockets: Socket[] = [];
      for (const word of ['one', 'two', 'three']) {
        const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
        sockets.push(socket);
        socket.write(word);
        expect(String(await new Promise((resolve) => socket.once('data', resolve)))).toBe(word);
      }
      for (const socket of sockets.reverse()) {
        socket.end(' and the rest');
        expect(await text(socket)).toBe(' and the rest');
      }
    } finally {
      forward.kill();
    }
  });

  it('copies files both ways', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'coffer-cp-'));
    const bytes = randomBytes(300_000);
    await mkdir(path.join(folder, 'in/below'), { recursive: true });
    await writeFile(path.join(folder, 'in/below/bytes'), bytes);
    await writeFile(path.join(folder, 'in/empty'), '');
    const copy = async (from: string, to: string) => expect((await coffer.kubectl(['cp', from, to])).code).toBe(0);
    await copy(path.join(folder, 'in'), 'follower:/tmp/copied');
    expect(await exec('follower', 'sh', '-c', 'cd /tmp/copied; find . -type f | sort; wc -c < below/bytes')).toMatch(
      /^\.\/below\/bytes\n\.\/empty\n\s*300000\n$/,
    );
    await copy('follower:/tmp/copied', path.join(folder, 'out'));
    expect(bytes.equals(await readFile(path.join(folder, 'out/below/bytes')))).toBe(true);
    expect(await readFile(path.join(folder, 'out/empty'), 'utf8')).toBe('');
    await rm(folder, { recursive: true });
  });

  it('adopts what runs when the server was killed', async () => {
    const container = async () => (await get('pod', 'follower')).status.containerStatuses[0];
    const before = await container();
    const { dataDir, port } = coffer;
    await coffer.stop('SIGKILL');
    coffer = await CofferProcess.start({ args, dataDir, port });
    await apply(configMap('settings', { 'log.level': 'warn' }));
    await eventually('the file to follow', async () => (await exec('follower', 'cat', '/settings/log.level')) === 'warn');
    expect(await container()).toMatchObject({ containerID: before.containerID, restartCount: 0, state: before.state });
  });
});
