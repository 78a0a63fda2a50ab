import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { ClientApi } from '@coffer/kubelet/api/client-api';
import type { Pod } from '@coffer/kubelet/types';
import { TokenManager } from '@coffer/kubelet/volumes/token-manager';
import { afterEach, describe, expect, it } from 'vitest';
import { admin, type InProcessServer, startInProcessServer } from './in-process-server.ts';

// The life of a pod's token on the whole control plane, with a clock that the test moves.

const apiAudience = 'https://kubernetes.default.svc.cluster.local';
const hourMs = 3_600_000;
const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(flags: readonly string[] = []): Promise<InProcessServer> {
  const server = await startInProcessServer(flags);
  closers.push(() => server.close());
  return server;
}

async function as(server: InProcessServer, method: string, url: string, body?: object) {
  const transport = server.transportAs(admin);
  const response = await transport.request({
    method,
    path: url,
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const json = JSON.parse(Buffer.from(response.body).toString('utf8'));
  if (response.status >= 300) throw new Error(`${method} ${url}: ${json.message}`);
  return json;
}

/** A pod bound to node n1 that runs as account `app`, and the kubelet's token manager of that node. */
async function withPod(server: InProcessServer) {
  await as(server, 'POST', '/api/v1/namespaces', { metadata: { name: 'ns' } });
  await as(server, 'POST', '/api/v1/nodes', { metadata: { name: 'n1' } });
  await as(server, 'POST', '/api/v1/namespaces/ns/serviceaccounts', { metadata: { name: 'app' } });
  const pod: Pod = await as(server, 'POST', '/api/v1/namespaces/ns/pods', {
    metadata: { name: 'p' },
    spec: { nodeName: 'n1', serviceAccountName: 'app', containers: [{ name: 'c', image: 'i' }] },
  });
  const kubelet = { name: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] };
  const api = new ClientApi({ transport: server.transportAs(kubelet), clock: server.clock, logger: silentLogger });
  return { pod, tokens: new TokenManager(api, server.clock) };
}

async function whoIs(server: InProcessServer, token: string): Promise<string> {
  const { status, json } = await server.call(token, 'POST', '/apis/authentication.k8s.io/v1/selfsubjectreviews', {});
  return status === 201 ? json.status.userInfo.username : String(status);
}

async function review(server: InProcessServer, token: string, audiences: readonly string[] = []) {
  const spec = { token, audiences };
  return (await as(server, 'POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec })).status;
}

describe('a token of a pod', () => {
  it('is renewed before it expires, and the old one is refused when it has', async () => {
    const server = await start();
    const { pod, tokens } = await withPod(server);
    const first = await tokens.token(pod, { path: 'token' });
    expect(await whoIs(server, first)).toBe('system:serviceaccount:ns:app');
    await server.clock.advance(0.7 * hourMs);
    expect(await tokens.token(pod, { path: 'token' })).toBe(first);
    await server.clock.advance(0.2 * hourMs);
    const second = await tokens.token(pod, { path: 'token' });
    expect(second).not.toBe(first);
    expect([await whoIs(server, first), await whoIs(server, second)]).toEqual([
      'system:serviceaccount:ns:app',
      'system:serviceaccount:ns:app',
    ]);
    await server.clock.advance(0.1 * hourMs);
    expect([await whoIs(server, first), await whoIs(server, second)]).toEqual(['401', 'system:serviceaccount:ns:app']);
    expect((await review(server, first)).error).toBe('[invalid bearer token, service account token has expired]');
  });

  it('ends with the pod, whatever time it had left', async () => {
    const server = await start();
    const { pod, tokens } = await withPod(server);
    const token = await tokens.token(pod, { path: 'token' });
    await as(server, 'DELETE', '/api/v1/namespaces/ns/pods/p?gracePeriodSeconds=0');
    expect(await whoIs(server, token)).toBe('401');
    expect((await review(server, token)).error).toBe('[invalid bearer token, service account token has been invalidated]');
  });

  it('ends with the account, also when one of the same name comes back', async () => {
    const server = await start();
    const { pod, tokens } = await withPod(server);
    const token = await tokens.token(pod, { path: 'token' });
    await as(server, 'DELETE', '/api/v1/namespaces/ns/serviceaccounts/app');
    expect(await whoIs(server, token)).toBe('401');
    await as(server, 'POST', '/api/v1/namespaces/ns/serviceaccounts', { metadata: { name: 'app' } });
    expect(await whoIs(server, token)).toBe('401');
  });

  it('is good for its audience only', async () => {
    const server = await start();
    const { pod, tokens } = await withPod(server);
    const vault = await tokens.token(pod, { path: 'token', audience: 'vault' });
    expect(await whoIs(server, vault)).toBe('401');
    expect(await review(server, vault, ['vault'])).toMatchObject({ authenticated: true, audiences: ['vault'] });
    expect(await review(server, vault)).toEqual({
      user: {},
      error: `[invalid bearer token, token audiences ["vault"] is invalid for the target audiences ["${apiAudience}"]]`,
    });
    const own = await review(server, await tokens.token(pod, { path: 'token' }));
    expect(own).toMatchObject({ authenticated: true, audiences: [apiAudience] });
    expect(own.user).toMatchObject({
      username: 'system:serviceaccount:ns:app',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:ns', 'system:authenticated'],
      extra: {
        'authentication.kubernetes.io/pod-name': ['p'],
        'authentication.kubernetes.io/pod-uid': [pod.metadata.uid],
        'authentication.kubernetes.io/node-name': ['n1'],
      },
    });
  });

  it('survives a change of the signing key while the old public key is accepted', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'coffer-signing-'));
    closers.push(() => rm(folder, { recursive: true, force: true }));
    const files = ['old', 'new'].map((name) => ({ key: path.join(folder, `${name}.key`), pub: path.join(folder, `${name}.pub`) }));
    for (const { key, pub } of files) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      await writeFile(key, pair.privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
      await writeFile(pub, pair.publicKey.export({ type: 'spki', format: 'pem' }));
    }
    const [older, newer] = files;
    if (!older || !newer) throw new Error('no keys');
    const before = await start(['--service-account-signing-key-file', older.key]);
    const during = await start(['--service-account-signing-key-file', newer.key, '--service-account-key-file', older.pub]);
    const after = await start(['--service-account-signing-key-file', newer.key]);
    const token = async (server: InProcessServer) =>
      (await as(server, 'POST', '/api/v1/namespaces/default/serviceaccounts/default/token', { spec: {} })).status.token as string;
    for (const server of [before, during, after])
      await as(server, 'POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } });
    const old = await token(before);
    // Another server has other accounts: what counts here is whether the signature is the reason.
    expect((await review(during, old)).error).toMatch(/^\[invalid bearer token, service account UID \(.*\) does not match claim/);
    expect((await review(after, old)).error).toBe('[invalid bearer token, failed to verify the signature of the service account token]');
    expect(await whoIs(during, await token(during))).toBe('system:serviceaccount:default:default');
    const keysOf = async (server: InProcessServer) => (await server.call(await token(server), 'GET', '/openid/v1/jwks')).json.keys.length;
    // The cluster's own key is always among them.
    expect([await keysOf(before), await keysOf(during), await keysOf(after)]).toEqual([2, 3, 2]);
  });
});
