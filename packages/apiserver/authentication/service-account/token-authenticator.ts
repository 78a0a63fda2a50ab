import { createHash } from 'node:crypto';
import { unauthorized } from '@coffer/api/errors/status-error';
import type { HttpRequest } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import type { StoredObject } from '@coffer/storage/store/store';
import { decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose';
import type { AuthenticationResult, Authenticator } from '../authenticator.ts';
import { bearerToken } from '../bearer-token.ts';
import type { SigningKeys } from './signing-keys.ts';

/** Looks up what a token is bound to, in the watch cache. */
export interface TokenObjects {
  get(resource: 'serviceaccounts' | 'pods' | 'secrets' | 'nodes', namespace: string, name: string): StoredObject | undefined;
}

export interface TokenAuthenticatorOptions {
  readonly keys: SigningKeys;
  readonly issuers: readonly string[];
  readonly apiAudiences: readonly string[];
  readonly clock: Clock;
  readonly objects: TokenObjects;
}

interface ObjectClaim {
  readonly name: string;
  readonly uid: string;
}

interface KubernetesClaims {
  readonly namespace: string;
  readonly serviceaccount: ObjectClaim;
  readonly pod?: ObjectClaim;
  readonly secret?: ObjectClaim;
  readonly node?: ObjectClaim;
}

const maxCachedTokens = 4096;

/**
 * ServiceAccount tokens: signature, issuer, audience and times of the JWT, and on every request that the account and whatever the
 * token is bound to still exist with the same UID. Signatures are verified once per token and remembered by digest.
 */
export class ServiceAccountTokenAuthenticator implements Authenticator {
  readonly #options: TokenAuthenticatorOptions;
  readonly #verified = new Map<string, JWTPayload>();

  constructor(options: TokenAuthenticatorOptions) {
    this.#options = options;
  }

  authenticate(request: HttpRequest): Promise<AuthenticationResult | undefined> | undefined {
    const token = bearerToken(request);
    return token !== undefined && this.#isOurs(token) ? this.authenticateToken(token, this.#options.apiAudiences) : undefined;
  }

  /** Also for TokenReview: `audiences` are those the caller accepts. Throws StatusError 401; undefined for a foreign token. */
  async authenticateToken(token: string, audiences: readonly string[]): Promise<AuthenticationResult | undefined> {
    if (!this.#isOurs(token)) return undefined;
    const payload = await this.#verify(token);
    const nowSeconds = this.#options.clock.now() / 1000;
    if (payload.exp !== undefined && nowSeconds >= payload.exp) throw unauthorized();
    if (payload.nbf !== undefined && nowSeconds < payload.nbf - 60) throw unauthorized();
    const given = typeof payload.aud === 'string' ? [payload.aud] : (payload.aud ?? []);
    const accepted = given.filter((audience) => audiences.includes(audience));
    if (accepted.length === 0) throw unauthorized();
    const claims = payload['kubernetes.io'] as KubernetesClaims | undefined;
    if (!claims || !this.#stillExists(claims)) throw unauthorized();
    return { user: userOf(claims, payload), audiences: accepted };
  }

  /** True when the token names one of our issuers: only then a failure is final and no other authenticator is asked. */
  #isOurs(token: string): boolean {
    if (token.split('.').length !== 3) return false;
    try {
      return this.#options.issuers.includes(decodeJwt(token).iss ?? '');
    } catch {
      return false;
    }
  }

  async #verify(token: string): Promise<JWTPayload> {
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.#verified.get(digest);
    if (known) return known;
    const { kid } = decodeProtectedHeader(token);
    const candidates = this.#options.keys.verification.filter((key) => kid === undefined || key.id === kid);
    for (const { key, algorithm } of candidates) {
      try {
        const currentDate = new Date(this.#options.clock.now());
        const { payload } = await jwtVerify(token, key, { algorithms: [algorithm], currentDate, clockTolerance: 60 });
        if (this.#verified.size >= maxCachedTokens) this.#verified.clear();
        this.#verified.set(digest, payload);
        return payload;
      } catch {
        // not signed by this key, or expired: the next key is tried, then the answer is 401
      }
    }
    throw unauthorized();
  }

  #stillExists({ namespace, serviceaccount, pod, secret, node }: KubernetesClaims): boolean {
    const { objects } = this.#options;
    const now = this.#options.clock.now();
    const alive = (object: StoredObject | undefined, claim: ObjectClaim, graceMs: number) => {
      if (object?.uid !== claim.uid) return false;
      const deletedAt = object.peek().metadata.deletionTimestamp;
      return !deletedAt || now < Date.parse(deletedAt) + graceMs;
    };
    return (
      alive(objects.get('serviceaccounts', namespace, serviceaccount.name), serviceaccount, 60_000) &&
      (!pod || alive(objects.get('pods', namespace, pod.name), pod, 60_000)) &&
      (!secret || alive(objects.get('secrets', namespace, secret.name), secret, 0)) &&
      (!node || pod !== undefined || alive(objects.get('nodes', '', node.name), node, 60_000))
    );
  }
}

function userOf({ namespace, serviceaccount, pod, node }: KubernetesClaims, payload: JWTPayload): AuthenticationResult['user'] {
  const extra: Record<string, readonly string[]> = {
    ...(payload.jti ? { 'authentication.kubernetes.io/credential-id': [`JTI=${payload.jti}`] } : {}),
    ...(node ? { 'authentication.kubernetes.io/node-name': [node.name], 'authentication.kubernetes.io/node-uid': [node.uid] } : {}),
    ...(pod ? { 'authentication.kubernetes.io/pod-name': [pod.name], 'authentication.kubernetes.io/pod-uid': [pod.uid] } : {}),
  };
  return {
    name: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
    uid: serviceaccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
    extra,
  };
}
