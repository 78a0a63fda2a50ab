import type { LmdbFiles } from './lmdb-files.ts';
import { decodeHead, decodeLogRecord, decodeRevision, encodePastKey, encodeRevision } from './lmdb-records.ts';

/**
 * One step of compaction: looks at the next few log entries up to the compacted revision and says what they made
 * superfluous. Every entry ends the life of the version before it; a deletion ends its own as well. Steps share a transaction
 * with the writes of the moment, and an interrupted compaction goes on where the last step ended.
 */
export interface CleaningStep {
  /** Everything up to this revision is clean after `apply`. */
  readonly cleaned: number;
  /** Puts the removals into the current transaction, before its writes. */
  apply(): void;
}

export function planCleaning(files: LmdbFiles, cleaned: number, compacted: number, maxEntries: number): CleaningStep {
  const removals: (() => unknown)[] = [];
  const range = { start: encodeRevision(cleaned + 1), end: encodeRevision(compacted + 1) };
  let entries = 0;
  let reached = compacted;
  for (const entry of files.log.getRange(range)) {
    const revision = decodeRevision(entry.key);
    const { key, type, previousRevision } = decodeLogRecord(entry.value);
    if (previousRevision > 0) {
      removals.push(() => files.log.remove(encodeRevision(previousRevision)));
      removals.push(() => files.past.remove(encodePastKey(key, previousRevision)));
    }
    if (type === 'delete') {
      removals.push(() => files.log.remove(encodeRevision(revision)));
      const keyBytes = Buffer.from(key);
      const head = files.head.get(keyBytes);
      if (head !== undefined && decodeHead(head).revision === revision) removals.push(() => files.head.remove(keyBytes));
    }
    if (++entries === maxEntries) {
      reached = revision;
      break;
    }
  }
  return {
    cleaned: reached,
    apply() {
      for (const remove of removals) remove();
    },
  };
}
