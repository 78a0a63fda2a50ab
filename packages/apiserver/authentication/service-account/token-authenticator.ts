import { createHash, timingSafeEqual } from 'node:crypto';
import type { UserInfo } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import type { StoredObject } from '@coffer/storage/store/store';
import { decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose';
import { type AuthenticationResult, CredentialsError, type TokenAuthenticator } from '../authenticator.ts';
import { boundClaims, type KubernetesClaims, legacyClaims, legacyIssuer, type ObjectClaim } from './claims.ts';
import { type LegacyUse, legacyTokenUse, type RecordLegacyUse } from './legacy-token-use.ts';
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
  readonly recordLegacyUse: RecordLegacyUse;
}

const maxCachedTokens = 4096;
const deletionGraceMs = 60_000;
const clockSkewSeconds = 60;

/**
 * ServiceAccount tokens: signature, issuer, audience and times of the JWT, and on every request that the account and whatever the
 * token is bound to still exist with the same UID. Signatures are verified once per token and remembered by digest. Tokens of
 * the legacy issuer count only while the Secret they came from still holds them.
 */
export class ServiceAccountTokenAuthenticator implements TokenAuthenticator {
  readonly #options: TokenAuthenticatorOptions;
  readonly #verified = new Map<string, JWTPayload>();

  constructor(options: TokenAuthenticatorOptions) {
    this.#options = options;
  }

  async authenticateToken(token: string, audiences: readonly string[]): Promise<AuthenticationResult | undefined> {
    const issuer = this.#issuerOf(token);
    if (issuer === undefined) return undefined;
    const payload = await this.#verify(token);
    this.#checkTimes(payload);
    const own = typeof payload.aud === 'string' ? [payload.aud] : (payload.aud ?? []);
    const given = own.length === 0 ? this.#options.apiAudiences : own;
    const accepted = given.filter((audience) => audiences.includes(audience));
    if (accepted.length === 0) {
      throw new CredentialsError(`token audiences ${goList(given)} is invalid for the target audiences ${goList(audiences)}`);
    }
    const claims = issuer === legacyIssuer ? legacyClaims(payload) : boundClaims(payload);
    if (!claims) throw new CredentialsError('service account token has no valid claims');
    const use = this.#checkObjects(claims, issuer === legacyIssuer ? token : undefined);
    return { user: userOf(claims, payload), audiences: accepted, ...(use ?? this.#staleUse(claims, payload)) };
  }

  /** The token's issuer when it is one of ours: only then a failure is ours to tell. */
  #issuerOf(token: string): string | undefined {
    if (token.split('.').length !== 3) return undefined;
    try {
      const { iss = '' } = decodeJwt(token);
      return iss === legacyIssuer || this.#options.issuers.includes(iss) ? iss : undefined;
    } catch {
      return undefined;
    }
  }

  async #verify(token: string): Promise<JWTPayload> {
    const digest = createHash('sha256').update(token).digest('base64');
    const known = this.#verified.get(digest);
    if (known) return known;
    const { kid } = decodeProtectedHeader(token);
    const { verification } = this.#options.keys;
    const named = verification.filter((key) => key.id === kid);
    for (const { key, algorithm } of named.length > 0 ? named : verification) {
      try {
        // Times are checked on every use; here they must not hide whether the signature is good.
        const { payload } = await jwtVerify(token, key, { algorithms: [algorithm], currentDate: issuedAt(token) });
        if (this.#verified.size >= maxCachedTokens) this.#verified.clear();
        this.#verified.set(digest, payload);
        return payload;
      } catch {
        // not signed by this key: the next one is tried, then the token is refused
      }
    }
    throw new CredentialsError('failed to verify the signature of the service account token');
  }

  #checkTimes(payload: JWTPayload): void {
    const nowSeconds = this.#options.clock.now() / 1000;
    if (payload.exp !== undefined && nowSeconds >= payload.exp) throw new CredentialsError('service account token has expired');
    if (payload.nbf !== undefined && nowSeconds < payload.nbf - clockSkewSeconds) {
      throw new CredentialsError('service account token is not valid yet');
    }
  }

