import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { isRecord } from '@coffer/api/meta/safe-object';

/**
 * A backup is a line of JSON that describes it, the store's data file as of one moment, and the SHA-256 of both. Values in it are
 * encrypted as they are in the store, and the keys are not in it.
 */
export interface BackupHeader {
  readonly cofferBackup: 1;
  readonly createdAt: string;
  readonly revision: number;
  readonly bytes: number;
  /** Keys that are needed to read it: `k8s:enc:aesgcm:v1:key1:`. */
  readonly keys: readonly string[];
}

export interface BackupSource {
  /** A consistent copy of the data file, `data.mdb` in `directory`, while writes go on. */
  copyTo(directory: string): Promise<void>;
}

const maxHeaderBytes = 64 * 1024;
const digestBytes = 32;

/** Writes a backup piece by piece. The copy is made in `scratch`, the store's directory, and removed in the
 * end, or by the next start. */
export async function writeBackup(
  source: BackupSource,
  scratch: string,
  header: Omit<BackupHeader, 'bytes' | 'cofferBackup'>,
  write: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(path.join(scratch, 'creating-'));
  try {
    await source.copyTo(directory);
    const file = path.join(directory, 'data.mdb');
    const hash = createHash('sha256');
    const send = async (chunk: Uint8Array) => {
      hash.update(chunk);
      await write(chunk);
    };
    await send(Buffer.from(`${JSON.stringify({ cofferBackup: 1, ...header, bytes: (await stat(file)).size })}\n`));
    for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 })) await send(chunk as Buffer);
    await write(hash.digest());
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Reads a whole backup. Rejects when the file is none, is cut off, or was changed. */
export function checkBackup(file: string): Promise<BackupHeader> {
  return readBackup(file, async () => {});
}

/** Checks a backup and writes its data file to `target`, durably. */
export async function extractBackup(file: string, target: string): Promise<BackupHeader> {
  const sink = await open(target, 'wx', 0o600);
  try {
    const header = await readBackup(file, async (chunk) => {
      await sink.writeFile(chunk);
    });
    await sink.sync();
    return header;
  } finally {
    await sink.close();
  }
}

async function readBackup(file: string, onData: (chunk: Buffer) => Promise<void>): Promise<BackupHeader> {
  const source = await open(file, 'r');
  try {
    const hash = createHash('sha256');
    const { header, dataStart } = await readHeader(source, file, hash);
    const dataEnd = dataStart + header.bytes;
    const { size } = await source.stat();
    if (size !== dataEnd + digestBytes) {
      throw new Error(`${file} has ${size} bytes, but should have ${dataEnd + digestBytes}: it is not complete`);
    }
    const buffer = Buffer.alloc(256 * 1024);
    for (let position = dataStart; position < dataEnd; ) {
      const { bytesRead } = await source.read(buffer, 0, Math.min(buffer.length, dataEnd - position), position);
      if (bytesRead === 0) throw new Error(`${file} ends early`);
      const chunk = buffer.subarray(0, bytesRead);
      hash.update(chunk);
      await onData(chunk);
      position += bytesRead;
    }
    const { buffer: stored } = await source.read(Buffer.alloc(digestBytes), 0, digestBytes, dataEnd);
    if (!hash.digest().equals(stored)) throw new Error(`${file} is damaged: its checksum is wrong`);
    return header;
  } finally {
    await source.close();
  }
}

async function readHeader(source: Awaited<ReturnType<typeof open>>, file: string, hash: Hash) {
  const { buffer, bytesRead } = await source.read(Buffer.alloc(maxHeaderBytes), 0, maxHeaderBytes, 0);
  const end = buffer.subarray(0, bytesRead).indexOf(0x0a);
  const header = end < 0 ? undefined : parse(buffer.toString('utf8', 0, end));
  if (header === undefined) throw new Error(`${file} is not a backup of coffer`);
  hash.update(buffer.subarray(0, end + 1));
  return { header, dataStart: end + 1 };
}

function parse(line: string): BackupHeader | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) && value.cofferBackup === 1 && Number.isSafeInteger(value.bytes) && Number.isSafeInteger(value.revision)
      ? (value as unknown as BackupHeader)
      : undefined;
  } catch {
    return undefined;
  }
}
