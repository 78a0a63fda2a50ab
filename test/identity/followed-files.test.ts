/** Certificates and authorities in files that change while the server runs: what comes next uses them, what is open goes on. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect } from 'node:tls';
import { createAuthority, issueCertificate, type KeyAndCertificate } from '@coffer/apiserver/pki/certificates';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually } from '../support/coffer-process.ts';

const nowMs = Date.now();
const validityMs = 86_400_000;
let dataDir: string;
let coffer: CofferProcess;
let authorities: KeyAndCertificate[];
let clients: KeyAndCertificate[];

const file = (name: string) => path.join(dataDir, name);
const serving = async (authority: KeyAndCertificate | undefined) => {
  if (authority === undefined) throw new Error('there is no such authority');
  const pair = await issueCertificate(authority, { commonName: 'server', usage: 'server', names: ['127.0.0.1'], nowMs, validityMs });
  await writeFile(file('serving.key'), pair.keyPem);
  await writeFile(file('serving.crt'), pair.certificatePem);
};

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'coffer-followed-'));
  authorities = await Promise.all(['first', 'second'].map((name) => createAuthority(name, nowMs, validityMs)));
  clients = await Promise.all(
    authorities.map((authority, i) => issueCertificate(authority, { commonName: `client-${i}`, usage: 'client', nowMs, validityMs })),
  );
  await serving(authorities[0]);
  await writeFile(file('clients.crt'), authorities[0]?.certificatePem ?? '');
  const files = ['--tls-cert-file', file('serving.crt'), '--tls-private-key-file', file('serving.key')];
  const args = ['--runtime', 'none', ...files, '--client-ca-file', file('clients.crt')];
  coffer = await CofferProcess.start({ dataDir, args });
});
afterAll(() => coffer?.dispose());

/** The common name of the server's issuer, as a new connection sees it. */
function issuer(): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: coffer.port, rejectUnauthorized: false }, () => {
      const name = socket.getPeerCertificate().issuer.CN;
      resolve(typeof name === 'string' ? name : undefined);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

/** The user that a client certificate stands for, or the status of the refusal. */
function userOf(client: KeyAndCertificate | undefined, agent: Agent): Promise<string | number> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port: coffer.port,
      agent,
      rejectUnauthorized: false,
      key: client?.keyPem,
      cert: client?.certificatePem,
    };
    const headers = { 'content-type': 'application/json' };
    const call = request({ ...options, method: 'POST', path: '/apis/authentication.k8s.io/v1/selfsubjectreviews', headers }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => {
        const body = JSON.parse(Buffer.concat(chunks).toString());
        resolve(answer.statusCode === 201 ? body.status.userInfo.username : (answer.statusCode ?? 0));
      });
    });
    call.on('error', reject);
    call.end('{}');
  });
}

describe('files that change while the server runs', () => {
  it('a new serving certificate is for new connections; a watch goes on', async () => {
    expect(await issuer()).toBe('first');
    let events = '';
    const watch = request(
      {
        ...{ host: '127.0.0.1', port: coffer.port, rejectUnauthorized: false, agent: false },
        path: '/api/v1/namespaces/default/configmaps?watch=1&fieldSelector=metadata.name%3Dseen',
        headers: { authorization: `Bearer ${coffer.token}` },
      },
      (answer) => answer.on('data', (chunk: Buffer) => (events += chunk.toString())),
    );
    watch.on('error', (error) => (events += `ended: ${error.message}`));
    watch.end();
    await serving(authorities[1]);
    await eventually('the new certificate', async () => (await issuer()) === 'second');
    expect((await coffer.call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'seen' } })).status).toBe(201);
    await eventually('the event', () => events.includes('"ADDED"'));
    expect(events).not.toContain('ended');
    watch.destroy();
  });

  it('a certificate without its key is not used, and said so', async () => {
    const other = await issueCertificate(authorities[0] as KeyAndCertificate, { commonName: 'x', usage: 'server', nowMs, validityMs });
    await writeFile(file('serving.crt'), other.certificatePem);
    await eventually('the report', () => coffer.output.includes('are not a certificate and its key'));
    expect(await issuer()).toBe('second');
  });

  it('other client authorities count at once, on open connections too', async () => {
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    const fresh = () => new Agent({ keepAlive: false });
    expect(await userOf(clients[0], kept)).toBe('client-0');
    expect(await userOf(clients[1], fresh())).toBe(401);
    await writeFile(file('clients.crt'), authorities[1]?.certificatePem ?? '');
    await eventually('the new authority', async () => (await userOf(clients[1], fresh())) === 'client-1');
    expect(await userOf(clients[0], kept)).toBe(401);
    kept.destroy();
    const published = '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication';
    await eventually('the published authority', async () =>
      (await coffer.call('GET', published)).body.data['client-ca-file'].includes(authorities[1]?.certificatePem.trim()),
    );
  });

  it('a file without a certificate changes nothing', async () => {
    await writeFile(file('clients.crt'), 'not a certificate\n');
    await eventually('the report', () => coffer.output.includes('--client-ca-file: no PEM certificate was found'));
    expect(await userOf(clients[1], new Agent({ keepAlive: false }))).toBe('client-1');
  });
});
