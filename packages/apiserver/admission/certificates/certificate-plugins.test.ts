import { webcrypto } from 'node:crypto';
import 'reflect-metadata';
import type { UserInfo } from '@coffer/base/http/handler';
import * as x509 from '@peculiar/x509';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Authorizer } from '../../authorization/authorizer.ts';
import { openTestApi, type TestApi } from '../../testing/test-api.ts';
import { certificatePlugins } from './certificate-plugins.ts';

const clientSigner = 'kubernetes.io/kube-apiserver-client';
const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const user = (name: string): UserInfo => ({ name, groups: ['system:authenticated'] });

/** `approver` may approve for one signer, `domain-signer` may sign for a whole domain. */
const authorizer: Authorizer = {
  authorize: ({ user: { name: who }, verb, resource, name }) => {
    const granted = [`approver approve signers ${clientSigner}`, 'domain-signer sign signers kubernetes.io/*'];
    return { decision: granted.includes(`${who} ${verb} ${resource} ${name}`) ? 'allow' : 'no-opinion', reason: '' };
  },
};

let api: TestApi;
let pem: (organization: string) => Promise<string>;

beforeAll(async () => {
  x509.cryptoProvider.set(webcrypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  pem = async (organization) => {
    const name = [{ O: [organization] }, { CN: ['jane'] }];
    return (await x509.Pkcs10CertificateRequestGenerator.create({ name, keys, signingAlgorithm: algorithm })).toString('pem');
  };
  api = await openTestApi({ plugins: certificatePlugins(authorizer) });
});
afterAll(() => api.close());

async function create(name: string, organization = 'devs', signerName = clientSigner) {
  const request = Buffer.from(await pem(organization)).toString('base64');
  return api.request('POST', path, {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name },
    spec: { request, signerName, usages: ['client auth'] },
  });
}

function decide(name: string, subresource: 'approval' | 'status', status: object, who: string) {
  const options = { user: user(who), contentType: 'application/merge-patch+json' };
  return api.request('PATCH', `${path}/${name}/${subresource}`, { status }, options);
}

const approved = { conditions: [{ type: 'Approved', status: 'True', reason: 'x', message: 'y' }] };
const failed = { conditions: [{ type: 'Failed', status: 'True', reason: 'x', message: 'y' }] };

describe('certificatePlugins', () => {
  it('lets approve who may for the signer', async () => {
    expect((await create('a')).status).toBe(201);
    const refused = await decide('a', 'approval', approved, 'domain-signer');
    expect([refused.status, refused.json.message]).toEqual([
      403,
      `certificatesigningrequests.certificates.k8s.io "a" is forbidden: user not permitted to approve requests with signerName "${clientSigner}"`,
    ]);
    expect((await decide('a', 'approval', approved, 'approver')).status).toBe(200);
  });

  it('lets sign who may for the signer or its domain', async () => {
    expect((await create('b')).status).toBe(201);
    const refused = await decide('b', 'status', failed, 'approver');
    expect([refused.status, refused.json.message]).toEqual([
      403,
      `certificatesigningrequests.certificates.k8s.io "b" is forbidden: user not permitted to sign requests with signerName "${clientSigner}"`,
    ]);
    expect((await decide('b', 'status', failed, 'domain-signer')).status).toBe(200);
  });

  it('hands nobody a certificate of system:masters', async () => {
    const refused = await create('c', 'system:masters');
    expect([refused.status, refused.json.message]).toEqual([
      403,
      `certificatesigningrequests.certificates.k8s.io "c" is forbidden: use of ${clientSigner} signer with system:masters group is not allowed`,
    ]);
    expect((await create('d', 'system:masters', 'example.com/other')).status).toBe(201);
  });
});
