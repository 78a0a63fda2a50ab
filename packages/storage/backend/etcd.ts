import { type Clock, systemClock } from '@coffer/base/time/clock';
import { StorageError } from '../errors.ts';
import type { Backend, BackendBatch, KeyValue, ListOptions, ListResult, WriteResult } from './backend.ts';
import { checkWrite, compactedError } from './checks.ts';
import type { RangeResponse, StatusResponse, TxnResponse } from './etcd/messages.ts';
import { connectEtcd, type EtcdEndpoints, type EtcdRpc, type WatchStream } from './etcd/rpc.ts';
import { toKeyValue, watchRange } from './etcd/watch.ts';
import { prefixEnd } from './key-order.ts';

export interface EtcdOptions extends EtcdEndpoints {
  readonly clock?: Clock;
}

/**
 * An etcd cluster (v3 API) as the store of many API servers. Every write is one transaction that compares the key's
 * modRevision; reads are linearizable. Compaction has one winner: whoever moves the mark in `compact_rev_key` (the key
 * kube-apiserver uses) compacts, the others take note.
 */
export async function openEtcdBackend(options: EtcdOptions): Promise<Backend> {
  const rpc = await connectEtcd(options);
  try {
    const { version } = await rpc.read<StatusResponse>('Maintenance', 'Status', 'Status', {});
    return new EtcdBackend(rpc, options.clock ?? systemClock, reportsProgressReliably(version));
  } catch (error) {
    await rpc.close();
    throw error;
  }
}

const compactionKey = Buffer.from('compact_rev_key');
const nulByte = Buffer.from([0]);

class EtcdBackend implements Backend {
  readonly #rpc: EtcdRpc;
  readonly #clock: Clock;
  readonly #progressIsReliable: boolean;
  readonly #streams = new Set<WatchStream>();
  readonly #stopped = new AbortController();
  /** Highest revision known to be compacted. */
  #compacted = 0;

  constructor(rpc: EtcdRpc, clock: Clock, progressIsReliable: boolean) {
    this.#rpc = rpc;
    this.#clock = clock;
    this.#progressIsReliable = progressIsReliable;
  }

  create(key: string, value: Uint8Array): Promise<WriteResult> {
    return this.#write(key, value, 0);
  }

  update(key: string, value: Uint8Array, expected: number): Promise<WriteResult> {
    return this.#write(key, value, expected);
  }

  delete(key: string, expected: number): Promise<WriteResult> {
    return this.#write(key, undefined, expected);
  }

  async get(key: string) {
    const { header, kvs } = await this.#range({ key: Buffer.from(key) });
    return { kv: firstOf(kvs), revision: header.revision };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    const first = Buffer.from(prefix);
    const from = options.startKey === undefined ? first : Buffer.from(options.startKey);
    const key = Buffer.compare(from, first) > 0 ? from : first;
    const request = { key: key.length === 0 ? nulByte : key, rangeEnd: prefixEnd(first) ?? nulByte };
    const limits = {
      ...(options.limit !== undefined && { limit: options.limit }),
      ...(options.revision !== undefined && { revision: options.revision }),
    };
    const response = await this.#range({ ...request, ...limits });
    const kvs = response.kvs.map(toKeyValue);
    const revision = options.revision ?? response.header.revision;
    return { kvs, revision, more: response.more, count: options.skipCount ? kvs.length : response.count };
  }

  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<BackendBatch> {
    const first = Buffer.from(prefix);
    const range = { key: first.length === 0 ? nulByte : first, rangeEnd: prefixEnd(first) ?? nulByte };
    const deps = { rpc: this.#rpc, clock: this.#clock, streams: this.#streams, progressIsReliable: this.#progressIsReliable };
    return watchRange(deps, range, afterRevision, AbortSignal.any([signal, this.#stopped.signal]));
  }

  requestProgress(): void {
    for (const stream of this.#streams) stream.write({ progressRequest: {} });
  }

  async currentRevision(): Promise<number> {
    const { header } = await this.#range({ key: compactionKey, countOnly: true });
    return header.revision;
  }

  async compact(revision: number): Promise<void> {
    for (;;) {
      const { kvs, header } = await this.#range({ key: compactionKey });
      if (revision > header.revision)
        throw new StorageError('future-revision', `revision ${revision} is not reached yet`, { revision: header.revision });
      const mark = firstOf(kvs);
      this.#note(mark);
      if (this.#compacted >= revision) return;
      const moved = await this.#write(compactionKey.toString(), Buffer.from(String(revision)), mark?.modRevision ?? 0);
      if (!moved.ok) continue;
      try {
        await this.#rpc.read('KV', 'Compact', 'Compaction', { revision });
      } catch (error) {
        // Somebody else has compacted further.
        if (!(error instanceof StorageError && error.code === 'compacted')) throw error;
      }
      this.#compacted = Math.max(this.#compacted, revision);
      return;
    }
  }

  async compactedRevision(): Promise<number> {
    const { kvs } = await this.#range({ key: compactionKey });
    this.#note(firstOf(kvs));
    return this.#compacted;
  }

  async sizeBytes(): Promise<number> {
    const { dbSize } = await this.#rpc.read<StatusResponse>('Maintenance', 'Status', 'Status', {});
    return dbSize;
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#rpc.close();
  }

  /** Takes note of the mark another server may have moved. */
  #note(mark: KeyValue | undefined): void {
    const revision = mark === undefined ? 0 : Number(Buffer.from(mark.value).toString());
    if (Number.isSafeInteger(revision)) this.#compacted = Math.max(this.#compacted, revision);
  }

  async #range(request: { readonly key: Buffer; readonly revision?: number; readonly [field: string]: unknown }): Promise<RangeResponse> {
    try {
      return await this.#rpc.read<RangeResponse>('KV', 'Range', 'Range', request);
    } catch (error) {
      if (!(error instanceof StorageError) || request.revision === undefined) throw error;
      if (error.code === 'compacted') throw compactedError(request.revision, await this.compactedRevision());
      throw error;
    }
  }

  async #write(key: string, value: Uint8Array | undefined, expected: number): Promise<WriteResult> {
    checkWrite(key, value);
    const keyBytes = Buffer.from(key);
    const read = { requestRange: { key: keyBytes } };
    if (value === undefined && expected === 0) return { ok: false, current: (await this.get(key)).kv };
    const change = value === undefined ? { requestDeleteRange: { key: keyBytes } } : { requestPut: { key: keyBytes, value } };
    const compare = [{ result: 'EQUAL', target: 'MOD', key: keyBytes, modRevision: expected }];
    const { header, succeeded, responses } = await this.#rpc.write<TxnResponse>('KV', 'Txn', 'Txn', {
      compare,
      success: [change],
      failure: [read],
    });
    if (succeeded) return { ok: true, revision: header.revision };
    return { ok: false, current: firstOf(responses[0]?.responseRange?.kvs ?? []) };
  }
}

function firstOf(kvs: RangeResponse['kvs']): KeyValue | undefined {
  return kvs[0] === undefined ? undefined : toKeyValue(kvs[0]);
}

function reportsProgressReliably(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number);
  return major > 3 || (major === 3 && (minor > 5 || (minor === 5 && patch >= 8) || (minor === 4 && patch >= 25)));
}
