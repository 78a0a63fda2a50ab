/** Bootstrap tokens as Secrets of kube-system: what the loops that sign with them and clean them up read from one. */

import type { V1Secret } from '@coffer/api/generated/types';
import { getOwn } from '@coffer/api/meta/safe-object';
import type { Clock } from '@coffer/base/time/clock';
import { nameOf } from '@coffer/client/rest/api-object';
import { parseApiTime } from '@coffer/client/rest/api-time';

export const BOOTSTRAP_TOKEN_TYPE = 'bootstrap.kubernetes.io/token';
export const TOKEN_NAMESPACE = 'kube-system';
/** Timers cannot wait for years: what expires later is looked at again then. */
export const LONGEST_WAIT_MS = 24 * 3_600_000;

const namePrefix = 'bootstrap-token-';

/** Milliseconds until a token expires, 0 or less when it has; undefined for one that lasts. An expiration that is no time has passed. */
export function expiresInMs(secret: V1Secret, clock: Clock): number | undefined {
  const expiration = read(secret, 'expiration');
  if (expiration === '') return undefined;
  const until = parseApiTime(expiration);
  return until === undefined ? 0 : until - clock.now();
}

/** Id and secret of a token that is meant for signing and still valid. */
export function signingToken(secret: V1Secret, clock: Clock): { readonly id: string; readonly secret: string } | undefined {
  if (secret.type !== BOOTSTRAP_TOKEN_TYPE || secret.metadata?.deletionTimestamp !== undefined) return undefined;
  const [id, value] = [read(secret, 'token-id'), read(secret, 'token-secret')];
  if (id === '' || value === '' || nameOf(secret) !== `${namePrefix}${id}` || (expiresInMs(secret, clock) ?? 1) <= 0) return undefined;
  return read(secret, 'usage-bootstrap-signing') === 'true' ? { id, secret: value } : undefined;
}

function read(secret: V1Secret, key: string): string {
  return Buffer.from(getOwn(secret.data ?? {}, key) ?? '', 'base64').toString('utf8');
}
