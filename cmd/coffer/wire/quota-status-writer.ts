import type { KubeObject } from '@coffer/api/meta/object';
import type { Handler } from '@coffer/base/http/handler';
import { replaceAsServer } from './write-as-server.ts';

/** Writes what admission counted into quotas, as the server itself. `handler` is set before anybody else is served. */
export interface QuotaStatusWriter {
  handler: Handler | undefined;
  readonly write: (quota: KubeObject) => Promise<boolean>;
}

export function quotaStatusWriter(): QuotaStatusWriter {
  const writer: QuotaStatusWriter = {
    handler: undefined,
    async write(quota) {
      if (writer.handler === undefined) throw new Error('a quota was counted before the server was ready');
      const { namespace = '', name = '' } = quota.metadata;
      return replaceAsServer(writer.handler, `/api/v1/namespaces/${namespace}/resourcequotas/${name}/status`, quota);
    },
  };
  return writer;
}
