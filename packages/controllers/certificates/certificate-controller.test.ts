import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import type { V1CertificateSigningRequest } from '@coffer/api/generated/types';
import { CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS } from '@coffer/client/rest/well-known';
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import type { SigningRequest } from './certificate-controller.ts';
import { runCertificateController } from './certificate-controller.ts';

let cluster: TestCluster;
let signed: SigningRequest[];

beforeEach(() => {
  cluster = new TestCluster();
  signed = [];
  const signer = {
    sign: async (request: SigningRequest) => {
      signed.push(request);
      return 'CERT';
    },
  };
  cluster.run('certificate-controller', (deps, signal) => runCertificateController({ ...deps, signer }, signal));
});

afterEach(() => cluster.stop());

/** Answers access reviews: the fake API stores them as they are, so the answer is put in before. */
function allow(subresources: readonly string[]): void {
  cluster.api.before = (request) => {
    if (request.method !== 'POST' || !request.path.endsWith(`/${SUBJECT_ACCESS_REVIEWS.resource}`)) return;
    const review = request.body as { metadata?: object; spec: { resourceAttributes: { subresource: string } }; status?: object };
    review.metadata = { generateName: 'review-' };
    review.status = { allowed: subresources.includes(review.spec.resourceAttributes.subresource) };
  };
}

async function csr(subject: string, names: { type: 'dns' | 'ip' | 'email' | 'url'; value: string }[] = []): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as never;
  const extensions = names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)];
  const request = await Pkcs10CertificateRequestGenerator.create(
    { name: subject, keys, signingAlgorithm: algorithm, extensions },
    webcrypto as never,
  );
  return Buffer.from(request.toString('pem')).toString('base64');
}

const NODE = 'O=system:nodes, CN=system:node:n1';
const CLIENT = ['digital signature', 'client auth'];
const SERVING = ['digital signature', 'server auth'];

function put(request: string, signer: string, usages: string[], extra: object = {}, approved = false): void {
  cluster.api.put(CERTIFICATE_SIGNING_REQUESTS, {
    metadata: { name: 'r' },
    spec: { request, signerName: `kubernetes.io/${signer}`, usages, username: 'system:node:n1', groups: ['system:nodes'], ...extra },
    status: approved ? { conditions: [{ type: 'Approved', status: 'True', lastUpdateTime: '2026-01-01T00:00:00Z' }] } : {},
  });
}

const current = () => cluster.api.find(CERTIFICATE_SIGNING_REQUESTS, '', 'r') as V1CertificateSigningRequest | undefined;
const conditions = () =>
  (current()?.status?.conditions ?? []).map((condition) => `${condition.type} ${condition.reason ?? ''}: ${condition.message ?? ''}`);

