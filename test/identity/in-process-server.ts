import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ClientAuthorities } from '@coffer/apiserver/authentication/client-authorities';
import { type ClusterKeys, loadOrCreateClusterKeys } from '@coffer/apiserver/pki/cluster-keys';
import type { ResourceStores } from '@coffer/apiserver/registry/open-stores';
import type { Handler, UserInfo } from '@coffer/base/http/handler';
import { silentLogger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { inProcessTransport } from '@coffer/client/transport/in-process';
import type { Transport } from '@coffer/client/transport/transport';
import { openMemoryBackend } from '@coffer/storage/backend/memory';
import { openStorage } from '@coffer/storage/store/storage';
import { identityTransformer } from '@coffer/storage/value/transformer';
import { Command } from 'commander';
import { vi } from 'vitest';
import { type AccessFlags, addAccessFlags } from '../../cmd/coffer/up/access-flags.ts';

export interface InProcessServer<C extends Clock = FakeClock> {
  readonly clock: C;
  readonly keys: ClusterKeys;
  readonly stores: ResourceStores;
  readonly handler: Handler;
  transportAs(identity: UserInfo): Transport;
  /** One request with a bearer token (or none), as from the network. */
  call(token: string | undefined, method: string, url: string, body?: object): Promise<Answer>;
  close(): Promise<void>;
}

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: expectations navigate freely through JSON
  readonly json: any;
}

export const admin: UserInfo = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };

/** The whole control plane as `coffer up` wires it, on a store in memory and with a clock that the test moves. */
export function startInProcessServer(flags: readonly string[] = []): Promise<InProcessServer> {
  return startInProcessServerAt(new FakeClock(), flags);
}

/** The same with a clock of the test's choice. */
export async function startInProcessServerAt<C extends Clock>(clock: C, flags: readonly string[] = []): Promise<InProcessServer<C>> {
  vi.stubGlobal('__COFFER_VERSION__', 'test');
  vi.stubGlobal('__COFFER_COMMIT__', 'test');
  const { wireControlPlane } = await import('../../cmd/coffer/wire/control-plane.ts');
  const directory = await mkdtemp(path.join(tmpdir(), 'coffer-keys-'));
  const access = addAccessFlags(new Command())
    .parse([...flags], { from: 'user' })
    .opts<AccessFlags>();
  const storage = await openStorage({
    backend: openMemoryBackend(),
    clock,
    logger: silentLogger,
    transformerFor: () => identityTransformer,
  });
  const keys = await loadOrCreateClusterKeys({ directory, serverNames: ['localhost'], clock });
  const controlPlane = await wireControlPlane({
    storage,
    keys,
    clientTrust: { clients: new ClientAuthorities([keys.authority.certificatePem], 'the authority'), proxies: undefined },
    clock,
    logger: silentLogger,
    access,
    maxRequestsInflight: 0,
    maxMutatingRequestsInflight: 0,
    requestTimeoutMs: 60_000,
    serverAddress: '127.0.0.1:6443',
    nodeApiFor: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  });
  const { handler } = controlPlane;
  return {
    clock,
    keys,
    stores: controlPlane.stores,
    handler,
    transportAs: (identity) => inProcessTransport({ handler, identity, userAgent: 'test' }),
    async call(token, method, url, body) {
      const bytes = Buffer.from(body === undefined ? '' : JSON.stringify(body));
      const response = await handler({
        method,
        url,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        readBody: async () => bytes,
        signal: new AbortController().signal,
        peer: { address: '192.0.2.1' },
      });
      if (response.kind !== 'full') throw new Error(`a ${response.kind} answer`);
      const chunks = typeof response.body === 'string' ? [Buffer.from(response.body)] : [response.body].flat();
      const text = Buffer.concat(chunks as Uint8Array[]).toString('utf8');
      return { status: response.status, json: text.startsWith('{') ? JSON.parse(text) : text };
    },
    async close() {
      await controlPlane.close();
      await storage.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
