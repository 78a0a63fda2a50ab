/** Deletes bootstrap tokens that have expired, at that time. Identity: `token-cleaner`. */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Secret } from '@coffer/api/generated/types';
import { nameOf, uidOf } from '@coffer/client/rest/api-object';
import { SECRETS } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';
import { BOOTSTRAP_TOKEN_TYPE, expiresInMs, LONGEST_WAIT_MS, TOKEN_NAMESPACE } from './token-secret.ts';

export async function runTokenCleaner(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  const secrets = deps.informers.informer(SECRETS, { namespace: TOKEN_NAMESPACE, fieldSelector: `type=${BOOTSTRAP_TOKEN_TYPE}` });
  const queue = new WorkQueue(deps.clock);
  await deps.informers.whenSynced(signal).catch(() => undefined);
  const enqueue = (secret: V1Secret) => queue.add(`${TOKEN_NAMESPACE}/${nameOf(secret)}`);
  secrets.addHandler({ onAdd: enqueue, onUpdate: (_old, secret) => enqueue(secret) });

  const sync = async (key: string): Promise<void> => {
    const secret = secrets.get(key);
    if (secret === undefined || secret.metadata?.deletionTimestamp !== undefined) return;
    const remainingMs = expiresInMs(secret, deps.clock);
    if (remainingMs === undefined) return;
    if (remainingMs > 0) {
      queue.addAfter(key, Math.min(remainingMs, LONGEST_WAIT_MS));
      return;
    }
    const preconditions = { uid: uidOf(secret), resourceVersion: secret.metadata?.resourceVersion ?? '' };
    try {
      await deps.api.resource(SECRETS).delete(nameOf(secret), { namespace: TOKEN_NAMESPACE, body: { preconditions }, signal });
    } catch (error) {
      // Gone, or changed meanwhile: the change comes through the informer.
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
    }
  };
  await queue.run(1, sync, deps.logger, signal);
}
