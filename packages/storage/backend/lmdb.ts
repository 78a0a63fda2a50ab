import { statSync } from 'node:fs';
import { StorageError } from '../errors.ts';
import type { BackendBatch, BackendEvent, KeyValue, ListOptions, ListResult, LocalBackend, WriteResult, WriteTicket } from './backend.ts';
import { checkReadRevision, checkWrite, compactedError } from './checks.ts';
import { CommitSignal, followLog } from './follow-log.ts';
import { prefixEnd } from './key-order.ts';
import { planCleaning } from './lmdb-cleaning.ts';
import { type ExchangePoint, type ExchangeResult, FileExchange } from './lmdb-exchange.ts';
import { describeCommitFailure } from './lmdb-failure.ts';
import { append, type LmdbFiles, metaKeys, openLmdbFiles } from './lmdb-files.ts';
import { type PendingWrite, type PlannedBatch, planBatch, type Snapshot } from './lmdb-plan.ts';
import {
  decodeHead,
  decodeLogRecord,
  decodeRevision,
  encodeHead,
  encodeLogRecord,
  encodePastKey,
  encodeRevision,
  type Head,
  revisionOfPastKey,
  toKeyValue,
} from './lmdb-records.ts';

export interface LmdbOptions {
  readonly directory: string;
  /** Leaves out every sync: a power cut then loses or damages data. Only to prove that the tests notice. */
  readonly unsafeNoSync?: boolean;
}

/**
 * The embedded store. One sequencer gives revisions in commit order: writes that arrive while a batch is being synced form the
 * next one, checked in order, written in one transaction with one sync. Only when it is durable are subscribers called, then
 * the promises resolved. A batch that fails rejects its writes and all that wait behind it; the store stays readable and the
 * next write tries again.
 */
export async function openLmdbBackend(options: LmdbOptions): Promise<LmdbBackend> {
  return new LmdbBackend(await openLmdbFiles(options.directory, options));
}

const noValue = Buffer.alloc(0);
const maxBatchWrites = 1024;
const maxBatchBytes = 16 * 1024 * 1024;
const cleaningEntriesPerBatch = 256;

interface PendingCompaction {
  readonly revision: number;
  resolve(): void;
  reject(error: Error): void;
}

export class LmdbBackend implements LocalBackend, Snapshot {
  readonly commits = new CommitSignal();
  #files: LmdbFiles;
  /** The files have to be opened anew before they can be used. */
  #broken = false;
  readonly #subscribers = new Set<(batch: BackendBatch) => void>();
  #revision: number;
  #compacted: number;
  #cleaned: number;
  #queue: PendingWrite[] = [];
  /** Tells everybody what the last batch made durable. The next batch is on its way to the disk meanwhile, if there is one. */
  #handOut: (() => void) | undefined;
  #compactions: PendingCompaction[] = [];
  #running: Promise<void> | undefined;
  #closed = false;
  /** Set while the data file is being exchanged: compaction waits. `pause` is what runs instead of a batch. */
  #exchange: { pause?: () => Promise<void> } | undefined;
  /** Readers wait for it while no file is open. */
  #closedForExchange: Promise<void> | undefined;

  constructor(files: LmdbFiles) {
    this.#files = files;
    this.#compacted = this.#mark(metaKeys.compacted);
    this.#cleaned = this.#mark(metaKeys.cleaned);
    this.#revision = this.#lastRevision();
  }

  /** The newest durable revision, without waiting. */
  get revision(): number {
    return this.#revision;
  }

  create(key: string, value: Uint8Array, ticket: WriteTicket = {}): Promise<WriteResult> {
    return this.#enqueue(key, value, 0, ticket);
  }

  update(key: string, value: Uint8Array, expected: number | WriteTicket, ticket: WriteTicket = {}): Promise<WriteResult> {
    return this.#enqueue(key, value, expected, ticket);
  }

  delete(key: string, expected: number): Promise<WriteResult> {
    return this.#enqueue(key, undefined, expected, {});
  }

