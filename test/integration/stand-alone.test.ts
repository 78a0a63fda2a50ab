/**
 * The parts on their own, as on three machines: one `coffer apiserver` and one `coffer controllers` here, two `coffer kubelet` in network
 * namespaces of their own, which have nothing but a kubeconfig. All of them see each other over a bridge.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferPart } from '../support/coffer-part.ts';
import { eventually, freePort, kubectlPath, runCommand } from '../support/coffer-process.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;
const nodes = ['left', 'right'] as const;
type Node = (typeof nodes)[number];

describe.skipIf(skip)('stand-alone parts', () => {
  const directory = mkdtempSync('/tmp/stand-alone-');
  const admin = join(directory, 'server/kubeconfig');
  const suffix = randomBytes(3).toString('hex');
  const network = `10.${100 + ((randomBytes(1)[0] ?? 0) % 50)}.${randomBytes(1)[0] ?? 0}`;
  const serverAddress = `${network}.1`;
  const addressOf: Record<Node, string> = { left: `${network}.2`, right: `${network}.3` };
  const bridge = `cft${suffix}`;
  const namespaceOf = (node: Node) => `cft-${node}-${suffix}`;
  const running: CofferPart[] = [];
  const kubelets = new Map<Node, CofferPart>();
  let port: number;

  const ip = async (line: string) => {
    const { code, stderr } = await runCommand('ip', line.split(' '));
    if (code !== 0) throw new Error(`ip ${line}: ${stderr}`);
  };
  const start = (args: readonly string[], inside?: readonly string[]) => {
    const part = new CofferPart(args, inside);
    running.push(part);
    return part;
  };
  const kubectl = (...args: string[]) => runCommand(kubectlPath, ['--kubeconfig', admin, ...args]);
  const apply = async (...items: object[]) => {
    const input = JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
    expect(await runCommand(kubectlPath, ['--kubeconfig', admin, 'apply', '-f', '-'], { input })).toMatchObject({ code: 0, stderr: '' });
  };
  const get = async (...args: string[]) => JSON.parse((await kubectl('get', ...args, '-o', 'json')).stdout);
  const runningPod = (name: string) =>
    eventually(`${name} to run`, async () => (await get('pod', name)).status.containerStatuses?.[0]?.state.running !== undefined);

  /** What an administrator gives a node: the server, its authority, and a token of the node's own. */
  function kubeconfigFor(node: Node): string {
    const ca = readFileSync(join(directory, 'server/pki/ca.crt')).toString('base64');
    const file = join(directory, `${node}.kubeconfig`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'c',
      clusters: [{ name: 'c', cluster: { server: `https://${serverAddress}:${port}`, 'certificate-authority-data': ca } }],
      users: [{ name: 'u', user: { token: `token-of-${node}` } }],
      contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
    };
    writeFileSync(file, JSON.stringify(config));
    return file;
  }

  async function makeNetwork(): Promise<void> {
    await ip(`link add ${bridge} type bridge`);
    await ip(`addr add ${serverAddress}/24 dev ${bridge}`);
    await ip(`link set ${bridge} up`);
    for (const node of nodes) {
      const outer = `${bridge}${node[0]}`;
      await ip(`netns add ${namespaceOf(node)}`);
      await ip(`link add ${outer} type veth peer name eth0 netns ${namespaceOf(node)}`);
      await ip(`link set ${outer} master ${bridge} up`);
      await ip(`-n ${namespaceOf(node)} link set lo up`);
      await ip(`-n ${namespaceOf(node)} addr add ${addressOf[node]}/24 dev eth0`);
      await ip(`-n ${namespaceOf(node)} link set eth0 up`);
    }
  }

  beforeAll(async () => {
    await makeNetwork();
    port = await freePort();
    const tokens = join(directory, 'tokens.csv');
    writeFileSync(tokens, nodes.map((node) => `token-of-${node},system:node:${node},${node},"system:nodes"\n`).join(''));
    const listen = ['--bind-address', serverAddress, '--secure-port', String(port)];
    const server = start(['apiserver', '--data-dir', join(directory, 'server'), ...listen, '--token-auth-file', tokens]);
    await server.ready();
    const key = (name: string) => join(directory, 'server/pki', name);
    const signing = ['--cluster-signing-cert-file', key('ca.crt'), '--cluster-signing-key-file', key('ca.key')];
    start(['controllers', '--kubeconfig', admin, '--service-account-private-key-file', key('sa.key'), ...signing]);
    for (const node of nodes) {
      const own = ['--data-dir', join(directory, node), '--kubeconfig', kubeconfigFor(node), '--node-name', node, '--runtime', 'sandbox'];
      const net = ['--node-ip', addressOf[node], '--address', addressOf[node]];
      kubelets.set(node, start(['kubelet', ...own, ...net], ['ip', 'netns', 'exec', namespaceOf(node)]));
    }
    for (const kubelet of kubelets.values()) await kubelet.ready();
  });

  afterAll(async () => {
    // Nodes first: their pods end while the API is there.
    for (const part of running.reverse()) await part.stop();
    for (const node of nodes) await runCommand('ip', ['netns', 'delete', namespaceOf(node)]);
    await runCommand('ip', ['link', 'delete', bridge]);
    rmSync(directory, { recursive: true, force: true });
  });

  it('tell pods and nodes the address of the server', async () => {
    const { subsets } = await get('endpoints', 'kubernetes');
    expect(subsets).toEqual([{ addresses: [{ ip: serverAddress }], ports: [{ name: 'https', port, protocol: 'TCP' }] }]);
    for (const node of nodes) {
      const { status } = await get('node', node);
      expect(status.addresses).toContainEqual({ type: 'InternalIP', address: addressOf[node] });
      expect(status.conditions.find(({ type }: { type: string }) => type === 'Ready').status).toBe('True');
    }
  });

  it('run a Deployment on both nodes and tell them apart', async () => {
    const template = {
      metadata: { labels: { app: 'web' } },
      spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'sh', command: ['sleep', '100000'] }] },
    };
    const spec = { replicas: 4, selector: { matchLabels: { app: 'web' } }, template };
    await apply({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', namespace: 'default' }, spec });
    await eventually('four ready pods', async () => (await get('deployment', 'web')).status.readyReplicas === 4);
    const pods = (await get('pods', '-l', 'app=web')).items as { spec: { nodeName: string }; status: { podIP: string; hostIP: string } }[];
    expect([...new Set(pods.map(({ spec }) => spec.nodeName))].sort()).toEqual(nodes);
    for (const { spec, status } of pods) expect(status.hostIP).toBe(addressOf[spec.nodeName as Node]);
    // Each node has a range of pod addresses of its own.
    expect(new Set(pods.map(({ status }) => status.podIP)).size).toBe(4);
  });

  it('let a node read what its own pods refer to, and nothing of the other', async () => {
    const pod = (node: Node) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `on-${node}`, namespace: 'default' },
      spec: {
        nodeName: node,
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'c',
            image: 'sh',
            command: ['sh', '-c', 'echo "here is $WHO"; exec sleep 100000'],
            envFrom: [{ secretRef: { name: `for-${node}` } }],
          },
        ],
      },
    });
    const secret = (node: Node) => ({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: `for-${node}`, namespace: 'default' },
      stringData: { WHO: node },
    });
    await apply(...nodes.flatMap((node) => [secret(node), pod(node)]));
    for (const node of nodes) await runningPod(`on-${node}`);
    const asLeft = (...args: string[]) => runCommand(kubectlPath, ['--kubeconfig', join(directory, 'left.kubeconfig'), ...args]);
    expect((await asLeft('get', 'secret', 'for-left')).code).toBe(0);
    expect((await asLeft('get', 'secret', 'for-right')).stderr).toContain("no relationship found between node 'left' and this object");
    expect((await asLeft('get', 'secrets')).code).toBe(1);
    expect((await asLeft('label', 'node', 'right', 'mine=yes')).stderr).toContain("node 'left' cannot read 'right'");
  });

  it('reach the pods of either node through its kubelet, once its certificate is approved', async () => {
    const dial = `dial tcp ${addressOf.left}:10250: connect: connection refused`;
    const log = `Get "https://${addressOf.left}:10250/containerLogs/default/on-left/c": ${dial}`;
    expect((await kubectl('logs', 'on-left')).stderr).toBe(`Error from server: ${log}\n`);
    expect((await kubectl('exec', 'on-left', '--', 'true')).stderr).toContain(`error dialing backend: ${dial}`);
    for (const node of nodes) {
      const request = await eventually('the request', () => /certificate approve (csr-\S+)/.exec(kubelets.get(node)?.output ?? '')?.[1]);
      expect((await kubectl('certificate', 'approve', request)).code).toBe(0);
    }
    for (const node of nodes) {
      const pod = `on-${node}`;
      await eventually('its log', async () => (await kubectl('logs', pod)).stdout === `here is ${node}\n`);
      expect(await kubectl('exec', pod, '--', 'sh', '-c', 'echo $WHO; exit 4')).toMatchObject({ code: 4, stdout: `${node}\n` });
      const echoed = await runCommand(kubectlPath, ['--kubeconfig', admin, 'exec', '-i', pod, '--', 'cat'], {
        input: 'through the kubelet',
      });
      expect(echoed.stdout).toBe('through the kubelet');
    }
  });
});
