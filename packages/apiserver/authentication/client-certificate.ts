import { X509Certificate } from 'node:crypto';
import type { HttpPeer, UserInfo } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import type { Authenticator } from './authenticator.ts';

const clientAuthUsage = '1.3.6.1.5.5.7.3.2';

interface ParsedCertificate {
  readonly user: UserInfo;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * Client certificates that the TLS layer verified against the client authority: CN is the user, every O a group. The
 * validity is checked per request, not only at the handshake.
 */
export function clientCertificateAuthenticator(clock: Clock): Authenticator {
  const parsed = new WeakMap<HttpPeer, ParsedCertificate | 'unusable'>();
  return {
    authenticate({ peer }) {
      if (peer.certificateVerified !== true || !peer.certificate) return undefined;
      let entry = parsed.get(peer);
      if (entry === undefined) {
        entry = parse(peer.certificate);
        parsed.set(peer, entry);
      }
      if (entry === 'unusable') return undefined;
      const now = clock.now();
      return now >= entry.notBeforeMs && now <= entry.notAfterMs ? { user: entry.user } : undefined;
    },
  };
}

function parse(der: Uint8Array): ParsedCertificate | 'unusable' {
  const certificate = new X509Certificate(der);
  const { subject } = certificate.toLegacyObject();
  const name = asList(subject.CN)[0];
  if (name === undefined || name === '' || !(certificate.keyUsage ?? []).includes(clientAuthUsage)) return 'unusable';
  return {
    user: {
      name,
      groups: asList(subject.O),
      extra: {
        'authentication.kubernetes.io/credential-id': [`X509SHA256=${certificate.fingerprint256.replaceAll(':', '').toLowerCase()}`],
      },
    },
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
  };
}

/** Node types subject fields as strings, but a repeated one is a list. */
function asList(value: unknown): string[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value.map(String) : [String(value)];
}
