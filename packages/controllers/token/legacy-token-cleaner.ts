/**
 * Takes tokens in Secrets out of use that an account refers to, no pod mounts and nobody has used for a long time (a year by default):
 * first marked invalid by a label, deleted when they stay so for as long again. Others are kept. When a token was last used, the
 * API server writes to a label of its Secret, since the day in ConfigMap `kube-apiserver-legacy-service-account-token-tracking`.
 * Identity: `legacy-service-account-token-cleaner`. Looks once a day.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Secret } from '@coffer/api/generated/types';
import { getOwn } from '@coffer/api/meta/safe-object';
import { nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { parseApiTime } from '@coffer/client/rest/api-time';
import { CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS } from '@coffer/client/rest/well-known';
import type { LoopDeps } from '../common/loop-deps.ts';

const type = 'kubernetes.io/service-account-token';
const accountName = 'kubernetes.io/service-account.name';
const lastUsedLabel = 'kubernetes.io/legacy-token-last-used';
const invalidSinceLabel = 'kubernetes.io/legacy-token-invalid-since';
const tracking = { namespace: 'kube-system', name: 'kube-apiserver-legacy-service-account-token-tracking' };
const dayMs = 24 * 3_600_000;

export async function runLegacyTokenCleaner(deps: LoopDeps, options: { readonly periodMs: number }, signal: AbortSignal): Promise<void> {
  const secrets = deps.informers.informer(SECRETS, { fieldSelector: `type=${type}` });
  const accounts = deps.informers.informer(SERVICE_ACCOUNTS);
  await deps.informers.whenSynced(signal).catch(() => undefined);
  while (!signal.aborted) {
    try {
      await clean();
    } catch (error) {
      if (!signal.aborted) deps.logger.warn('unused tokens could not be cleaned up, trying again', { err: error });
    }
    await deps.clock.sleep(dayMs, signal).catch(() => undefined);
  }

  async function clean(): Promise<void> {
    const now = deps.clock.now();
    const since = await trackedSince();
    // The day itself counts as not tracked.
    if (since === undefined || now < since + dayMs + options.periodMs) return;
    const keepFromMs = now - options.periodMs;
    for (const secret of secrets.list()) {
      if (isUnused(secret, keepFromMs) && !(await isMounted(secret))) await retire(secret, now, keepFromMs);
    }
  }

  async function trackedSince(): Promise<number | undefined> {
    try {
      const { data } = await deps.api.resource(CONFIG_MAPS).get(tracking.name, { namespace: tracking.namespace, signal });
      return dayOf(getOwn(data ?? {}, 'since'));
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  /** Old, not used lately, and one that its account refers to: only those were made by the system. */
  function isUnused(secret: V1Secret, keepFromMs: number): boolean {
    const { creationTimestamp, deletionTimestamp, labels = {}, annotations = {} } = secret.metadata ?? {};
    if (deletionTimestamp !== undefined || (parseApiTime(creationTimestamp) ?? keepFromMs) >= keepFromMs) return false;
    const lastUsed = getOwn(labels, lastUsedLabel);
    if (lastUsed !== undefined && (dayOf(lastUsed) === undefined || lastUsed >= formatDay(keepFromMs))) return false;
    const account = accounts.get(`${namespaceOf(secret)}/${getOwn(annotations, accountName) ?? ''}`);
    return account?.secrets?.some((reference) => reference.name === nameOf(secret)) ?? false;
  }

  async function isMounted(secret: V1Secret): Promise<boolean> {
    const pods = await deps.api.resource(PODS).list({ namespace: namespaceOf(secret), signal });
    return pods.items.some((pod) => pod.spec?.volumes?.some((volume) => volume.secret?.secretName === nameOf(secret)) ?? false);
  }

  async function retire(secret: V1Secret, now: number, keepFromMs: number): Promise<void> {
    const client = deps.api.resource(SECRETS);
    const [namespace, name] = [namespaceOf(secret), nameOf(secret)];
    const resourceVersion = secret.metadata?.resourceVersion ?? '';
    const invalidSince = getOwn(secret.metadata?.labels ?? {}, invalidSinceLabel);
    try {
      if (invalidSince === undefined || dayOf(invalidSince) === undefined) {
        const metadata = { uid: uidOf(secret), resourceVersion, labels: { [invalidSinceLabel]: formatDay(now) } };
        await client.patch(name, 'merge', { metadata }, { namespace, signal });
      } else if (invalidSince < formatDay(keepFromMs)) {
        await client.delete(name, { namespace, body: { preconditions: { uid: uidOf(secret), resourceVersion } }, signal });
      }
    } catch (error) {
      // Gone or changed meanwhile: tomorrow is another day.
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
    }
  }
}

/** Milliseconds of a day written as 2026-11-21, in UTC. */
function dayOf(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{4}-\d{2}-\d{2}$/.test(text)) return undefined;
  const ms = Date.parse(`${text}T00:00:00Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

function formatDay(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
