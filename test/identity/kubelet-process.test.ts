import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, CofferProcess, eventually, freePort, runCommand } from '../support/coffer-process.ts';

// A kubelet in a process of its own: it gets a serving certificate through the API, and kubectl reaches its pods through its port.

describe.runIf(process.platform === 'linux' && process.getuid?.() === 0)('a kubelet in a process of its own', () => {
  let folder: string;
  let coffer: CofferProcess;
  let kubelet: ChildProcess;
  let port: number;
  let output = '';

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'coffer-kubelet-'));
    const tokens = path.join(folder, 'tokens.csv');
    await writeFile(tokens, 'test-admin-token,admin,,"system:masters"\nworker-token,system:node:worker,,"system:nodes"\n', { mode: 0o600 });
    coffer = await CofferProcess.start({ args: ['--runtime', 'none', '--token-auth-file', tokens] });
    const ca = (await readFile(path.join(coffer.dataDir, 'pki', 'ca.crt'))).toString('base64');
    const kubeconfig = path.join(folder, 'worker.kubeconfig');
    const config = {
      'current-context': 'c',
      clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${coffer.port}`, 'certificate-authority-data': ca } }],
      users: [{ name: 'u', user: { token: 'worker-token' } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    };
    await writeFile(kubeconfig, JSON.stringify(config), { mode: 0o600 });
    port = await freePort();
    const args = ['kubelet', '--kubeconfig', kubeconfig, '--data-dir', path.join(folder, 'worker'), '--node-name', 'worker'];
    const net = ['--address', '127.0.0.1', '--node-ip', '127.0.0.1', '--port', String(port), '--runtime', 'sandbox'];
    kubelet = spawn(process.execPath, [bundle, ...args, ...net], { stdio: ['ignore', 'pipe', 'pipe'] });
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    kubelet.stdout?.on('data', collect);
    kubelet.stderr?.on('data', collect);
    await eventually('the kubelet', () => output.includes('is ready'));
  });
  afterAll(async () => {
    await runCommand(process.execPath, [bundle, 'down', '--data-dir', path.join(folder, 'worker')], { timeoutMs: 30_000 });
    kubelet?.kill('SIGKILL');
    await coffer?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  it('opens its port when its certificate is approved', async () => {
    const name = await eventually('the request', () => /kubectl certificate approve (csr-\S+)/.exec(output)?.[1]);
    const csr = (await coffer.call('GET', `/apis/certificates.k8s.io/v1/certificatesigningrequests/${name}`)).body;
    expect(csr.spec).toMatchObject({ username: 'system:node:worker', signerName: 'kubernetes.io/kubelet-serving' });
    expect((await coffer.kubectl(['certificate', 'approve', name])).code).toBe(0);
    await eventually('the port', () => statusOf('/healthz').catch(() => undefined));
    expect(await statusOf('/healthz')).toBe(401);
    expect(await statusOf('/pods', 'worker-token')).toBe(403);
    expect((await coffer.call('GET', '/api/v1/nodes/worker')).body.status.daemonEndpoints.kubeletEndpoint.Port).toBe(port);
  });

  it('shows logs and runs commands through it', async () => {
    const pod = {
      metadata: { name: 'p' },
      spec: { containers: [{ name: 'c', image: 'i', command: ['sh', '-c', 'echo hello; sleep 3600'] }] },
    };
    const created = await coffer.call('POST', '/api/v1/namespaces/default/pods', { apiVersion: 'v1', kind: 'Pod', ...pod });
    expect(created.status).toBe(201);
    expect((await coffer.kubectl(['wait', '--for=condition=Ready', 'pod/p', '--timeout=60s'])).code).toBe(0);
    expect((await coffer.kubectl(['logs', 'p'])).stdout).toBe('hello\n');
    expect(await coffer.kubectl(['exec', 'p', '--', 'sh', '-c', 'echo out; echo err >&2; exit 3'])).toEqual({
      code: 3,
      stdout: 'out\n',
      stderr: 'err\ncommand terminated with exit code 3\n',
    });
    expect((await coffer.kubectl(['exec', '-i', 'p', '--', 'cat'], { input: 'through the port' })).stdout).toBe('through the port');
  });

  /** Status of a request to the kubelet's port, its certificate not verified. */
  function statusOf(url: string, token?: string): Promise<number> {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return new Promise((resolve, reject) => {
      const outgoing = request({ host: '127.0.0.1', port, path: url, headers, rejectUnauthorized: false, agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode ?? 0);
      });
      outgoing.on('error', reject);
      outgoing.end();
    });
  }
});
