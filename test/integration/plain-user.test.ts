/**
 * The sandbox runtime without root: what a plain user's pods can do, and that they have networks of their own. Needs root to become
 * such a user; the tools that connect pods come from Debian.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { bundleScript } from '../support/bundle-script.ts';
import { CofferProcess, delay, eventually, freePort } from '../support/coffer-process.ts';
import { type PlainUser, plainUser } from '../support/plain-user.ts';
import { podApiClient, podApiObjects } from '../support/pod-api-client.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;
const lacks = (tool: string) => skip || !existsSync(`/usr/bin/${tool}`);

/** One port of the pod's own address speaks HTTP, another gRPC's health protocol. */
const server = `
const http = require('http'), http2 = require('http2'), { POD_IP } = process.env;
http.createServer((request, response) => { console.log(request.url); response.end(process.env.HOSTNAME); }).listen(8080, POD_IP);
http.createServer((request, response) => response.end('local')).listen(8081, '127.0.0.1');
http2.createServer().on('stream', (stream) => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.from([0, 0, 0, 0, 2, 8, 1]));
}).listen(9090, POD_IP);
`;

/** However busy the machine is. */
const patient = { periodSeconds: 1, timeoutSeconds: 30, failureThreshold: 60 };

const web = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: {
        terminationGracePeriodSeconds: 2,
        containers: [
          {
            name: 'c',
            image: 'node',
            command: [process.execPath, '-e', server],
            env: [{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
            startupProbe: { grpc: { port: 9090 }, ...patient },
            readinessProbe: { httpGet: { port: 8080, path: '/ready' }, ...patient },
            livenessProbe: { tcpSocket: { port: 8080 }, ...patient },
            lifecycle: { preStop: { httpGet: { port: 8080, path: '/bye' } } },
          },
        ],
      },
    },
  },
};

/** Reads its token and writes into memory. */
const scratch = (name: string, runAsUser: number) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: {
    securityContext: { runAsUser },
    restartPolicy: 'Never',
    containers: [
      {
        name: 'c',
        image: 'busybox',
        command: [
          'sh',
          '-c',
          'test -s /run/secrets/kubernetes.io/serviceaccount/token && echo the token is here > /m/note; stat -fc %T /m; cat /m/note',
        ],
        volumeMounts: [{ name: 'm', mountPath: '/m' }],
      },
    ],
    volumes: [{ name: 'm', emptyDir: { medium: 'Memory' } }],
  },
});

