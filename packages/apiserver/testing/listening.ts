import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Handler } from '@coffer/base/http/handler';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { type ClusterKeys, loadOrCreateClusterKeys } from '../pki/cluster-keys.ts';
import { HttpsListener, type ListenerLimits } from '../server/https-listener.ts';

/** What tests of the listener share: keys in a directory of their own, and listeners that use them. */
export interface ListenerKit {
  readonly directory: string;
  readonly keys: ClusterKeys;
  /** Options of a TLS client that trusts the listeners. */
  trust(): { readonly ca: string; readonly servername: string };
  /** Listens with `handler` on a free port while `use` runs. */
  listening(handler: Handler, limits: Partial<ListenerLimits>, use: (port: number) => Promise<void>): Promise<void>;
  remove(): Promise<void>;
}

export async function openListenerKit(): Promise<ListenerKit> {
  const directory = await mkdtemp(path.join(tmpdir(), 'coffer-listener-'));
  const keys = await loadOrCreateClusterKeys({ directory, serverNames: ['localhost', '127.0.0.1'], clock: systemClock });
  const tls = {
    keyPem: keys.serving.keyPem,
    certificatePem: keys.serving.certificatePem,
    clientAuthoritiesPem: [keys.authority.certificatePem],
  };
  return {
    directory,
    keys,
    trust: () => ({ ca: keys.authority.certificatePem, servername: 'localhost' }),
    async listening(handler, limits, use) {
      const listener = new HttpsListener({ handler, logger: silentLogger, tls, limits });
      const { port } = await listener.listen('127.0.0.1', 0);
      try {
        await use(port);
      } finally {
        await listener.close(100);
      }
    },
    remove: () => rm(directory, { recursive: true }),
  };
}

/** Answers with method, address and body. */
export const echo: Handler = async (request) => {
  const body = Buffer.from(await request.readBody(1000)).toString();
  return { kind: 'full', status: 200, headers: { 'content-type': 'text/plain' }, body: `${request.method} ${request.url} ${body}` };
};
