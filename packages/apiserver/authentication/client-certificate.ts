import { X509Certificate } from 'node:crypto';
import type { HttpPeer, UserInfo } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import { type Authenticator, CredentialsError } from './authenticator.ts';
import type { ClientAuthorities } from './client-authorities.ts';

const clientAuthUsage = '1.3.6.1.5.5.7.3.2';
const anyUsage = '2.5.29.37.0';
/** Subject attribute that carries a user's UID. */
const uidAttribute = '1.3.6.1.4.1.57683.2';

interface ParsedCertificate {
  readonly commonName: string;
  /** Undefined for a certificate without a common name: it says nothing about who this is. */
  readonly user: UserInfo | undefined;
  readonly forClients: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * Client certificates of the given authorities: CN is the user, every O a group. One that cannot be verified is bad credentials, not
 * none.
 */
export function clientCertificateAuthenticator(authorities: ClientAuthorities, clock: Clock): Authenticator {
  const certificates = new CertificateReader(authorities, clock);
  return {
    authenticate({ peer }) {
      const user = certificates.read(peer)?.user;
      return user && { user };
    },
  };
}

/** Reads and checks the certificate of a connection; the validity is checked per request, not only at the handshake. */
export class CertificateReader {
  readonly #authorities: ClientAuthorities;
  readonly #clock: Clock;
  readonly #known = new WeakMap<HttpPeer, ParsedCertificate>();

  constructor(authorities: ClientAuthorities, clock: Clock) {
    this.#authorities = authorities;
    this.#clock = clock;
  }

  /** Undefined without a certificate; throws bad credentials for one that does not count. */
  read(peer: HttpPeer): { readonly commonName: string; readonly user: UserInfo | undefined } | undefined {
    if (!peer.certificate) return undefined;
    let entry = this.#known.get(peer);
    if (entry === undefined) {
      entry = parse(peer.certificate);
      this.#known.set(peer, entry);
    }
    this.#authorities.check(peer);
    if (!entry.forClients) throw new CredentialsError('x509: certificate specifies an incompatible key usage');
    const now = this.#clock.now();
    if (now < entry.notBeforeMs || now > entry.notAfterMs) {
      throw new CredentialsError('x509: certificate has expired or is not yet valid');
    }
    return entry;
  }
}

function parse(der: Uint8Array): ParsedCertificate {
  const certificate = new X509Certificate(der);
  const subject = certificate.toLegacyObject().subject as unknown as Record<string, unknown>;
  const name = asList(subject.CN)[0] ?? '';
  const uid = asList(subject[uidAttribute])[0];
  const usages = certificate.keyUsage ?? [];
  const fingerprint = certificate.fingerprint256.replaceAll(':', '').toLowerCase();
  return {
    commonName: name,
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
