import { X509Certificate } from 'node:crypto';
import type { HttpPeer, UserInfo } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import { type Authenticator, CredentialsError } from './authenticator.ts';

const clientAuthUsage = '1.3.6.1.5.5.7.3.2';
const anyUsage = '2.5.29.37.0';
/** Subject attribute that carries a user's UID. */
const uidAttribute = '1.3.6.1.4.1.57683.2';

interface ParsedCertificate {
  /** Undefined for a certificate without a common name: it says nothing about who this is. */
  readonly user: UserInfo | undefined;
  readonly forClients: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * Client certificates that the TLS layer verified against the client authority: CN is the user, every O a group. The
 * validity is checked per request, not only at the handshake. One that cannot be verified is bad credentials, not none.
 */
export function clientCertificateAuthenticator(clock: Clock): Authenticator {
  const known = new WeakMap<HttpPeer, ParsedCertificate>();
  return {
    authenticate({ peer }) {
      if (!peer.certificate) return undefined;
      let entry = known.get(peer);
      if (entry === undefined) {
        entry = parse(peer.certificate);
        known.set(peer, entry);
      }
      if (peer.certificateVerified !== true) throw new CredentialsError('x509: certificate signed by unknown authority');
      if (!entry.forClients) throw new CredentialsError('x509: certificate specifies an incompatible key usage');
      const now = clock.now();
      if (now < entry.notBeforeMs || now > entry.notAfterMs) {
        throw new CredentialsError('x509: certificate has expired or is not yet valid');
      }
      return entry.user ? { user: entry.user } : undefined;
    },
  };
}

function parse(der: Uint8Array): ParsedCertificate {
  const certificate = new X509Certificate(der);
  const subject = certificate.toLegacyObject().subject as unknown as Record<string, unknown>;
  const name = asList(subject.CN)[0] ?? '';
  const uid = asList(subject[uidAttribute])[0];
  const usages = certificate.keyUsage ?? [];
  const fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  return {
    user:
      name === ''
        ? undefined
        : {
            name,
            groups: asList(subject.O),
            ...(uid === undefined ? {} : { uid }),
            extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${fingerprint}`] },
          },
    forClients: usages.length === 0 || usages.includes(clientAuthUsage) || usages.includes(anyUsage),
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
  };
}

/** Node types subject fields as strings, but a repeated one is a list. */
function asList(value: unknown): string[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value.map(String) : [String(value as string | number)];
}
