import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { V1CertificateSigningRequest } from '@coffer/api/generated/types';
import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { ApiClient } from '@coffer/client/rest/api-client';
import { CERTIFICATE_SIGNING_REQUESTS } from '@coffer/client/rest/well-known';
import { FakeApi } from '@coffer/client/testing/fake-api';
import { Pkcs10CertificateRequest, X509CertificateGenerator } from '@peculiar/x509';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clientCertificateFile, clientCertificateFiles } from './certificate-files.ts';
import { keepCertificate } from './keep-certificate.ts';
import type { NodeCertificate } from './request-certificate.ts';

const hourMs = 3_600_000;
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const ask = { signerName: 'kubernetes.io/kube-apiserver-client-kubelet', usage: 'client auth', nodeName: 'n1', names: [] } as const;

let clock: FakeClock;
let api: FakeApi;
let directory: string;
let stopping: AbortController;
let kept: Promise<void>;
let used: NodeCertificate[];
let waiting: string[];

beforeEach(async () => {
  clock = new FakeClock();
  api = new FakeApi(clock);
  directory = await mkdtemp(path.join(tmpdir(), 'coffer-certificates-'));
  used = [];
  waiting = [];
});
afterEach(async () => {
  stopping.abort(new Error('the test ends'));
  await kept;
  await rm(directory, { recursive: true, force: true });
});

function start(nodeName: string = ask.nodeName): void {
  stopping = new AbortController();
  const deps = {
    api: new ApiClient({ transport: api.transport('node'), clock }),
    clock,
    logger: silentLogger,
    files: clientCertificateFiles(directory, nodeName, clock),
    onWaiting: (name: string) => void waiting.push(name),
  };
  kept = keepCertificate(deps, { ...ask, nodeName }, (certificate) => void used.push(certificate), stopping.signal);
}

/** Keys are made and files written on other threads: wait for what they lead to, in at most 30 steps of the given time. */
async function until(check: () => boolean, stepMs = 0): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  for (let step = 0; !check() && performance.now() < deadlineMs; step++) {
    await clock.advance(step < 30 ? stepMs : 0);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(check()).toBe(true);
}

/** What signer and approver do; the certificate is valid for an hour from now. */
async function sign(name: string): Promise<string> {
  const object = api.find(CERTIFICATE_SIGNING_REQUESTS, '', name) as unknown as V1CertificateSigningRequest;
  const csr = new Pkcs10CertificateRequest(Buffer.from(object.spec.request, 'base64').toString());
  const authority = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as never as { privateKey: never };
  const certificate = await X509CertificateGenerator.create(
    {
      subject: csr.subject,
      issuer: 'CN=authority',
      notBefore: new Date(clock.now()),
      notAfter: new Date(clock.now() + hourMs),
      publicKey: csr.publicKey,
      signingKey: authority.privateKey,
      signingAlgorithm: algorithm,
    },
    webcrypto as never,
  );
  const pem = `${certificate.toString('pem')}\n`;
  api.put(CERTIFICATE_SIGNING_REQUESTS, { ...object, status: { certificate: Buffer.from(pem).toString('base64') } });
  return pem;
}

const requests = () => api.requests.filter(({ method }) => method === 'POST').length;

describe('keepCertificate', () => {
  it('asks for a certificate, keeps it for the next start, and asks again when 80 % of its life are over', async () => {
    start();
    await until(() => waiting.length === 1);
    const first = await sign(waiting[0] ?? '');
    await until(() => used.length === 1, 100);
    expect(used[0]?.certificatePem).toBe(first);
    expect(await readFile(clientCertificateFile(directory), 'utf8')).toContain(first.trim());
    await clock.advance(0.75 * hourMs);
    expect(requests()).toBe(1);
    await clock.advance(0.06 * hourMs);
    await until(() => waiting.length === 2);
    const second = await sign(waiting[1] ?? '');
    await until(() => used.length === 2, 100);
    expect(used[1]?.certificatePem).toBe(second);

    stopping.abort(new Error('the process ends'));
    await kept;
    start();
    await until(() => used.length === 3);
    expect(used[2]?.certificatePem).toBe(second);
    expect(requests()).toBe(2);
  });

  it('does not use what was kept for another node, or is too old', async () => {
    start();
    await until(() => waiting.length === 1);
    await sign(waiting[0] ?? '');
    await until(() => used.length === 1, 100);
    stopping.abort(new Error('the process ends'));
    await kept;

    start('n2');
    await until(() => waiting.length === 2);
    stopping.abort(new Error('the process ends'));
    await kept;
    await clock.advance(hourMs);
    start();
    await until(() => waiting.length === 3);
    expect(used).toHaveLength(1);
  });

  it('asks again after a refusal', async () => {
    start();
    await until(() => waiting.length === 1);
    const denied = api.find(CERTIFICATE_SIGNING_REQUESTS, '', waiting[0] ?? '');
    const conditions = [{ type: 'Denied', status: 'True', message: 'not you' }];
    api.put(CERTIFICATE_SIGNING_REQUESTS, { ...denied, status: { conditions } } as never);
    await until(() => waiting.length === 2, 1_000);
    await sign(waiting[1] ?? '');
    await until(() => used.length === 1, 1_000);
  });
});
