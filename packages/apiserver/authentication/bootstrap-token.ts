import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '@coffer/base/time/clock';
import type { StoredObject } from '@coffer/storage/store/store';
import { type TokenAuthenticator, withOwnAudiences } from './authenticator.ts';

const tokenForm = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const groupForm = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;
const secretType = 'bootstrap.kubernetes.io/token';
const commonGroup = 'system:bootstrappers';

export interface BootstrapTokenDeps {
  /** A Secret of namespace kube-system, from the watch cache. */
  readonly secret: (name: string) => StoredObject | undefined;
  readonly apiAudiences: readonly string[];
  readonly clock: Clock;
}

/**
 * Bootstrap tokens `<id>.<secret>`: Secrets `bootstrap-token-<id>` of kube-system, for kubelets that have no certificate yet.
 * The user is `system:bootstrap:<id>`. A Secret that is expired, not meant for authentication or not well formed does not count.
 */
export function bootstrapTokenAuthenticator({ secret, apiAudiences, clock }: BootstrapTokenDeps): TokenAuthenticator {
  return {
    authenticateToken(token, audiences) {
      const [, id, tokenSecret] = tokenForm.exec(token) ?? [];
      if (id === undefined || tokenSecret === undefined) return undefined;
      const object = secret(`bootstrap-token-${id}`)?.peek();
      if (!object || object.metadata.deletionTimestamp || object.type !== secretType) return undefined;
      const read = dataReader(object.data);
      const known = equalSecrets(read('token-secret'), tokenSecret) && equalSecrets(read('token-id'), id);
      if (!known || isExpired(read('expiration'), clock) || read('usage-bootstrap-authentication') !== 'true') return undefined;
      const groups = groupsOf(read('auth-extra-groups'));
      return groups && withOwnAudiences({ name: `system:bootstrap:${id}`, groups }, audiences, apiAudiences);
    },
  };
}

function dataReader(data: unknown): (key: string) => string {
  const map = (data ?? {}) as Readonly<Record<string, string>>;
  return (key) => (Object.hasOwn(map, key) ? Buffer.from(map[key] ?? '', 'base64').toString('utf8') : '');
}

/** Compares digests, so that neither content nor length of the stored value shows in the time it takes. */
function equalSecrets(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** No expiration lasts for ever; one that is no RFC 3339 time counts as past. */
function isExpired(expiration: string, clock: Clock): boolean {
  if (expiration === '') return false;
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/.test(expiration)) return true;
  const untilMs = Date.parse(expiration);
  return Number.isNaN(untilMs) || clock.now() >= untilMs;
}

function groupsOf(text: string): readonly string[] | undefined {
  if (text === '') return [commonGroup];
  const extra = text.split(',');
  return extra.every((group) => groupForm.test(group)) ? [...new Set([commonGroup, ...extra])].sort() : undefined;
}