describe.skipIf(skip)('the sandbox runtime of a plain user', () => {
  const see = async (user: PlainUser, tool = ''): Promise<Record<string, unknown>> => {
    const script = await bundleScript(new URL('../support/sandbox-plain-user.ts', import.meta.url));
    const home = await mkdtemp('/tmp/plain-user-');
    await mkdir(join(home, 'data'));
    for (const path of [home, join(home, 'data')]) await chown(path, user.uid, user.uid);
    const [command, ...args] = [...user.prefix, process.execPath, script, home, tool];
    const child = spawn(command, args, { env: { PATH: process.env.PATH }, stdio: ['ignore', 'pipe', 'pipe'] });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => (output.stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output.stderr += chunk.toString()));
    await new Promise((resolve) => child.once('close', resolve));
    await rm(home, { recursive: true, force: true });
    expect(output.stderr).toBe('');
    return JSON.parse(output.stdout) as Record<string, unknown>;
  };

  it('gives containers what a user namespace allows, and says what needs root', { timeout: 60_000 }, async () => {
    const user = plainUser(61_234, 'absent');
    const seen = await see(user);
    expect(seen).toMatchObject({
      identity: expect.stringMatching(/^0\n0\n1\npod-1\nexit 3$/),
      environment: 'a.b=x\nexit 0',
      files: expect.stringMatching(/^from the volume\nRead-only\nx\n/),
      masked: expect.stringMatching(/^absent\nabsent\n[1-4]\nexit 0$/),
      devices: '4\ny\nexit 0',
      exec: '0\nb\nexit 4',
      terminal: 0,
      user: expect.stringContaining('needs root'),
      hostPid: expect.stringContaining('needs root'),
    });
    await eventually('nothing of it runs', async () => (await processesOf(user.uid)).length === 0);
  });

  it('gives pods loopback of their own where nothing can connect them', { timeout: 60_000 }, async () => {
    const seen = await see(plainUser(61_235, 'absent'));
    expect(seen).toMatchObject(separateNetworks);
    expect(seen.limitations).toContainEqual(expect.stringMatching(/^pods reach only themselves, neither each other nor the API server/));
  });

  it.skipIf(lacks('slirp4netns'))('connects them through slirp4netns', { timeout: 60_000 }, async () => {
    const seen = await see(plainUser(61_236, 'allowed'), 'slirp4netns');
    expect(seen).toMatchObject({ ...separateNetworks, fetched: 'from the machine' });
    expect(seen.limitations).toContainEqual(expect.stringContaining('through slirp4netns'));
  });

  it.skipIf(lacks('pasta'))('serves a cluster whose pods are connected through pasta', { timeout: 180_000 }, async () => {
    const user = plainUser(61_237, 'allowed');
    let coffer = await CofferProcess.start({ args: ['--runtime', 'sandbox', '--bind-address', '127.0.0.1'], user });
    try {
      const apply = async (...items: object[]) => {
        const { stderr } = await coffer.kubectl(['apply', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) });
        expect(stderr).toBe('');
      };
      const pods = async () => {
        const { stdout } = await coffer.kubectl(['get', 'pods', '-l', 'app=web', '-o', 'json']);
        return JSON.parse(stdout).items as { metadata: { name: string }; status: { podIP: string; containerStatuses: Status[] } }[];
      };
      const ready = () =>
        eventually(
          'two ready replicas',
          async () => {
            const list = await pods();
            return list.length === 2 && list.every(({ status }) => status.containerStatuses?.[0]?.ready) ? list : undefined;
          },
          60_000,
        );
      await apply(...podApiObjects, web, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: 'reader', namespace: 'default' },
        spec: {
          serviceAccountName: 'reader',
          restartPolicy: 'Never',
          containers: [{ name: 'c', image: 'node', command: [process.execPath, '-e', podApiClient] }],
        },
      });
      await apply(scratch('scratch', 0), scratch('other', 1000));
      const before = await ready();
      expect(new Set(before.map(({ status }) => status.podIP)).size).toBe(2);
      const said = await eventually('an answer of the API', async () => (await coffer.kubectl(['logs', 'reader'])).stdout || undefined);
      expect(JSON.parse(said)).toMatchObject({ allowed: 200, refused: 403, text: expect.stringContaining('hello from the API') });

      const notes = async () => (await coffer.kubectl(['logs', 'scratch'])).stdout;
      await eventually('the notes of user 0', async () => (await notes()) === 'tmpfs\nthe token is here\n');
      const reason = '-o=jsonpath={.status.containerStatuses[0].state.waiting.reason}';
      const refused = async () => (await coffer.kubectl(['get', 'pod', 'other', reason])).stdout;
      await eventually('the reason of the refusal', async () => (await refused()) === 'NeedsRoot');

      const [first, second] = before.map(({ metadata }) => metadata.name);
      expect(await throughPortForward(coffer, `${second}`, 8081)).toBe('local');
      const inside = [
        'exec',
        `${first}`,
        '--',
        process.execPath,
        '-e',
        `fetch('http://' + process.env.POD_IP + ':8080/exec').then((a) => a.text()).then(console.log)`,
      ];
      expect((await coffer.kubectl(inside)).stdout).toBe(`${first}\n`);

      await coffer.stop('SIGTERM');
      coffer = await CofferProcess.start({
        args: ['--runtime', 'sandbox', '--bind-address', '127.0.0.1'],
        dataDir: coffer.dataDir,
        port: coffer.port,
        user,
      });
      const after = await ready();
      const instances = (list: typeof before) => list.map(({ status }) => status.containerStatuses[0]?.containerID).sort();
      expect(instances(after)).toEqual(instances(before));

      const following = spawn(coffer.kubectlPath, ['logs', '-f', `${first}`], {
        env: { KUBECONFIG: coffer.kubeconfig, HOME: coffer.dataDir },
      });
      let log = '';
      following.stdout.on('data', (chunk) => {
        log += chunk;
      });
      const ended = new Promise((resolve) => following.once('close', resolve));
      await eventually('the log', () => log.includes('/ready'));
      await coffer.kubectl(['delete', 'pod', `${first}`]);
      await ended;
      expect(log).toContain('/bye\n');
    } finally {
      await coffer.stop('SIGINT');
      await coffer.dispose();
    }
    await eventually('nothing of it runs', async () => (await processesOf(user.uid)).length === 0);
  });
});

interface Status {
  readonly ready: boolean;
  readonly containerID: string;
}

/** Two servers on one port, reached each in its own network. */
const separateNetworks = {
  servers: ['one', 'two'],
  addresses: 2,
  closedPort: 'ECONNREFUSED',
  forwarded: 'two\n',
  hostNetwork: [true, false],
};

async function throughPortForward(coffer: CofferProcess, pod: string, port: number): Promise<string> {
  const local = await freePort();
  const child = spawn(coffer.kubectlPath, ['port-forward', `pod/${pod}`, `${local}:${port}`], {
    env: { KUBECONFIG: coffer.kubeconfig, HOME: coffer.dataDir },
    stdio: 'ignore',
  });
  try {
    return await eventually('an answer through port-forward', async () => {
      await delay(50);
      return fetchText(local);
    });
  } finally {
    child.kill();
  }
}

function fetchText(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port }, (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += chunk)).on('end', () => resolve(text));
    }).on('error', reject);
  });
}

async function processesOf(uid: number): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const status = await readFile(`/proc/${name}/status`, 'utf8').catch(() => '');
    if (new RegExp(`^Uid:\\s+${uid}\\s`, 'm').test(status)) found.push(status.split('\n')[0] ?? name);
  }
  return found;
}
