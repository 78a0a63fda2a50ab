import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createAuthority, issueCertificate, type KeyAndCertificate } from '@coffer/apiserver/pki/certificates';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess } from '../support/coffer-process.ts';

// A proxy that authenticates users itself and says in headers who they are.

const reviews = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
const validityMs = 86_400_000;
let coffer: CofferProcess;
let proxy: KeyAndCertificate;
let stranger: KeyAndCertificate;
let admin: { readonly keyPem: string; readonly certificatePem: string };

beforeAll(async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'coffer-proxy-'));
  const nowMs = Date.now();
  const authority = await createAuthority('front proxy authority', nowMs, validityMs);
  const client = (commonName: string) => issueCertificate(authority, { commonName, usage: 'client', names: [], validityMs, nowMs });
  [proxy, stranger] = await Promise.all([client('front-proxy-client'), client('somebody')]);
  const file = path.join(dataDir, 'front-proxy-ca.crt');
  await writeFile(file, authority.certificatePem);
  coffer = await CofferProcess.start({
    dataDir,
    args: [
      ...['--runtime', 'none', '--requestheader-client-ca-file', file, '--requestheader-allowed-names', 'front-proxy-client'],
      ...['--requestheader-username-headers', 'X-Remote-User', '--requestheader-uid-headers', 'X-Remote-Uid'],
      ...['--requestheader-group-headers', 'X-Remote-Group', '--requestheader-extra-headers-prefix', 'X-Remote-Extra-'],
    ],
  });
  const kubeconfig = await readFile(coffer.kubeconfig, 'utf8');
  const field = (name: string) => Buffer.from(new RegExp(`${name}: *(\\S+)`).exec(kubeconfig)?.[1] ?? '', 'base64').toString();
  admin = { keyPem: field('client-key-data'), certificatePem: field('client-certificate-data') };
});
afterAll(() => coffer?.dispose());

/** Asks who the client is: its user, or the status and message of the refusal. */
function whoAmI(identity: { readonly keyPem: string; readonly certificatePem: string } | undefined, headers: readonly string[]) {
  return new Promise<unknown>((resolve, reject) => {
    const [hostname, port] = ['127.0.0.1', coffer.port];
    const tls = { rejectUnauthorized: false, ...(identity ? { key: identity.keyPem, cert: identity.certificatePem } : {}) };
    const fixed = ['Host', hostname, 'Content-Type', 'application/json', 'Content-Length', '2'];
    const call = request(
      { hostname, port, method: 'POST', path: reviews, headers: [...fixed, ...headers], agent: false, ...tls },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          const body = JSON.parse(Buffer.concat(chunks).toString());
          resolve(answer.statusCode === 201 ? body.status.userInfo : [answer.statusCode, body.message]);
        });
      },
    );
    call.on('error', reject);
    call.end('{}');
  });
}

const jane = ['X-Remote-User', 'jane', 'X-Remote-Group', 'devs', 'X-Remote-Group', 'a, b', 'X-Remote-Extra-Acme.io%2fTeam', 'x'];

describe('an authenticating proxy', () => {
  it('says who the user is', async () => {
    expect(await whoAmI(proxy, [...jane, 'X-Remote-Uid', '42'])).toEqual({
      username: 'jane',
      uid: '42',
      groups: ['devs', 'a, b', 'system:authenticated'],
      extra: { 'acme.io/team': ['x'] },
    });
  });

  it('is no user itself', async () => {
    expect(await whoAmI(proxy, [])).toEqual([401, 'Unauthorized']);
  });

  it('must have an allowed name', async () => {
    expect(await whoAmI(stranger, jane)).toEqual([401, 'Unauthorized']);
  });

  it('is nobody else: headers of other clients mean nothing', async () => {
    expect(await whoAmI(admin, jane)).toMatchObject({ groups: expect.arrayContaining(['system:masters']) });
    expect(await whoAmI(undefined, jane)).toEqual([403, expect.stringContaining('User "system:anonymous" cannot create')]);
  });

  it('is published for servers that extend the API', async () => {
    const { body } = await coffer.call('GET', '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication');
    expect(body.data).toMatchObject({
      'client-ca-file': expect.stringContaining('BEGIN CERTIFICATE'),
      'requestheader-allowed-names': '["front-proxy-client"]',
      'requestheader-client-ca-file': expect.stringContaining('BEGIN CERTIFICATE'),
      'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
      'requestheader-group-headers': '["X-Remote-Group"]',
      'requestheader-uid-headers': '["X-Remote-Uid"]',
      'requestheader-username-headers': '["X-Remote-User"]',
    });
    expect(body.data['client-ca-file']).not.toBe(body.data['requestheader-client-ca-file']);
  });
});