  /** Use of a token after the time it was asked for, while it lives on. */
  #staleUse({ warnAfter }: KubernetesClaims, { sub }: JWTPayload): Pick<AuthenticationResult, 'annotations'> {
    const nowSeconds = Math.floor(this.#options.clock.now() / 1000);
    if (warnAfter === undefined || nowSeconds <= warnAfter) return {};
    const late = `subject: ${sub}, seconds after warning threshold: ${nowSeconds - warnAfter}`;
    return { annotations: { 'authentication.k8s.io/stale-token': late } };
  }

  #checkObjects(
    { namespace, serviceaccount, pod, secret, node }: KubernetesClaims,
    legacyToken: string | undefined,
  ): LegacyUse | undefined {
    const { objects } = this.#options;
    const account = objects.get('serviceaccounts', namespace, serviceaccount.name);
    if (!account) throw new CredentialsError(`serviceaccounts ${JSON.stringify(serviceaccount.name)} not found`);
    if (account.uid !== serviceaccount.uid) {
      throw new CredentialsError(`service account UID (${account.uid}) does not match claim (${serviceaccount.uid})`);
    }
    if (this.#isDeleted(account, deletionGraceMs)) throw new CredentialsError('service account has been deleted');
    if (pod) this.#checkBound('pod', objects.get('pods', namespace, pod.name), pod, deletionGraceMs);
    if (node && !pod) this.#checkBound('node', objects.get('nodes', '', node.name), node, deletionGraceMs);
    if (!secret) return undefined;
    const object = objects.get('secrets', namespace, secret.name);
    if (legacyToken !== undefined) return this.#useLegacy(account, object, legacyToken);
    this.#checkBound('secret', object, secret, deletionGraceMs);
    return undefined;
  }

  #useLegacy(account: StoredObject, object: StoredObject | undefined, legacyToken: string): LegacyUse {
    const data = object?.peek().data as Readonly<Record<string, string>> | undefined;
    if (!object || this.#isDeleted(object, 0) || !equalSecrets(Buffer.from(data?.token ?? '', 'base64'), Buffer.from(legacyToken))) {
      throw new CredentialsError('service account token has been invalidated');
    }
    return legacyTokenUse(account, object, this.#options.clock.now(), this.#options.recordLegacyUse);
  }

  #checkBound(kind: string, object: StoredObject | undefined, claim: ObjectClaim, graceMs: number): void {
    if (!object || this.#isDeleted(object, graceMs)) throw new CredentialsError('service account token has been invalidated');
    if (object.uid !== claim.uid) {
      throw new CredentialsError(`${kind} UID (${object.uid}) does not match service account ${kind} ref claim (${claim.uid})`);
    }
  }

  #isDeleted(object: StoredObject, graceMs: number): boolean {
    const deletedAt = object.peek().metadata.deletionTimestamp;
    return Boolean(deletedAt) && this.#options.clock.now() >= Date.parse(deletedAt ?? '') + graceMs;
  }
}

function issuedAt(token: string): Date {
  const { iat, nbf } = decodeJwt(token);
  return new Date(Math.max(iat ?? 0, nbf ?? 0) * 1000);
}

function equalSecrets(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Go's `%q` of a list. */
function goList(values: readonly string[]): string {
  return `[${values.map((value) => JSON.stringify(value)).join(' ')}]`;
}

function userOf({ namespace, serviceaccount, pod, node }: KubernetesClaims, payload: JWTPayload): UserInfo {
  const extra: Record<string, readonly string[]> = {
    ...(payload.jti ? { 'authentication.kubernetes.io/credential-id': [`JTI=${payload.jti}`] } : {}),
    ...(node ? { 'authentication.kubernetes.io/node-name': [node.name] } : {}),
    ...(node && node.uid !== '' ? { 'authentication.kubernetes.io/node-uid': [node.uid] } : {}),
    ...(pod ? { 'authentication.kubernetes.io/pod-name': [pod.name], 'authentication.kubernetes.io/pod-uid': [pod.uid] } : {}),
  };
  return {
    name: `system:serviceaccount:${namespace}:${serviceaccount.name}`,
    uid: serviceaccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  };
}
