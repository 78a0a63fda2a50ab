import type { BackendEvent, KeyValue, WriteResult, WriteTicket } from './backend.ts';
import type { Head, LogRecord } from './lmdb-records.ts';

/**
 * Decides a batch of writes in order: compare each with the newest version (one of the batch itself counts), give the winners
 * the next revisions. Nothing is written here; a batch that fails to commit leaves no trace.
 */
export interface PendingWrite {
  readonly key: string;
  /** Undefined deletes. */
  readonly value: Uint8Array | undefined;
  /** modRevision the key must have; 0 for "does not exist"; a ticket for what an earlier write makes. */
  readonly expected: number | WriteTicket;
  /** Gets the revision as soon as it is planned. */
  readonly ticket: WriteTicket;
  resolve(result: WriteResult): void;
  reject(error: Error): void;
}

export interface PlannedBatch {
  readonly records: readonly PlannedRecord[];
  readonly events: readonly BackendEvent[];
  /** Revision of the store when the batch is committed. */
  readonly revision: number;
  /** One per write, in order; to be handed out when the batch is durable. */
  readonly results: readonly WriteResult[];
}

export interface PlannedRecord {
  readonly revision: number;
  readonly record: LogRecord;
}

export interface Snapshot {
  readonly revision: number;
  head(key: string): Head | undefined;
  version(key: string, revision: number): KeyValue | undefined;
}

const nothing = new Uint8Array(0);

/** An event whose `prev` is read from the store only when somebody asks: the watch cache has it anyway. */
class CommittedEvent implements BackendEvent {
  readonly type: BackendEvent['type'];
  readonly kv: KeyValue;
  readonly #readPrev: () => KeyValue | undefined;

  constructor(type: BackendEvent['type'], kv: KeyValue, readPrev: () => KeyValue | undefined) {
    this.type = type;
    this.kv = kv;
    this.#readPrev = readPrev;
  }

  get prev(): KeyValue | undefined {
    return this.#readPrev();
  }
}

export function planBatch(writes: readonly PendingWrite[], durable: Snapshot): PlannedBatch {
  const written = new Map<string, { readonly head: Head; readonly kv: KeyValue | undefined }>();
  const records: PlannedRecord[] = [];
  const events: BackendEvent[] = [];
  let revision = durable.revision;
  const results = writes.map(({ key, value, expected, ticket }): WriteResult => {
    const ours = written.get(key);
    const head = ours === undefined ? durable.head(key) : ours.head;
    const exists = head !== undefined && !head.deleted;
    const modRevision = exists ? head.revision : 0;
    const current = () => (ours !== undefined ? ours.kv : exists ? durable.version(key, modRevision) : undefined);
    if (modRevision !== (typeof expected === 'number' ? expected : expected.revision) || (value === undefined && !exists))
      return { ok: false, current: current() };

    revision++;
    ticket.revision = revision;
    const createRevision = value === undefined ? 0 : exists ? head.createRevision : revision;
    const kv: KeyValue = { key, value: value ?? nothing, modRevision: revision, createRevision };
    const type = value === undefined ? 'delete' : 'put';
    records.push({ revision, record: { type, key, value: kv.value, createRevision, previousRevision: head?.revision ?? 0 } });
    events.push(new CommittedEvent(type, kv, current));
    written.set(key, { head: { revision, createRevision, deleted: value === undefined }, kv: value === undefined ? undefined : kv });
    return { ok: true, revision };
  });
  return { records, events, revision, results };
}
