import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import type { V1CertificateSigningRequest } from '@coffer/api/generated/types';
import { type BackoffOptions, backoffDelayMs } from '@coffer/base/backoff';
import { writeFileAtomic } from '@coffer/base/files/atomic-file';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ApiClient } from '@coffer/client/rest/api-client';
import { nameOf } from '@coffer/client/rest/api-object';
import { CERTIFICATE_SIGNING_REQUESTS } from '@coffer/client/rest/well-known';

export interface ServingCertificateDeps {
  /** Acts as the kubelet itself: the signer signs only what a node asks for itself. */
  readonly api: ApiClient;
  readonly nodeName: string;
  /** DNS names and IP addresses the certificate is to be for: those the Node object tells. */
  readonly names: readonly string[];
  /** Where key and certificate are kept. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** A person has to approve this request. */
  readonly onWaiting: (requestName: string) => void;
}

export interface ServingCertificate {
  readonly keyPem: string;
  readonly certificatePem: string;
}

const signerName = 'kubernetes.io/kubelet-serving';
const renewAtShare = 0.8;
const pollMs = 2_000;
const retry: BackoffOptions = { initialMs: 1_000, factor: 2, maxMs: 60_000 };
/** Timers cannot be longer than 24 days. */
const maxSleepMs = 86_400_000;

/**
 * The kubelet's serving certificate, asked for by CertificateSigningRequest (signer `kubernetes.io/kubelet-serving`, which a person
 * approves), kept on disk and asked for anew when 80 % of its life are over. Calls `use` with each; returns when `signal` is aborted.
 */
export async function keepServingCertificate(
  deps: ServingCertificateDeps,
  use: (certificate: ServingCertificate) => Promise<void> | void,
  signal: AbortSignal,
): Promise<void> {
  let current = await readStored(deps);
  if (current) await use(current);
  let failures = 0;
  while (!signal.aborted) {
    try {
      if (!current || renewalTimeMs(current) <= deps.clock.now()) {
        current = await request(deps, signal);
        await use(current);
        failures = 0;
      }
      await deps.clock.sleep(Math.min(maxSleepMs, Math.max(pollMs, renewalTimeMs(current) - deps.clock.now())), signal);
    } catch (error) {
      if (signal.aborted) return;
      deps.logger.error('the kubelet gets no serving certificate, trying again', { err: error });
      await deps.clock.sleep(backoffDelayMs(retry, failures++), signal).catch(() => undefined);
    }
  }
}

async function readStored({ directory, names, clock }: ServingCertificateDeps): Promise<ServingCertificate | undefined> {
  try {
    const keyPem = await readFile(path.join(directory, 'kubelet-server.key'), 'utf8');
    const certificatePem = await readFile(path.join(directory, 'kubelet-server.crt'), 'utf8');
    const certificate = new X509Certificate(certificatePem);
    const covers = names.every((name) => (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined);
    const isValid = clock.now() < Date.parse(certificate.validTo) && certificate.checkPrivateKey(createPrivateKey(keyPem));
    return covers && isValid ? { keyPem, certificatePem } : undefined;
  } catch {
    return undefined; // none yet, or one that cannot be read: a new one is asked for
  }
}

function renewalTimeMs({ certificatePem }: ServingCertificate): number {
  const { validFrom, validTo } = new X509Certificate(certificatePem);
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  return from + (to - from) * renewAtShare;
}

async function request(deps: ServingCertificateDeps, signal: AbortSignal): Promise<ServingCertificate> {
  const { api, directory, clock } = deps;
  const { keyPem, requestPem } = await makeRequest(deps);
  const client = api.resource(CERTIFICATE_SIGNING_REQUESTS);
  const created = await client.create(
    {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { generateName: 'csr-' },
      spec: { request: Buffer.from(requestPem).toString('base64'), signerName, usages: ['digital signature', 'server auth'] },
    },
    { signal },
  );
  deps.onWaiting(nameOf(created));
  for (;;) {
    const answer = await client.get(nameOf(created), { signal });
    const refusal = refusalOf(answer);
    if (refusal !== undefined) throw new Error(`the certificate request ${nameOf(created)} was refused: ${refusal}`);
    const certificate = answer.status?.certificate ?? '';
    if (certificate !== '') {
      const certificatePem = Buffer.from(certificate, 'base64').toString('utf8');
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await writeFileAtomic(path.join(directory, 'kubelet-server.key'), keyPem);
      await writeFileAtomic(path.join(directory, 'kubelet-server.crt'), certificatePem);
      return { keyPem, certificatePem };
    }
    await clock.sleep(pollMs, signal);
  }
}

function refusalOf({ status }: V1CertificateSigningRequest): string | undefined {
  const refusal = status?.conditions?.find(({ type }) => type === 'Denied' || type === 'Failed');
  return refusal && (refusal.message ?? refusal.type);
}

async function makeRequest({ nodeName, names }: ServingCertificateDeps): Promise<{ readonly keyPem: string; readonly requestPem: string }> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto);
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const alternatives = names.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value }));
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ O: ['system:nodes'] }, { CN: [`system:node:${nodeName}`] }],
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension(alternatives)],
  });
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const keyPem = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }).toString();
  return { keyPem, requestPem: csr.toString('pem') };
}
