import { request } from 'node:https';
import type { Duplex } from 'node:stream';
import type { ExecOptions, ProcessStreams } from '@coffer/api/node/node-api';
import { echoNode } from '@coffer/api/testing/echo-node';
import { KubeletClient } from '@coffer/apiserver/kubelet-client/kubelet-client';
import { KubeletClients } from '@coffer/apiserver/kubelet-client/kubelet-clients';
import { issueCertificate, type KeyAndCertificate } from '@coffer/apiserver/pki/certificates';
import { silentLogger } from '@coffer/base/log/logger';
import { type Clock, systemClock } from '@coffer/base/time/clock';
import { ApiClient } from '@coffer/client/rest/api-client';
import { createKubeletServer, type KubeletServer } from '@coffer/kubelet/server/kubelet-server';
import type { Pod } from '@coffer/kubelet/types';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admin, type InProcessServer, startInProcessServerAt } from './in-process-server.ts';

// The kubelet's own port: who may use it, and that an API server reaches logs and streams through it.

const pod = { namespace: 'ns', name: 'p', uid: 'pod-uid' };
const dayMs = 86_400_000;

let server: InProcessServer<Clock>;
let kubelet: KubeletServer;
let port: number;
let podToken: string;
let otherNode: KeyAndCertificate;

beforeAll(async () => {
  server = await startInProcessServerAt(systemClock);
  const { authority } = server.keys;
  const base = { validityMs: dayMs, nowMs: Date.now() };
  const serving = await issueCertificate(authority, { ...base, commonName: 'system:node:n1', usage: 'server', names: ['127.0.0.1'] });
  otherNode = await issueCertificate(authority, {
    ...base,
    commonName: 'system:node:n2',
    organizations: ['system:nodes'],
    usage: 'client',
  });
  await send('POST', '/api/v1/namespaces', { metadata: { name: 'ns' } });
  await send('POST', '/api/v1/namespaces/ns/serviceaccounts', { metadata: { name: 'default' } });
  podToken = (await send('POST', '/api/v1/namespaces/ns/serviceaccounts/default/token', { spec: {} })).status.token;
  const kubeletUser = { name: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] };
  kubelet = createKubeletServer({
    nodeApi: echoNode,
    pods: () => [{ metadata: pod, spec: { containers: [] }, status: {} } as unknown as Pod],
    runningPods: () => [{ metadata: pod }],
    nodeName: 'n1',
    api: new ApiClient({ transport: server.transportAs(kubeletUser), clock: systemClock }),
    tls: { keyPem: serving.keyPem, certificatePem: serving.certificatePem, clientAuthorityPem: authority.certificatePem },
    clock: systemClock,
    logger: silentLogger,
  });
  ({ port } = await kubelet.listen('127.0.0.1', 0));
  await send('POST', '/api/v1/nodes', {
    metadata: { name: 'n1' },
    status: { addresses: [{ type: 'InternalIP', address: '127.0.0.1' }], daemonEndpoints: { kubeletEndpoint: { Port: port } } },
  });
});
afterAll(async () => {
  await kubelet?.close();
  await server?.close();
});

async function send(method: string, path: string, body: object) {
  const headers = { 'content-type': 'application/json' };
  const answer = await server.transportAs(admin).request({ method, path, headers, body: JSON.stringify(body) });
  const json = JSON.parse(Buffer.from(answer.body).toString('utf8'));
  if (answer.status >= 300) throw new Error(json.message);
  return json;
}

interface Caller {
  readonly token?: string;
  readonly client?: KeyAndCertificate;
}

function client(caller: Caller) {
  const { authority } = server.keys;
  return {
    host: '127.0.0.1',
    port,
    ca: authority.certificatePem,
    agent: false as const,
    ...(caller.client ? { key: caller.client.keyPem, cert: caller.client.certificatePem } : {}),
  };
}