/** Cryptography runs on other threads: give it time. */
async function until(check: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!check() && performance.now() < deadlineMs) {
    await cluster.settle();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

async function quiet(): Promise<void> {
  const seen = cluster.api.requests.length;
  for (let i = 0; i < 5; i++) await cluster.settle();
  expect(cluster.api.requests.length - seen).toBeLessThan(5);
}

describe('certificate controller', () => {
  it('approves and signs what a kubelet asks for itself', async () => {
    allow(['selfnodeclient']);
    put(await csr(NODE), 'kube-apiserver-client-kubelet', CLIENT, { expirationSeconds: 3600 });
    await until(() => current()?.status?.certificate !== undefined);
    expect(conditions()).toEqual(['Approved AutoApproved: Auto approving self kubelet client certificate after SubjectAccessReview.']);
    expect(current()?.status?.certificate).toBe(Buffer.from('CERT').toString('base64'));
    expect(signed).toMatchObject([
      { commonName: 'system:node:n1', organizations: ['system:nodes'], names: [], usage: 'client', validityMs: 3_600_000 },
    ]);
    expect(cluster.api.all(SUBJECT_ACCESS_REVIEWS)[0]?.spec).toEqual({
      user: 'system:node:n1',
      groups: ['system:nodes'],
      resourceAttributes: {
        group: 'certificates.k8s.io',
        resource: 'certificatesigningrequests',
        verb: 'create',
        version: '*',
        subresource: 'selfnodeclient',
      },
    });
  });

  it('approves the first certificate of a bootstrapping node, and nobody who is not allowed', async () => {
    allow(['nodeclient']);
    put(await csr(NODE), 'kube-apiserver-client-kubelet', CLIENT, { username: 'system:bootstrap:abc' });
    await until(() => conditions().length > 0);
    expect(conditions()).toEqual(['Approved AutoApproved: Auto approving kubelet client certificate after SubjectAccessReview.']);
    cluster.api.remove(CERTIFICATE_SIGNING_REQUESTS, '', 'r');
    allow([]);
    put(await csr(NODE), 'kube-apiserver-client-kubelet', CLIENT);
    await until(() => cluster.api.all(SUBJECT_ACCESS_REVIEWS).length >= 3);
    await quiet();
    expect(conditions()).toEqual([]);
  });

  it('approves nothing by itself for serving or ordinary clients', async () => {
    allow(['nodeclient', 'selfnodeclient']);
    put(await csr(NODE, [{ type: 'dns', value: 'n1' }]), 'kubelet-serving', SERVING);
    await quiet();
    put(await csr('CN=jane'), 'kube-apiserver-client', ['client auth']);
    await quiet();
    expect(conditions()).toEqual([]);
  });

  it('signs approved serving and client certificates', async () => {
    put(
      await csr(NODE, [
        { type: 'dns', value: 'n1' },
        { type: 'ip', value: '10.0.0.1' },
      ]),
      'kubelet-serving',
      SERVING,
      {},
      true,
    );
    await until(() => signed.length === 1);
    cluster.api.remove(CERTIFICATE_SIGNING_REQUESTS, '', 'r');
    put(await csr('O=dev, CN=jane'), 'kube-apiserver-client', ['client auth'], {}, true);
    await until(() => signed.length === 2);
    expect(signed).toMatchObject([
      { usage: 'server', names: ['n1', '10.0.0.1'], validityMs: 31_536_000_000 },
      { usage: 'client', commonName: 'jane', organizations: ['dev'] },
    ]);
  });

  const refusals: {
    name: string;
    subject: string;
    names?: { type: 'dns' | 'ip'; value: string }[];
    signer: string;
    usages: string[];
    message: string;
  }[] = [
    {
      name: 'foreign organization',
      subject: 'O=other, CN=system:node:n1',
      signer: 'kube-apiserver-client-kubelet',
      usages: CLIENT,
      message: 'subject organization is not system:nodes',
    },
    {
      name: 'foreign name',
      subject: 'O=system:nodes, CN=jane',
      signer: 'kube-apiserver-client-kubelet',
      usages: CLIENT,
      message: 'subject common name does not begin with system:node: ',
    },
    {
      name: 'names of a client',
      subject: NODE,
      names: [{ type: 'dns', value: 'x' }],
      signer: 'kube-apiserver-client-kubelet',
      usages: CLIENT,
      message: 'DNS subjectAltNames are not allowed',
    },
    {
      name: 'serving without names',
      subject: NODE,
      signer: 'kubelet-serving',
      usages: SERVING,
      message: 'DNS or IP subjectAltName is required',
    },
    {
      name: 'wrong usage',
      subject: 'CN=jane',
      signer: 'kube-apiserver-client',
      usages: ['server auth'],
      message: 'invalid usage for client certificate: server auth',
    },
    {
      name: 'missing usage',
      subject: 'CN=jane',
      signer: 'kube-apiserver-client',
      usages: ['digital signature'],
      message: 'missing required usage for client certificate: client auth',
    },
  ];
  it.each(refusals)('does not sign: $name', async ({ subject, names, signer, usages, message }) => {
    put(await csr(subject, names), signer, usages, {}, true);
    await until(() => conditions().length > 1);
    expect(conditions()).toEqual(['Approved : ', `Failed SignerValidationFailure: ${message}`]);
    expect(signed).toEqual([]);
  });

  it('leaves other signers alone and says what it cannot read', async () => {
    put('bm90IGEgcmVxdWVzdA==', 'legacy-unknown', CLIENT, {}, true);
    await quiet();
    expect(conditions()).toEqual(['Approved : ']);
    put('bm90IGEgcmVxdWVzdA==', 'kube-apiserver-client', CLIENT, {}, true);
    await until(() => conditions().length > 1);
    expect(conditions()[1]).toContain('Failed SignerValidationFailure: unable to parse csr "r"');
  });

  it('clears decided requests away after an hour and undecided ones after a day', async () => {
    put('x', 'legacy-unknown', CLIENT, {}, true);
    cluster.api.put(CERTIFICATE_SIGNING_REQUESTS, { metadata: { name: 'pending' }, spec: { request: 'x', signerName: 'example.com/s' } });
    await cluster.clock.advance(50 * 60_000);
    expect(current()).toBeDefined();
    await cluster.clock.advance(25 * 60_000);
    await cluster.settle();
    expect(current()).toBeUndefined();
    expect(cluster.api.all(CERTIFICATE_SIGNING_REQUESTS)).toHaveLength(1);
    await cluster.clock.advance(24 * 3_600_000);
    await cluster.settle();
    expect(cluster.api.all(CERTIFICATE_SIGNING_REQUESTS)).toHaveLength(0);
  });
});
