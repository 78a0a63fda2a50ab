import { randomUUID } from 'node:crypto';
import type { Clock } from '@coffer/base/time/clock';
import { SignJWT } from 'jose';
import type { SigningKeys } from './signing-keys.ts';

export interface BoundObject {
  readonly kind: 'Pod' | 'Secret' | 'Node';
  readonly name: string;
  readonly uid: string;
}

export interface IssueRequest {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Empty: the server's own audiences. */
  readonly audiences: readonly string[];
  /** Zero or absent: never expires (legacy Secrets only). */
  readonly expirationSeconds: number;
  readonly boundObject?: BoundObject;
  /** The node of a pod-bound token's pod. */
  readonly node?: { readonly name: string; readonly uid: string };
}

export interface IssuedToken {
  readonly token: string;
  /** RFC 3339, whole seconds. */
  readonly expirationTimestamp: string;
  readonly jti: string;
}

export interface ServiceAccountTokenOptions {
  readonly keys: SigningKeys;
  readonly issuer: string;
  readonly apiAudiences: readonly string[];
  readonly clock: Clock;
}

/** Signs ServiceAccount tokens with the claims of upstream's bound tokens (KEP-1205). Checks nothing: the registry does. */
export class ServiceAccountTokenIssuer {
  readonly #options: ServiceAccountTokenOptions;

  constructor(options: ServiceAccountTokenOptions) {
    this.#options = options;
  }

  get apiAudiences(): readonly string[] {
    return this.#options.apiAudiences;
  }

  async issue(request: IssueRequest): Promise<IssuedToken> {
    const { keys, issuer, apiAudiences, clock } = this.#options;
    const nowSeconds = Math.floor(clock.now() / 1000);
    const expiresAt = nowSeconds + request.expirationSeconds;
    const jti = randomUUID();
    const jwt = new SignJWT({
      'kubernetes.io': {
        namespace: request.namespace,
        ...(request.node ? { node: request.node } : {}),
        ...bound(request.boundObject),
        serviceaccount: { name: request.name, uid: request.uid },
      },
    })
      .setProtectedHeader({ alg: keys.signing.algorithm, kid: keys.signing.id })
      .setAudience([...(request.audiences.length > 0 ? request.audiences : apiAudiences)])
      .setIssuedAt(nowSeconds)
      .setIssuer(issuer)
      .setJti(jti)
      .setNotBefore(nowSeconds)
      .setSubject(`system:serviceaccount:${request.namespace}:${request.name}`);
    if (request.expirationSeconds > 0) jwt.setExpirationTime(expiresAt);
    const token = await jwt.sign(keys.signing.privateKey);
    return { token, expirationTimestamp: new Date(expiresAt * 1000).toISOString().replace('.000Z', 'Z'), jti };
  }
}

function bound(object: BoundObject | undefined): Record<string, { name: string; uid: string }> {
  return object ? { [object.kind.toLowerCase()]: { name: object.name, uid: object.uid } } : {};
}
