/** Whether a certificate and a private key in PEM belong together, and if not why, in the words of Go's TLS library. */

import type { KeyObject } from 'node:crypto';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';

/** A text for the user, or undefined when the pair is usable. Neither certificate nor key material is part of it. */
export function keyPairProblem(certificatePem: string, keyPem: string): string | undefined {
  const certificates = pemBlocks(certificatePem);
  const certificate = certificates.find((block) => block.type === 'CERTIFICATE');
  if (certificate === undefined) return missingCertificate(certificates.map((block) => block.type));
  const keys = pemBlocks(keyPem);
  const key = keys.find((block) => block.type === 'PRIVATE KEY' || block.type.endsWith(' PRIVATE KEY'));
  if (key === undefined) return missingKey(keys.map((block) => block.type));
  const publicKey = certificateKey(certificate.pem);
  if (publicKey === undefined) return 'x509: malformed certificate';
  const privateKey = parseKey(key.pem);
  if (privateKey === undefined) return 'tls: failed to parse private key';
  if (publicKey.asymmetricKeyType !== privateKey.asymmetricKeyType) return 'tls: private key type does not match public key type';
  const derived = createPublicKey(privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return derived.equals(publicKey) ? undefined : 'tls: private key does not match public key';
}

interface PemBlock {
  readonly type: string;
  readonly pem: string;
}

function pemBlocks(text: string): readonly PemBlock[] {
  const blocks = text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----\r?\n[\s\S]*?-----END \1-----/g);
  return [...blocks].map((match) => ({ type: match[1] ?? '', pem: match[0] }));
}

function missingCertificate(skipped: readonly string[]): string {
  if (skipped.length === 0) return 'tls: failed to find any PEM data in certificate input';
  if (skipped.length === 1 && skipped[0]?.endsWith('PRIVATE KEY')) {
    return 'tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched';
  }
  return `tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following types: [${skipped.join(' ')}]`;
}

function missingKey(skipped: readonly string[]): string {
  if (skipped.length === 0) return 'tls: failed to find any PEM data in key input';
  if (skipped.length === 1 && skipped[0] === 'CERTIFICATE') {
    return 'tls: found a certificate rather than a key in the PEM for the private key';
  }
  return `tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the following types: [${skipped.join(' ')}]`;
}

function certificateKey(pem: string): KeyObject | undefined {
  try {
    return new X509Certificate(pem).publicKey;
  } catch {
    return undefined;
  }
}

function parseKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}
