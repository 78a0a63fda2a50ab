import { formatDay, type RecordLegacyUse } from '@coffer/apiserver/authentication/service-account/legacy-token-use';
import type { Handler } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore } from '@coffer/storage/store/store';
import { patchAsServer, writeAsServer } from './write-as-server.ts';

const namespace = 'kube-system';
const name = 'kube-apiserver-legacy-service-account-token-tracking';

/** Writes the days that tokens in Secrets were used on; nothing until `handler` is set. One write at a time for each Secret. */
export interface LegacyTokenTracker {
  handler: Handler | undefined;
  readonly record: RecordLegacyUse;
}

export function legacyTokenTracker(logger: Logger): LegacyTokenTracker {
  const underWay = new Set<string>();
  const tracker: LegacyTokenTracker = {
    handler: undefined,
    record(secretNamespace, secretName, labels) {
      const path = `/api/v1/namespaces/${secretNamespace}/secrets/${secretName}`;
      if (tracker.handler === undefined || underWay.has(path)) return;
      underWay.add(path);
      patchAsServer(tracker.handler, path, { metadata: { labels } })
        .catch((error: unknown) => logger.warn('the last use of a token could not be recorded', { err: error }))
        .finally(() => underWay.delete(path));
    },
  };
  return tracker;
}

/** Says since when the use of tokens in Secrets is recorded, where nothing valid says so yet. */
export async function startLegacyTokenTracking(handler: Handler, configMaps: ResourceStore, clock: Clock): Promise<void> {
  const existing = configMaps.get(namespace, name);
  const { since } = (existing?.peek().data ?? {}) as { readonly since?: string };
  if (since !== undefined && /^\d{4}-\d{2}-\d{2}$/.test(since) && !Number.isNaN(Date.parse(since))) return;
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { since: formatDay(clock.now()) } };
  await writeAsServer(handler, `/api/v1/namespaces/${namespace}/configmaps`, object, existing !== undefined);
}
