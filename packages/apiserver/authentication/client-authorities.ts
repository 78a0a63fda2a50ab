import { createHash, X509Certificate } from 'node:crypto';
import type { HttpPeer } from '@coffer/base/http/handler';
import { CredentialsError } from './authenticator.ts';

/**
 * Authorities that vouch for clients of one kind. The TLS layer verifies against all there are; a client counts only for the kind
 * that its own authority is named for.
 */
export class ClientAuthorities {
  readonly #name: string;
  #pems: readonly string[] = [];
  #fingerprints: ReadonlySet<string> = new Set();

  /** Throws when a text holds no certificate; `name` is what the message begins with. */
  constructor(pems: readonly string[], name: string) {
    this.#name = name;
    this.replace(pems);
  }

  get pems(): readonly string[] {
    return this.#pems;
  }

  /** From the next request on these count and no others. Throws, and changes nothing, when a text holds no certificate. */
  replace(pems: readonly string[]): void {
    const found = pems.flatMap((pem) => {
      const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
      if (blocks.length === 0) throw new Error(`${this.#name}: no PEM certificate was found`);
      return blocks.map((block) => certificateFingerprint(new X509Certificate(block).raw));
    });
    this.#pems = [...pems];
    this.#fingerprints = new Set(found);
  }

  /** Throws bad credentials unless the peer's certificate was verified up to one of these. */
  check({ certificateVerified, certificateAuthority }: HttpPeer): void {
    if (certificateVerified === true && certificateAuthority !== undefined && this.#fingerprints.has(certificateAuthority)) return;
    throw new CredentialsError('x509: certificate signed by unknown authority');
  }
}

/** SHA-256 of a certificate in DER, in hexadecimal. */
export function certificateFingerprint(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}
