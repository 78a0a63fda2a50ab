import { StorageError } from '../errors.ts';
import type { BackendBatch, BackendEvent, KeyValue, ListOptions, ListResult, LocalBackend, WriteResult, WriteTicket } from './backend.ts';
import { checkReadRevision, checkWrite, compactedError } from './checks.ts';
import { CommitSignal, followLog } from './follow-log.ts';
import { compareKeys } from './key-order.ts';

/** Keeps everything in memory; for tests, and the plainest statement of what a Backend does. */
export function openMemoryBackend(): LocalBackend {
  return new MemoryBackend();
}

interface Version {
  readonly revision: number;
  /** Undefined: deleted at this revision. */
  readonly kv: KeyValue | undefined;
}

class MemoryBackend implements LocalBackend {
  readonly commits = new CommitSignal();
  /** Versions of each key, oldest first; compaction cuts the front. */
  readonly #versions = new Map<string, Version[]>();
  #log: BackendEvent[] = [];
  #revision = 1;
  #compacted = 0;
  #closed = false;
  readonly #subscribers = new Set<(batch: BackendBatch) => void>();

  async create(key: string, value: Uint8Array, ticket?: WriteTicket): Promise<WriteResult> {
    return this.#write(key, value, 0, ticket);
  }

  async update(key: string, value: Uint8Array, expected: number | WriteTicket, ticket?: WriteTicket): Promise<WriteResult> {
    return this.#write(key, value, expected, ticket);
  }

  async delete(key: string, expected: number): Promise<WriteResult> {
    return this.#write(key, undefined, expected);
  }

  async get(key: string) {
    this.#checkOpen();
    return { kv: this.#current(key), revision: this.#revision };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    this.#checkOpen();
    const revision = options.revision ?? this.#revision;
    checkReadRevision(revision, this.#revision, this.#compacted);
    const startKey = options.startKey ?? '';
    const found: KeyValue[] = [];
    for (const [key, versions] of this.#versions) {
      if (!key.startsWith(prefix) || compareKeys(key, startKey) < 0) continue;
      const kv = versions.findLast((version) => version.revision <= revision)?.kv;
      if (kv !== undefined) found.push(kv);
    }
    found.sort((a, b) => compareKeys(a.key, b.key));
    const kvs = options.limit === undefined ? found : found.slice(0, options.limit);
    return { kvs, revision, more: kvs.length < found.length, count: options.skipCount ? kvs.length : found.length };
  }

  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<BackendBatch> {
    return followLog(this, prefix, afterRevision, signal);
  }

  changesAfter(prefix: string, afterRevision: number, limit: number): BackendBatch {
    this.#checkOpen();
    if (afterRevision < this.#compacted) throw compactedError(afterRevision, this.#compacted);
    const events: BackendEvent[] = [];
    for (const event of this.#log) {
      if (event.kv.modRevision <= afterRevision || !event.kv.key.startsWith(prefix)) continue;
      events.push(event);
      if (events.length === limit) return { events, revision: event.kv.modRevision };
    }
    return { events, revision: Math.max(afterRevision, this.#revision) };
  }

  subscribe(onBatch: (batch: BackendBatch) => void): () => void {
    this.#subscribers.add(onBatch);
    return () => this.#subscribers.delete(onBatch);
  }

  async currentRevision(): Promise<number> {
    this.#checkOpen();
    return this.#revision;
  }

  async compact(revision: number): Promise<void> {
    this.#checkOpen();
    checkReadRevision(revision, this.#revision, 0);
    if (revision <= this.#compacted) return;
    this.#compacted = revision;
    for (const [key, versions] of this.#versions) {
      const keep = versions.findLastIndex((version) => version.revision <= revision);
      if (keep > 0) versions.splice(0, keep);
      if (versions[0]?.kv === undefined && versions[0] !== undefined && versions[0].revision <= revision) versions.shift();
      if (versions.length === 0) this.#versions.delete(key);
    }
    this.#log = this.#log
      .filter((event) => event.kv.modRevision > revision)
      .map((event) =>
        event.prev !== undefined && event.prev.modRevision < revision && !this.#knows(event.prev) ? { ...event, prev: undefined } : event,
      );
  }

  async compactedRevision(): Promise<number> {
    return this.#compacted;
  }

  async sizeBytes(): Promise<number> {
    return 0;
  }

  historyBytes(): number {
    let bytes = 0;
    for (const event of this.#log) bytes += event.prev?.value.length ?? 0;
    return bytes;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.commits.close();
  }

  #knows(kv: KeyValue): boolean {
    return this.#versions.get(kv.key)?.some((version) => version.revision === kv.modRevision) ?? false;
  }

  #current(key: string): KeyValue | undefined {
    return this.#versions.get(key)?.at(-1)?.kv;
  }

  #write(key: string, value: Uint8Array | undefined, expected: number | WriteTicket, ticket: WriteTicket = {}): WriteResult {
    this.#checkOpen();
    checkWrite(key, value);
    const current = this.#current(key);
    if ((current?.modRevision ?? 0) !== (typeof expected === 'number' ? expected : expected.revision)) return { ok: false, current };
    if (value === undefined && current === undefined) return { ok: false, current };
    const revision = ++this.#revision;
    ticket.revision = revision;
    const kv: KeyValue = {
      key,
      value: value ?? new Uint8Array(0),
      modRevision: revision,
      createRevision: value === undefined ? 0 : (current?.createRevision ?? revision),
    };
    const versions = this.#versions.get(key);
    const version: Version = { revision, kv: value === undefined ? undefined : kv };
    if (versions === undefined) this.#versions.set(key, [version]);
    else versions.push(version);
    const event: BackendEvent = { type: value === undefined ? 'delete' : 'put', kv, prev: current };
    this.#log.push(event);
    const batch: BackendBatch = { events: [event], revision };
    for (const onBatch of this.#subscribers) onBatch(batch);
    this.commits.notify();
    return { ok: true, revision };
  }

  #checkOpen(): void {
    if (this.#closed) throw new StorageError('closed', 'the store is closed');
  }
}
