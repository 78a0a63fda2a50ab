import type { KeyValue } from './backend.ts';

/**
 * Byte layout of the LMDB backend's records (format 1). Three tables and a few marks:
 *
 *   log   revision → record of that write (value included, stored once)
 *   head  key → newest version of the key: revision, create revision, whether it is a deletion
 *   past  key, 0x00, revision → nothing; the versions that `head` has replaced and compaction has not removed yet
 *   meta  format, compacted revision, how far compaction has cleaned up
 *
 * Revisions are 8 bytes big-endian, so that byte order is number order.
 */
export const formatVersion = 1;

export interface LogRecord {
  readonly type: 'put' | 'delete';
  readonly key: string;
  readonly value: Uint8Array;
  readonly createRevision: number;
  /** Revision of the version this one replaced (a deletion counts); 0 for none. */
  readonly previousRevision: number;
}

export interface Head {
  readonly revision: number;
  readonly createRevision: number;
  readonly deleted: boolean;
}

const logHeaderBytes = 1 + 2 + 8 + 8;
const headBytes = 1 + 8 + 8;

export function encodeRevision(revision: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  writeRevision(bytes, revision, 0);
  return bytes;
}

export function decodeRevision(bytes: Buffer, offset = 0): number {
  return bytes.readUInt32BE(offset) * 0x1_0000_0000 + bytes.readUInt32BE(offset + 4);
}

export function encodeLogRecord(record: LogRecord): Buffer {
  const keyBytes = Buffer.byteLength(record.key);
  const bytes = Buffer.allocUnsafe(logHeaderBytes + keyBytes + record.value.length);
  bytes[0] = record.type === 'put' ? 1 : 2;
  bytes.writeUInt16BE(keyBytes, 1);
  writeRevision(bytes, record.createRevision, 3);
  writeRevision(bytes, record.previousRevision, 11);
  bytes.write(record.key, logHeaderBytes, keyBytes, 'utf8');
  bytes.set(record.value, logHeaderBytes + keyBytes);
  return bytes;
}

export function decodeLogRecord(bytes: Buffer): LogRecord {
  const keyEnd = logHeaderBytes + bytes.readUInt16BE(1);
  return {
    type: bytes[0] === 1 ? 'put' : 'delete',
    key: bytes.toString('utf8', logHeaderBytes, keyEnd),
    value: bytes.subarray(keyEnd),
    createRevision: decodeRevision(bytes, 3),
    previousRevision: decodeRevision(bytes, 11),
  };
}

export function encodeHead(head: Head): Buffer {
  const bytes = Buffer.allocUnsafe(headBytes);
  bytes[0] = head.deleted ? 2 : 1;
  writeRevision(bytes, head.revision, 1);
  writeRevision(bytes, head.createRevision, 9);
  return bytes;
}

export function decodeHead(bytes: Buffer): Head {
  return { deleted: bytes[0] === 2, revision: decodeRevision(bytes, 1), createRevision: decodeRevision(bytes, 9) };
}

/** Key of `past`: versions of one key lie side by side, oldest first. */
export function encodePastKey(key: string, revision: number): Buffer {
  const keyBytes = Buffer.byteLength(key);
  const bytes = Buffer.allocUnsafe(keyBytes + 9);
  bytes.write(key, 0, keyBytes, 'utf8');
  bytes[keyBytes] = 0;
  writeRevision(bytes, revision, keyBytes + 1);
  return bytes;
}

export function revisionOfPastKey(bytes: Buffer): number {
  return decodeRevision(bytes, bytes.length - 8);
}

export function toKeyValue(record: LogRecord, revision: number): KeyValue {
  return { key: record.key, value: record.value, modRevision: revision, createRevision: record.createRevision };
}

function writeRevision(bytes: Buffer, revision: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(revision / 0x1_0000_0000), offset);
  bytes.writeUInt32BE(revision % 0x1_0000_0000, offset + 4);
}
