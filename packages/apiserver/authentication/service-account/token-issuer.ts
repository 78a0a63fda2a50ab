import { randomUUID } from 'node:crypto';
import type { Clock } from '@coffer/base/time/clock';
import { SignJWT } from 'jose';
import { legacyClaimNames, legacyIssuer } from './claims.ts';
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
  readonly expirationSeconds: number;
  /** Use of the token later than this is recorded by audit. */
  readonly warnAfterSeconds?: number;
  readonly boundObject?: BoundObject;
  /** The node of a pod-bound token's pod. */
  readonly node?: { readonly name: string; readonly uid?: string };
}

export interface IssuedToken {
  readonly token: string;
  readonly jti: string;
}

export interface ServiceAccountTokenOptions {
  readonly keys: SigningKeys;
  readonly issuer: string;
  readonly apiAudiences: readonly string[];
  /** `--service-account-max-token-expiration`: longer requests get this; absent for no limit. */
  readonly maxExpirationSeconds?: number;
  /** `--service-account-extend-token-expiration`. */
  readonly extendExpiration?: boolean;
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

  get extendExpiration(): boolean {
    return this.#options.extendExpiration ?? false;
  }

  get maxExpirationSeconds(): number | undefined {
    return this.#options.maxExpirationSeconds;
  }

  async issue(request: IssueRequest): Promise<IssuedToken> {
    const { keys, issuer, apiAudiences, clock } = this.#options;
    const nowSeconds = Math.floor(clock.now() / 1000);
    const jti = randomUUID();
    const token = await new SignJWT({
      'kubernetes.io': {
        namespace: request.namespace,
        ...(request.node ? { node: request.node } : {}),
        ...bound(request.boundObject),
        serviceaccount: { name: request.name, uid: request.uid },
        ...(request.warnAfterSeconds === undefined ? {} : { warnafter: nowSeconds + request.warnAfterSeconds }),
      },
    })
      .setProtectedHeader({ alg: keys.signing.algorithm, kid: keys.signing.id })
      .setAudience([...(request.audiences.length > 0 ? request.audiences : apiAudiences)])
      .setExpirationTime(nowSeconds + request.expirationSeconds)
      .setIssuedAt(nowSeconds)
      .setIssuer(issuer)
      .setJti(jti)
      .setNotBefore(nowSeconds)
      .setSubject(`system:serviceaccount:${request.namespace}:${request.name}`)
      .sign(keys.signing.privateKey);
    return { token, jti };
  }

  /** A token for a Secret of type `kubernetes.io/service-account-token`: it lasts as long as the Secret holds it. */
  issueForSecret(
    account: { readonly namespace: string; readonly name: string; readonly uid: string },
    secret: { readonly name: string },
  ): Promise<string> {
    const { signing } = this.#options.keys;
    return new SignJWT({
      [legacyClaimNames.namespace]: account.namespace,
      [legacyClaimNames.secretName]: secret.name,
      [legacyClaimNames.accountName]: account.name,
      [legacyClaimNames.accountUid]: account.uid,
    })
      .setProtectedHeader({ alg: signing.algorithm, kid: signing.id })
      .setIssuer(legacyIssuer)
      .setSubject(`system:serviceaccount:${account.namespace}:${account.name}`)
      .sign(signing.privateKey);
  }
}

function bound(object: BoundObject | undefined): Record<string, { name: string; uid: string }> {
  return object ? { [object.kind.toLowerCase()]: { name: object.name, uid: object.uid } } : {};
}
