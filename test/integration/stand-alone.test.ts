/** The parts on their own: one `coffer apiserver`, one `coffer controllers`, two `coffer kubelet` with networks and identities of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundle, eventually, freePort, kubectlPath, runCommand } from '../support/coffer-process.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;
const nodes = ['left', 'right'];

describe.skipIf(skip)('stand-alone parts', () => {
  const directory = mkdtempSync('/tmp/stand-alone-');
  const admin = join(directory, 'server/kubeconfig');
  const running: { child: ChildProcess; output: () => string }[] = [];
  let port: number;

  function start(...args: string[]) {
    const child = spawn(process.execPath, [bundle, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk));
    const part = { child, output: () => text };
    running.push(part);
    return part;
  }

  const kubectl = (...args: string[]) => runCommand(kubectlPath, ['--kubeconfig', admin, ...args]);
  const get = async (...args: string[]) => JSON.parse((await kubectl('get', ...args, '-o', 'json')).stdout);

  /** What an administrator gives a node: the server, its authority, and a token of the node's own. */
  function kubeconfigFor(node: string): string {
    const ca = readFileSync(join(directory, 'server/pki/ca.crt')).toString('base64');
    const file = join(directory, `${node}.kubeconfig`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'c',
      clusters: [{ name: 'c', cluster: { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': ca } }],
      users: [{ name: 'u', user: { token: `token-of-${node}` } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  beforeAll(async () => {
    port = await freePort();
    const tokens = join(directory, 'tokens.csv');
    writeFileSync(tokens, nodes.map((node) => `token-of-${node},system:node:${node},${node},"system:nodes"\n`).join(''));
    const data = ['--data-dir', join(directory, 'server')];
    const server = start('apiserver', ...data, '--secure-port', String(port), '--token-auth-file', tokens);
    await eventually('the API server', () => server.output().includes('is ready'));
    const keys = (name: string) => join(directory, 'server/pki', name);
    start('controllers', '--kubeconfig', admin, '--service-account-private-key-file', keys('sa.key'));
    const kubelets = nodes.map((node) => {
      const own = ['--data-dir', join(directory, node), '--kubeconfig', kubeconfigFor(node), '--node-name', node];
      return start('kubelet', ...own, '--runtime', 'sandbox', '--port', '0');
    });
    for (const kubelet of kubelets) await eventually('a kubelet', () => kubelet.output().includes('is ready'));
  });

  afterAll(async () => {
    // Nodes first: their pods end while the API is there.
    for (const { child } of running.reverse()) {
      if (child.exitCode !== null) continue;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGINT');
      await ended;
    }
    rmSync(directory, { recursive: true, force: true });
  });

  it('run a Deployment on both nodes and tell them apart', async () => {
    const template = {
      metadata: { labels: { app: 'web' } },
      spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'sh', command: ['sleep', '100000'] }] },
    };
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: { replicas: 4, selector: { matchLabels: { app: 'web' } }, template },
    };
    const applied = await runCommand(kubectlPath, ['--kubeconfig', admin, 'apply', '-f', '-'], { input: JSON.stringify(deployment) });
    expect(applied.stderr).toBe('');
    await eventually('four ready pods', async () => (await get('deployment', 'web')).status.readyReplicas === 4);
    const pods = (await get('pods', '-l', 'app=web')).items as { spec: { nodeName: string }; status: { podIP: string } }[];
    expect([...new Set(pods.map(({ spec }) => spec.nodeName))].sort()).toEqual(nodes);
    // Each node has a range of pod addresses of its own.
    const networks = nodes.map((node) => new Set(pods.filter(({ spec }) => spec.nodeName === node).map(({ status }) => status.podIP)));
    for (const addresses of networks) expect(addresses.size).toBeGreaterThan(0);
    expect(new Set(pods.map(({ status }) => status.podIP)).size).toBe(4);
  });

  it('let a node read what its own pods refer to, and nothing of the other', async () => {
    const pod = (node: string) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `on-${node}`, namespace: 'default' },
      spec: {
        nodeName: node,
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'c', image: 'sh', command: ['sleep', '100000'], envFrom: [{ secretRef: { name: `for-${node}` } }] }],
      },
    });
    const secret = (node: string) => ({ apiVersion: 'v1', kind: 'Secret', metadata: { name: `for-${node}`, namespace: 'default' } });
    const items = nodes.flatMap((node) => [secret(node), pod(node)]);
    const list = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    expect((await runCommand(kubectlPath, ['--kubeconfig', admin, 'apply', '-f', '-'], { input: list })).code).toBe(0);
    for (const node of nodes)
      await eventually(`the pod on ${node}`, async () => (await get('pod', `on-${node}`)).status.phase === 'Running');
    const asLeft = (name: string) => runCommand(kubectlPath, ['--kubeconfig', join(directory, 'left.kubeconfig'), 'get', 'secret', name]);
    expect((await asLeft('for-left')).code).toBe(0);
    expect((await asLeft('for-right')).stderr).toContain("no relationship found between node 'left' and this object");
  });
});
