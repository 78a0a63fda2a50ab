import { isRecord } from '@coffer/api/meta/safe-object';
import type { JWTPayload } from 'jose';

/** Who a ServiceAccount token is for and what it is bound to, read from either form of its claims. */
export interface KubernetesClaims {
  readonly namespace: string;
  readonly serviceaccount: ObjectClaim;
  readonly pod?: ObjectClaim;
  readonly secret?: ObjectClaim;
  readonly node?: ObjectClaim;
  /** Seconds since 1970 after which use of the token is recorded. */
  readonly warnAfter?: number;
}

export interface ObjectClaim {
  readonly name: string;
  readonly uid: string;
}

/** Issuer of the tokens that live in Secrets of type `kubernetes.io/service-account-token`. */
export const legacyIssuer = 'kubernetes/serviceaccount';

export const legacyClaimNames = {
  namespace: 'kubernetes.io/serviceaccount/namespace',
  secretName: 'kubernetes.io/serviceaccount/secret.name',
  accountName: 'kubernetes.io/serviceaccount/service-account.name',
  accountUid: 'kubernetes.io/serviceaccount/service-account.uid',
} as const;

/** The claims of a bound token; undefined when they are not complete or do not fit its subject. */
export function boundClaims(payload: JWTPayload): KubernetesClaims | undefined {
  const own = payload['kubernetes.io'];
  if (!isRecord(own)) return undefined;
  const namespace = own.namespace;
  const serviceaccount = objectClaim(own.serviceaccount);
  if (typeof namespace !== 'string' || !serviceaccount) return undefined;
  if (payload.sub !== `system:serviceaccount:${namespace}:${serviceaccount.name}`) return undefined;
  const claims: { -readonly [K in keyof KubernetesClaims]: KubernetesClaims[K] } = {
    namespace,
    serviceaccount,
    ...(typeof own.warnafter === 'number' ? { warnAfter: own.warnafter } : {}),
  };
  for (const kind of ['pod', 'secret', 'node'] as const) {
    if (own[kind] === undefined) continue;
    const claim = objectClaim(own[kind]);
    if (!claim) return undefined;
    claims[kind] = claim;
  }
  return claims;
}

/** The claims of a token from a Secret; undefined when they are not complete or do not fit its subject. */
export function legacyClaims(payload: JWTPayload): KubernetesClaims | undefined {
  const [namespace, secret, name, uid] = [
    legacyClaimNames.namespace,
    legacyClaimNames.secretName,
    legacyClaimNames.accountName,
    legacyClaimNames.accountUid,
  ].map((claim) => payload[claim]);
  if (typeof namespace !== 'string' || typeof secret !== 'string' || typeof name !== 'string' || typeof uid !== 'string') return undefined;
  if (secret === '' || payload.sub !== `system:serviceaccount:${namespace}:${name}`) return undefined;
  return { namespace, serviceaccount: { name, uid }, secret: { name: secret, uid: '' } };
}

function objectClaim(value: unknown): ObjectClaim | undefined {
  if (!isRecord(value) || typeof value.name !== 'string' || value.name === '') return undefined;
  return { name: value.name, uid: typeof value.uid === 'string' ? value.uid : '' };
}
