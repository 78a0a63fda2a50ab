import { createPrivateKey, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import type { V1CertificateSigningRequest } from '@coffer/api/generated/types';
import type { Clock } from '@coffer/base/time/clock';
import type { ApiClient } from '@coffer/client/rest/api-client';
import { nameOf } from '@coffer/client/rest/api-object';
import { CERTIFICATE_SIGNING_REQUESTS } from '@coffer/client/rest/well-known';

/** A certificate of a node and its key, both PEM. */
export interface NodeCertificate {
  readonly keyPem: string;
  readonly certificatePem: string;
}

/** What a kubelet asks the cluster for. */
export interface CertificateAsk {
  readonly signerName: 'kubernetes.io/kubelet-serving' | 'kubernetes.io/kube-apiserver-client-kubelet';
  readonly usage: 'server auth' | 'client auth';
  readonly nodeName: string;
  /** DNS names and IP addresses it is to be for; none for a client. */
  readonly names: readonly string[];
}

export interface CertificateRequestDeps {
  /** Who asks: the signer and the approver look at that. */
  readonly api: ApiClient;
  readonly clock: Clock;
  /** The request is there and waits for its approval. */
  readonly onWaiting: (requestName: string) => void;
}

const pollMs = 2_000;
/** Most requests are approved and signed at once: the first looks come sooner. */
const firstPollMs = 100;

/**
 * Makes a key, asks for a certificate by CertificateSigningRequest and waits until it is signed. The key leaves this process only in what
 * is returned. Rejects when the request is denied, cannot be signed or is deleted.
 */
export async function requestCertificate(deps: CertificateRequestDeps, ask: CertificateAsk, signal: AbortSignal): Promise<NodeCertificate> {
  const { keyPem, requestPem } = await makeRequest(ask);
  const client = deps.api.resource(CERTIFICATE_SIGNING_REQUESTS);
  const created = await client.create(
    {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { generateName: 'csr-' },
      spec: {
        request: Buffer.from(requestPem).toString('base64'),
        signerName: ask.signerName,
        usages: ['digital signature', ask.usage],
      },
    },
    { signal },
  );
  const name = nameOf(created);
  deps.onWaiting(name);
  for (let waitMs = firstPollMs; ; waitMs = Math.min(pollMs, 2 * waitMs)) {
    const answer = await client.get(name, { signal });
    const refusal = refusalOf(answer);
    if (refusal !== undefined) throw new Error(`the certificate request ${name} was refused: ${refusal}`);
    const certificate = answer.status?.certificate ?? '';
    if (certificate !== '') return { keyPem, certificatePem: Buffer.from(certificate, 'base64').toString('utf8') };
    await deps.clock.sleep(waitMs, signal);
  }
}

function refusalOf({ status }: V1CertificateSigningRequest): string | undefined {
  const refusal = status?.conditions?.find(({ type }) => type === 'Denied' || type === 'Failed');
  return refusal && (refusal.message ?? refusal.type);
}

async function makeRequest({ nodeName, names }: CertificateAsk): Promise<{ readonly keyPem: string; readonly requestPem: string }> {
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
    extensions: alternatives.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(alternatives)],
  });
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const keyPem = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }).toString();
  return { keyPem, requestPem: csr.toString('pem') };
}
