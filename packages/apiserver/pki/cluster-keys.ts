import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { makePrivateDirectory, writeFileAtomic } from '@coffer/base/files/atomic-file';
import type { Clock } from '@coffer/base/time/clock';
import type { CertificateRequest, KeyAndCertificate } from './certificates.ts';

/**
 * The keys of a cluster in one directory, made on the first start and kept: `ca.*`, `apiserver.*` (serving), `admin.*` (client,
 * group system:masters), `apiserver-kubelet-client.*`, `sa.key`/`sa.pub` (ServiceAccount tokens). Files are 0600, the directory
 * 0700. A certificate is issued anew when it is about to expire or does not cover the names asked for; the authority never is.
 */
export interface ClusterKeys {
  readonly authority: KeyAndCertificate;
  readonly serving: KeyAndCertificate;
  readonly admin: KeyAndCertificate;
  readonly kubeletClient: KeyAndCertificate;
  /** ES256 private key of ServiceAccount tokens, PEM (PKCS #8). */
  readonly serviceAccountKeyPem: string;
}

export interface ClusterKeysOptions {
  readonly directory: string;
  /** DNS names and IP addresses the serving certificate must cover. */
  readonly serverNames: readonly string[];
  readonly clock: Clock;
}

const dayMs = 86_400_000;
const authorityValidityMs = 10 * 365 * dayMs;
const leafValidityMs = 365 * dayMs;
const renewBeforeMs = 30 * dayMs;

export async function loadOrCreateClusterKeys(options: ClusterKeysOptions): Promise<ClusterKeys> {
  await makePrivateDirectory(options.directory);
  const authority = await loadOrCreateAuthority(options);
  const nowMs = options.clock.now();
  const base = { validityMs: leafValidityMs, nowMs };
  const serving = await loadOrIssue(options, authority, 'apiserver', {
    ...base,
    commonName: 'kube-apiserver',
    usage: 'server',
    names: options.serverNames,
  });
  const admin = await loadOrIssue(options, authority, 'admin', {
    ...base,
    commonName: 'kubernetes-admin',
    organizations: ['system:masters'],
    usage: 'client',
  });
  const kubeletClient = await loadOrIssue(options, authority, 'apiserver-kubelet-client', {
    ...base,
    commonName: 'kube-apiserver-kubelet-client',
    organizations: ['kubeadm:cluster-admins'],
    usage: 'client',
  });
  return { authority, serving, admin, kubeletClient, serviceAccountKeyPem: await loadOrCreateServiceAccountKey(options.directory) };
}

async function loadOrCreateAuthority(options: ClusterKeysOptions): Promise<KeyAndCertificate> {
  const existing = await readPair(options.directory, 'ca');
  if (existing) return existing;
  const { createAuthority } = await import('./certificates.ts');
  const created = await createAuthority('kubernetes', options.clock.now(), authorityValidityMs);
  await writePair(options.directory, 'ca', created);
  return created;
}

async function loadOrIssue(
  options: ClusterKeysOptions,
  authority: KeyAndCertificate,
  name: string,
  request: CertificateRequest,
): Promise<KeyAndCertificate> {
  const existing = await readPair(options.directory, name);
  if (existing && isUsable(existing, authority, request)) return existing;
  const { issueCertificate } = await import('./certificates.ts');
  const issued = await issueCertificate(authority, request);
  await writePair(options.directory, name, issued);
  return issued;
}

function isUsable(pair: KeyAndCertificate, authority: KeyAndCertificate, request: CertificateRequest): boolean {
  const certificate = new X509Certificate(pair.certificatePem);
  const issuer = new X509Certificate(authority.certificatePem);
  if (Date.parse(certificate.validTo) - request.nowMs < renewBeforeMs || !certificate.checkIssued(issuer)) return false;
  return (request.names ?? []).every(
    (name) => certificate.checkHost(name, { wildcards: false }) !== undefined || certificate.checkIP(name) !== undefined,
  );
}

async function loadOrCreateServiceAccountKey(directory: string): Promise<string> {
  const file = path.join(directory, 'sa.key');
  const existing = await readIfThere(file);
  if (existing) return existing;
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  await writeFileAtomic(path.join(directory, 'sa.pub'), pair.publicKey.export({ type: 'spki', format: 'pem' }).toString());
  await writeFileAtomic(file, pem);
  return pem;
}

async function readPair(directory: string, name: string): Promise<KeyAndCertificate | undefined> {
  const keyPem = await readIfThere(path.join(directory, `${name}.key`));
  const certificatePem = await readIfThere(path.join(directory, `${name}.crt`));
  return keyPem && certificatePem ? { keyPem, certificatePem } : undefined;
}

async function writePair(directory: string, name: string, pair: KeyAndCertificate): Promise<void> {
  // The certificate last: a pair counts only when both are there, so a crash in between just issues it again.
  await writeFileAtomic(path.join(directory, `${name}.key`), pair.keyPem);
  await writeFileAtomic(path.join(directory, `${name}.crt`), pair.certificatePem);
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`cannot read ${file}`, { cause: error });
  }
}