/** Status of a request; 101 counts as 200. */
function statusOf(path: string, caller: Caller, upgrade: string | undefined): Promise<number> {
  const headers = {
    ...(caller.token === undefined ? {} : { authorization: `Bearer ${caller.token}` }),
    ...(upgrade === undefined ? {} : { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': upgrade }),
  };
  return new Promise((resolve, reject) => {
    const outgoing = request({ ...client(caller), method: upgrade === undefined ? 'GET' : 'POST', path, headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    outgoing.on('upgrade', (_answer, socket: Duplex) => {
      socket.destroy();
      resolve(200);
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}

describe('the kubelet’s port', () => {
  const endpoints: readonly (readonly [path: string, upgrade?: string])[] = [
    ['/healthz'],
    ['/pods'],
    ['/runningpods/'],
    ['/containerLogs/ns/p/c'],
    ['/exec/ns/p/c?command=ls&output=1', 'v4.channel.k8s.io'],
    ['/exec/ns/p/pod-uid/c?command=ls&output=1', 'v4.channel.k8s.io'],
    ['/attach/ns/p/c?output=1', 'v4.channel.k8s.io'],
    ['/portForward/ns/p', 'portforward.k8s.io'],
  ];

  it.each(endpoints)('%s answers 401, 403, 403 and 200', async (path = '', upgrade) => {
    const callers: readonly Caller[] = [{}, { token: podToken }, { client: otherNode }, { client: server.keys.kubeletClient }];
    const statuses: number[] = [];
    for (const caller of callers) statuses.push(await statusOf(path, caller, upgrade));
    expect(statuses).toEqual([401, 403, 403, 200]);
  });

  it('refuses bad tokens, and what it does not serve only after asking who it is', async () => {
    expect(await statusOf('/pods', { token: 'nonsense' }, undefined)).toBe(401);
    expect(await statusOf('/run/ns/p/c', {}, undefined)).toBe(401);
    expect(await statusOf('/run/ns/p/c', { client: server.keys.kubeletClient }, undefined)).toBe(404);
    expect(await statusOf('/containerLogs/ns/other/c', { client: server.keys.kubeletClient }, undefined)).toBe(404);
    expect(await statusOf('/exec/ns/p/old-uid/c?command=ls&output=1', { client: server.keys.kubeletClient }, 'v4.channel.k8s.io')).toBe(
      404,
    );
  });

  it('lets those in to whom a role gives the narrower permission', async () => {
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    await send('POST', `${rbac}/clusterroles`, {
      metadata: { name: 'pods-of-nodes' },
      rules: [{ apiGroups: [''], resources: ['nodes/pods'], verbs: ['get'] }],
    });
    await send('POST', `${rbac}/clusterrolebindings`, {
      metadata: { name: 'pods-of-nodes' },
      subjects: [{ kind: 'ServiceAccount', name: 'watcher', namespace: 'ns' }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'pods-of-nodes' },
    });
    await send('POST', '/api/v1/namespaces/ns/serviceaccounts', { metadata: { name: 'watcher' } });
    const { token } = (await send('POST', '/api/v1/namespaces/ns/serviceaccounts/watcher/token', { spec: {} })).status;
    expect(await statusOf('/pods', { token }, undefined)).toBe(200);
    expect(await statusOf('/containerLogs/ns/p/c', { token }, undefined)).toBe(403);
  });
});

describe('the API server’s client of a kubelet', () => {
  const kubelets = () =>
    new KubeletClients({
      nodes: storeOf('minions'),
      keyPem: server.keys.kubeletClient.keyPem,
      certificatePem: server.keys.kubeletClient.certificatePem,
      authorityPem: server.keys.authority.certificatePem,
    });
  const storeOf = (prefix: string) => {
    const store = server.stores.get(prefix);
    if (!store) throw new Error(`no store for ${prefix}`);
    return store;
  };
  const signal = new AbortController().signal;
  const collect = () => {
    const chunks: Buffer[] = [];
    return { write: async (chunk: Uint8Array) => void chunks.push(Buffer.from(chunk)), text: () => Buffer.concat(chunks).toString() };
  };
  const inputOf = async function* (...texts: string[]) {
    for (const text of texts) yield Buffer.from(text);
  };
  const reach = () => {
    const found = kubelets().for('n1');
    if (!found) throw new Error('no kubelet');
    return found;
  };
  const exec = { container: 'c', command: ['ls', '-l'], stdin: false, stdout: true, stderr: true, tty: false };

  it('finds kubelets that tell a port, and no others', async () => {
    await send('POST', '/api/v1/nodes', { metadata: { name: 'silent' } });
    expect(kubelets().for('silent')).toBeUndefined();
    expect(kubelets().for('none')).toBeUndefined();
  });

  it('reads logs', async () => {
    const out = collect();
    const options = { container: 'c', follow: false, previous: false, timestamps: false, tailLines: 3, stream: 'All' } as const;
    await reach().logs(pod, { ...options, limitBytes: undefined, sinceSeconds: undefined, sinceTime: undefined }, out, signal);
    expect(out.text()).toBe('c 0\nc 1\nc 2\n');
    const all = { ...options, limitBytes: undefined, sinceSeconds: undefined, sinceTime: undefined };
    await expect(reach().logs(pod, { ...all, previous: true, follow: true }, collect(), signal)).rejects.toMatchObject({
      code: 400,
      message: 'previous terminated container "c" in pod "p" not found',
    });
  });

  it('runs commands with streams, exit code and terminal size', async () => {
    const [stdout, stderr] = [collect(), collect()];
    const none = { stdin: undefined, resize: undefined };
    const run = async (options: ExecOptions, streams: ProcessStreams) => (await reach().exec(pod, options, signal))(streams);
    expect(await run(exec, { ...none, stdout, stderr })).toEqual({ kind: 'exited', code: 3 });
    expect([stdout.text(), stderr.text()]).toEqual(['out ls -l', 'err']);
    const echoed = collect();
    const cat = { ...exec, command: ['cat'], stdin: true, stderr: false };
    const streams = { stdin: inputOf('hello ', 'world'), stdout: echoed, stderr: undefined, resize: undefined };
    expect(await run(cat, streams)).toEqual({ kind: 'exited', code: 0 });
    expect(echoed.text()).toBe('hello world');
    const sized = collect();
    const resize = (async function* () {
      yield { width: 80, height: 24 };
    })();
    const tty = { ...exec, command: ['size'], tty: true, stderr: false };
    await run(tty, { stdin: undefined, stdout: sized, stderr: undefined, resize });
    expect(sized.text()).toBe('80x24');
    const broken = { ...exec, command: ['broken'] };
    expect(await run(broken, { ...none, stdout: collect(), stderr: collect() })).toEqual({ kind: 'failed', message: 'no such file' });
    await expect(reach().exec(pod, { ...exec, container: 'gone' }, signal)).rejects.toMatchObject({
      code: 500,
      message: 'container not found ("gone")',
    });
  });

  it('has what the kubelet answers to other requests', async () => {
    const answer = async (method: string, path: string) => {
      const { status, headers, body } = await reach().request({ method, path, headers: {}, body: new Uint8Array(0) }, signal);
      let text = '';
      for await (const chunk of body) text += Buffer.from(chunk).toString('utf8');
      return [status, headers['content-type'], text];
    };
    expect(await answer('GET', '/runningpods/')).toEqual([
      200,
      'application/json',
      JSON.stringify({ kind: 'PodList', apiVersion: 'v1', metadata: {}, items: [{ metadata: pod }] }),
    ]);
    expect(await answer('POST', '/run/ns/p/c?cmd=ls')).toEqual([404, 'text/plain; charset=utf-8', '404 page not found']);
  });

  it('attaches, and forwards several connections in one session', async () => {
    const attached = collect();
    const streams = { stdin: inputOf('in'), stdout: attached, stderr: undefined, resize: undefined };
    const attach = await reach().attach(pod, { ...exec, command: [], stdin: true, stderr: false }, signal);
    expect(await attach(streams)).toEqual({ kind: 'exited', code: 0 });
    expect(attached.text()).toBe('in');
    const gone = new AbortController();
    const forward = await reach().portForward(pod, gone.signal);
    const outputs = [8080, 8081, 8082].map((to) => ({ to, output: collect() }));
    await Promise.all(outputs.map(({ to, output }) => forward(to, { input: inputOf('ping'), output, end: () => {} })));
    expect(outputs.map(({ output }) => output.text())).toEqual(['8080:ping', '8081:ping', '8082:ping']);
    await expect(forward(81, { input: inputOf(), output: collect(), end: () => {} })).rejects.toThrow(
      /^error forwarding port 81 to pod pod-uid, uid : connection refused$/,
    );
    gone.abort();
    await expect(forward(8080, { input: inputOf(), output: collect(), end: () => {} })).rejects.toThrow('the session is closed');
  });

  it('talks to nobody whose certificate is not for the address, or not the cluster’s', async () => {
    const keys = { keyPem: server.keys.kubeletClient.keyPem, certificatePem: server.keys.kubeletClient.certificatePem };
    const wrongName = new KubeletClient({
      ...keys,
      address: { host: 'localhost', port },
      authorityPem: server.keys.authority.certificatePem,
    });
    await expect(wrongName.exec(pod, exec, signal)).rejects.toThrow(/error dialing backend: Hostname\/IP does not match certificate/);
    const foreign = new KubeletClient({ ...keys, address: { host: '127.0.0.1', port }, authorityPem: otherNode.certificatePem });
    await expect(foreign.exec(pod, exec, signal)).rejects.toThrow(/error dialing backend: /);
    wrongName.close();
    foreign.close();
  });
});
