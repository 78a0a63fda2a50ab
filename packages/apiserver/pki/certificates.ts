import 'reflect-metadata';
import { createPrivateKey, type KeyObject, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

/** X.509 with ECDSA P-256: the cluster's authority and what it signs. All inputs and outputs are PEM. */
export interface KeyAndCertificate {
  readonly keyPem: string;
  readonly certificatePem: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  /** Becomes the groups of a client (`O=`). */
  readonly organizations?: readonly string[];
  readonly usage: 'client' | 'server' | 'both';
  /** Subject alternative names; IP addresses and DNS names mixed. */
  readonly names?: readonly string[];
  readonly validityMs: number;
  /** Now, ms since the epoch. Validity starts five minutes earlier for clock skew; of a validity of eight hours or more these are part. */
  readonly nowMs: number;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const clockSkewMs = 5 * 60_000;
const shortMs = 8 * 3_600_000;

x509.cryptoProvider.set(webcrypto);

/** A self-signed certificate authority. */
export async function createAuthority(commonName: string, nowMs: number, validityMs: number): Promise<KeyAndCertificate> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [commonName] }],
    notBefore: new Date(nowMs - clockSkewMs),
    notAfter: new Date(nowMs + validityMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.keyEncipherment,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { keyPem: await privateKeyPem(keys.privateKey), certificatePem: `${certificate.toString('pem')}\n` };
}

/** A fresh key and a certificate for it, signed by `authority`. */
export async function issueCertificate(authority: KeyAndCertificate, request: CertificateRequest): Promise<KeyAndCertificate> {
  const keys = await generateKeys();
  const certificatePem = await signPublicKey(authority, keys.publicKey, request);
  return { keyPem: await privateKeyPem(keys.privateKey), certificatePem };
}

/** A certificate for a key that somebody else holds, given as CryptoKey or SubjectPublicKeyInfo in DER. */
export async function signPublicKey(
  authority: KeyAndCertificate,
  publicKey: webcrypto.CryptoKey | Uint8Array,
  request: CertificateRequest,
): Promise<string> {
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const usages: string[] = [];
  if (request.usage !== 'server') usages.push(x509.ExtendedKeyUsage.clientAuth);
  if (request.usage !== 'client') usages.push(x509.ExtendedKeyUsage.serverAuth);
  const names = (request.names ?? []).map((name) => ({ type: isIP(name) ? ('ip' as const) : ('dns' as const), value: name }));
  const organizations = request.organizations ?? [];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [...organizations.map((o) => ({ O: [o] })), { CN: [request.commonName] }],
    issuer: issuer.subject,
    notBefore: new Date(request.nowMs - clockSkewMs),
    notAfter: new Date(Math.min(endMs(request), issuer.notAfter.getTime())),
    signingAlgorithm: algorithm,
    publicKey: publicKey,
    signingKey: await importPrivateKey(authority.keyPem),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
      new x509.ExtendedKeyUsageExtension(usages),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  return `${certificate.toString('pem')}\n`;
}

function endMs({ nowMs, validityMs }: CertificateRequest): number {
  return nowMs + validityMs - (validityMs < shortMs ? 0 : clockSkewMs);
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function privateKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }).toString();
}

async function importPrivateKey(pem: string): Promise<webcrypto.CryptoKey> {
  const key: KeyObject = createPrivateKey(pem);
  const der = key.export({ type: 'pkcs8', format: 'der' });
  return await webcrypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign']);
}

function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = (bytes[0] ?? 0) & 0x7f;
  return bytes.toString('hex');
}