  async get(key: string) {
    if (this.#closedForExchange !== undefined) await this.#closedForExchange;
    this.#checkOpen();
    const revision = this.#revision;
    const head = this.head(key);
    return { kv: head === undefined ? undefined : this.#versionAt(key, head, revision), revision };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<ListResult> {
    if (this.#closedForExchange !== undefined) await this.#closedForExchange;
    this.#checkOpen();
    const revision = options.revision ?? this.#revision;
    checkReadRevision(revision, this.#revision, this.#compacted);
    const first = Buffer.from(prefix);
    const from = options.startKey === undefined ? first : Buffer.from(options.startKey);
    const end = prefixEnd(first);
    const range = { start: Buffer.compare(from, first) > 0 ? from : first, ...(end === undefined ? {} : { end }) };
    const limit = options.limit ?? Number.POSITIVE_INFINITY;
    const kvs: KeyValue[] = [];
    let count = 0;
    let more = false;
    for (const entry of this.#files.head.getRange(range)) {
      const kv = this.#versionAt(entry.key.toString(), decodeHead(entry.value), revision);
      if (kv === undefined) continue;
      if (kvs.length < limit) kvs.push(kv);
      else more = true;
      count++;
      if (more && options.skipCount) break;
    }
    return { kvs, revision, more, count: options.skipCount ? kvs.length : count };
  }

  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<BackendBatch> {
    return followLog(this, prefix, afterRevision, signal);
  }

  ready(): Promise<void> | undefined {
    return this.#closedForExchange;
  }

  changesAfter(prefix: string, afterRevision: number, limit: number): BackendBatch {
    this.#checkOpen();
    if (afterRevision < this.#compacted) throw compactedError(afterRevision, this.#compacted);
    const events: BackendEvent[] = [];
    const range = { start: encodeRevision(afterRevision + 1), end: encodeRevision(this.#revision + 1) };
    let scanned = 0;
    for (const entry of this.#files.log.getRange(range)) {
      const revision = decodeRevision(entry.key);
      const record = decodeLogRecord(entry.value);
      if (record.key.startsWith(prefix)) {
        const kv = toKeyValue(record, revision);
        events.push({
          type: record.type,
          kv,
          prev: record.previousRevision === 0 ? undefined : this.version(record.key, record.previousRevision),
        });
      }
      if (events.length === limit || ++scanned === limit * 8) return { events, revision };
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

  compact(revision: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkOpen();
      checkReadRevision(revision, this.#revision, 0);
      this.#compactions.push({ revision, resolve, reject });
      this.#start();
    });
  }

  async compactedRevision(): Promise<number> {
    return this.#compacted;
  }

  async sizeBytes(): Promise<number> {
    return statSync(this.#files.dataPath).size;
  }

  historyBytes(): number {
    const log = this.#files.log.getStats() as TableStats;
    const head = this.#files.head.getStats() as TableStats;
    if (log.entryCount === 0) return 0;
    const bytes = (log.treeLeafPageCount + log.overflowPages) * log.pageSize;
    return Math.max(0, Math.round((bytes * (log.entryCount - head.entryCount)) / log.entryCount));
  }

  /** A consistent copy of the store's file in directory `target`, without unused pages, while writes go on. */
  async copyTo(target: string): Promise<void> {
    this.#checkOpen();
    await this.#files.env.backup(target, true);
  }

  /**
   * Makes `revision` the current one and forgets all history, for a store that was restored from a copy: whoever has seen later
   * revisions of the lost store then starts over instead of missing changes. Nobody else may be writing.
   */
  async raiseRevision(revision: number): Promise<void> {
    if (revision < this.#revision) throw new Error(`the store is at revision ${this.#revision} already`);
    await this.compact(this.#revision);
    await this.#files.env.batch(() => {
      void this.#files.meta.put(metaKeys.compacted, encodeRevision(revision));
      void this.#files.meta.put(metaKeys.cleaned, encodeRevision(revision));
    });
    this.#compacted = revision;
    this.#cleaned = revision;
    this.#revision = revision;
  }

  /** Replaces the data file by a copy without anything that was deleted or overwritten. One at a time. See `FileExchange`. */
  async exchangeFile(reached: (point: ExchangePoint) => void = () => {}): Promise<ExchangeResult> {
    this.#checkOpen();
    if (this.#exchange !== undefined) throw new Error('the data file is being exchanged already');
    const exchange: { pause?: () => Promise<void> } = {};
    this.#exchange = exchange;
    try {
      // A batch that was on its way may have been cleaning up.
      if (this.#running !== undefined) await new Promise<void>((resolve) => this.#inPause(exchange, async () => resolve()));
      const prepared = await FileExchange.prepare(this.#files, () => this.#revision);
      reached('copied');
      return await new Promise<ExchangeResult>((resolve, reject) => {
        this.#inPause(exchange, () => this.#install(prepared, reached).then(resolve, reject));
      });
    } finally {
      this.#exchange = undefined;
      if (this.#compactions.length > 0) this.#start();
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#running !== undefined) await this.#running;
    this.commits.close();
    await this.#files.close();
  }

  head(key: string): Head | undefined {
    const bytes = this.#files.head.getBinaryFast(Buffer.from(key));
    return bytes === undefined ? undefined : decodeHead(bytes);
  }

  /** The version of `key` written at `revision`, when it is a value and still kept. */
  version(key: string, revision: number): KeyValue | undefined {
    const bytes = this.#files.log.getBinary(encodeRevision(revision));
    if (bytes === undefined) return undefined;
    const record = decodeLogRecord(bytes);
    return record.type === 'put' && record.key === key ? toKeyValue(record, revision) : undefined;
  }

  /** The version of `key` that was current at `revision`. */
  #versionAt(key: string, head: Head, revision: number): KeyValue | undefined {
    if (head.revision <= revision) {
      if (head.deleted) return undefined;
      const kv = this.version(key, head.revision);
      if (kv === undefined) throw new StorageError('unreadable', `version ${head.revision} of ${key} is missing in the store`, { key });
      return kv;
    }
    const start = encodePastKey(key, revision);
    const range = { start, end: encodePastKey(key, 0), inclusiveEnd: true, reverse: true };
    for (const found of this.#files.past.getKeys(range)) {
      // Longer ones belong to keys that go on with a zero byte.
      if (found.length === start.length) return this.version(key, revisionOfPastKey(found));
    }
    return undefined;
  }

  #enqueue(key: string, value: Uint8Array | undefined, expected: number | WriteTicket, ticket: WriteTicket): Promise<WriteResult> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new StorageError('closed', 'the store is closed');
      checkWrite(key, value);
      this.#queue.push({ key, value, expected, ticket, resolve, reject });
      this.#start();
    });
  }

  /** Starts the sequencer at the end of this turn of the event loop, so that writes of one turn share a batch. */
  #start(): void {
    this.#running ??= new Promise<void>((resolve) => setImmediate(resolve)).then(() => this.#sequence());
  }

  /** Lets the sequencer run `action` instead of its next batch. */
  #inPause(exchange: { pause?: () => Promise<void> }, action: () => Promise<void>): void {
    exchange.pause = action;
    this.#start();
  }

  async #install(prepared: FileExchange, reached: (point: ExchangePoint) => void): Promise<ExchangeResult> {
    const startedMs = performance.now();
    let sizes: { readonly bytesBefore: number; readonly bytesAfter: number } | undefined;
    let failure: unknown;
    try {
      await prepared.complete(this.#revision);
    } catch (error) {
      await prepared.abandon();
      throw error;
    }
    const reopened = this.#files.reopen(() => {
      try {
        sizes = prepared.install();
        reached('renamed');
      } catch (error) {
        failure = error;
      }
    });
    this.#closedForExchange = reopened.then(() => undefined);
    this.#closedForExchange.catch(() => undefined);
    try {
      this.#files = await reopened;
    } catch (error) {
      this.#broken = true;
      throw error;
    } finally {
      this.#closedForExchange = undefined;
    }
    if (sizes === undefined) throw failure;
    return { ...sizes, pausedMs: Math.round(performance.now() - startedMs) };
  }

  async #sequence(): Promise<void> {
    for (;;) {
      const pause = this.#exchange?.pause;
      if (pause !== undefined) {
        delete this.#exchange?.pause;
        this.#handOutDurable();
        await pause();
        continue;
      }
      if (this.#queue.length === 0) this.#handOutDurable();
      if (this.#queue.length === 0 && (this.#compactions.length === 0 || this.#exchange !== undefined)) break;
      const writes = this.#takeBatch();
      try {
        await this.#commit(writes);
      } catch (error) {
        this.#handOutDurable();
        const failure = await describeCommitFailure(error, this.#files.dataPath);
        for (const write of [...writes, ...this.#queue.splice(0)]) {
          write.ticket.revision = undefined;
          write.reject(failure);
        }
        for (const compaction of this.#compactions.splice(0)) compaction.reject(failure);
      }
    }
    this.#running = undefined;
  }

  #takeBatch(): PendingWrite[] {
    let bytes = 0;
    let count = 0;
    for (const write of this.#queue) {
      bytes += write.value?.length ?? 0;
      if (count > 0 && (count === maxBatchWrites || bytes > maxBatchBytes)) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /**
   * 1 the writes are planned and set out for the disk
   * 2 while they are on their way, the batch before them is told to everybody: that takes longer than the disk
   * 3 they are durable: the next batch may be planned
   */
  async #commit(writes: readonly PendingWrite[]): Promise<void> {
    if (this.#broken) {
      this.#handOutDurable();
      await this.#reopen();
    }
    // 1
    const plan = planBatch(writes, this);
    const due = this.#exchange === undefined ? this.#compactions : [];
    const compacted = due.reduce((highest, { revision }) => Math.max(highest, revision), this.#compacted);
    const cleaning =
      compacted > this.#cleaned && this.#exchange === undefined
        ? planCleaning(this.#files, this.#cleaned, compacted, cleaningEntriesPerBatch)
        : undefined;
    if (plan.records.length > 0 || cleaning !== undefined) {
      // Readers are refused below the new mark before anything there is gone.
      this.#compacted = compacted;
      try {
        let appended: readonly Promise<boolean>[] = [];
        const committed = this.#files.env.batch(() => {
          if (cleaning !== undefined) {
            void this.#files.meta.put(metaKeys.compacted, encodeRevision(compacted));
            void this.#files.meta.put(metaKeys.cleaned, encodeRevision(cleaning.cleaned));
            cleaning.apply();
          }
          appended = this.#put(plan);
        });
        // 2
        this.#handOutDurable();
        const results = await Promise.all([committed, ...appended]);
        if (results.includes(false)) throw new Error('the log has a revision that it should not have');
      } catch (error) {
        await this.#afterFailure(plan, error);
      }
    }
    // 3
    this.#handOutDurable();
    if (cleaning !== undefined) this.#cleaned = cleaning.cleaned;
    this.#revision = plan.revision;
    this.#handOut = () => {
      this.#publish(plan);
      for (const [i, result] of plan.results.entries()) writes[i]?.resolve(result);
      this.#compactions = this.#compactions.filter((compaction) => {
        if (compaction.revision > this.#cleaned) return true;
        compaction.resolve();
        return false;
      });
    };
  }

  #handOutDurable(): void {
    const handOut = this.#handOut;
    this.#handOut = undefined;
    handOut?.();
  }

  /** Answers whether each revision could be appended. */
  #put(plan: PlannedBatch): Promise<boolean>[] {
    const { log, head, past } = this.#files;
    return plan.records.map(({ revision, record }) => {
      const appended = append(log, encodeRevision(revision), encodeLogRecord(record));
      void head.put(
        Buffer.from(record.key),
        encodeHead({ revision, createRevision: record.createRevision, deleted: record.type === 'delete' }),
      );
      if (record.previousRevision > 0) void past.put(encodePastKey(record.key, record.previousRevision), noValue);
      return appended;
    });
  }

  #publish(plan: PlannedBatch): void {
    if (plan.events.length === 0) return;
    const batch: BackendBatch = { events: plan.events, revision: plan.revision };
    for (const onBatch of this.#subscribers) onBatch(batch);
    this.commits.notify();
  }

  /** Returns when the batch did become durable although the commit reported an error; throws otherwise. */
  async #afterFailure(plan: PlannedBatch, error: unknown): Promise<void> {
    const failure = await describeCommitFailure(error, this.#files.dataPath);
    try {
      this.#files.env.resetReadTxn();
      this.#compacted = this.#mark(metaKeys.compacted);
    } catch {
      // LMDB gives up an environment when it could not write the page that completes a commit.
      this.#broken = true;
      await this.#reopen();
    }
    if (plan.records.length > 0 && this.#lastRevision() >= plan.revision) return;
    throw failure;
  }

  async #reopen(): Promise<void> {
    this.#files = await this.#files.reopen();
    this.#broken = false;
    this.#compacted = this.#mark(metaKeys.compacted);
    this.#cleaned = this.#mark(metaKeys.cleaned);
  }

  #lastRevision(): number {
    for (const key of this.#files.log.getKeys({ reverse: true, limit: 1 })) return Math.max(decodeRevision(key), this.#compacted, 1);
    return Math.max(this.#compacted, 1);
  }

  #mark(key: Buffer): number {
    const bytes = this.#files.meta.get(key);
    return bytes === undefined ? 0 : decodeRevision(bytes);
  }

  #checkOpen(): void {
    if (this.#closed) throw new StorageError('closed', 'the store is closed');
    if (this.#broken) throw new StorageError('unavailable', 'the store is being opened again after a failure of the disk');
  }
}

interface TableStats {
  readonly entryCount: number;
  readonly pageSize: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}
