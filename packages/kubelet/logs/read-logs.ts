/**
 * Serves a container's log: `tail`, `since`, `limit`, `timestamps`, one stream or both, following a container until it ends and its log
 * across rotation. Lines come out as the container wrote them; what it wrote without a newline has none.
 */
import { watch } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import type { ByteSink, LogOptions } from '@coffer/api/node/node-api';
import type { Clock } from '@coffer/base/time/clock';
import { offsetOfLastLines, parseLogLine } from './log-lines.ts';

export interface LogSource {
  readonly path: string;
  /** Whether more may be written; asked after everything was read. */
  readonly mayGrow: () => boolean;
}

const blockBytes = 64 * 1024;
/** Where the file system does not tell of changes, and for the end of the container. */
const pollMs = 200;

export async function readLogs(source: LogSource, options: LogOptions, out: ByteSink, clock: Clock, signal: AbortSignal): Promise<void> {
  const sinceMs = sinceTime(options, clock.now());
  let file = await openWhenThere(source, options, clock, signal);
  if (file === undefined) return;
  const writer = new LineWriter(options, sinceMs, out);
  try {
    const { size } = await file.stat();
    let offset = options.tailLines === undefined ? 0 : await offsetOfLastLines(file, size, options.tailLines);
    for (;;) {
      // Asked before reading: what is written before the end is read for sure.
      const mayGrow = options.follow && source.mayGrow();
      offset = await readFrom(file, offset, writer, signal);
      if (writer.full || signal.aborted) break;
      const next = await reopened(source.path, file, offset);
      if (next !== undefined) {
        // What was written between the last read and the rotation is read before the new file.
        await readFrom(file, offset, writer, signal);
        await file.close();
        file = next;
        offset = 0;
        writer.forgetPartial();
        continue;
      }
      if (!mayGrow) break;
      await changed(source.path, clock, signal);
    }
    await writer.flush();
  } finally {
    await file.close();
  }
}

function sinceTime(options: LogOptions, nowMs: number): number | undefined {
  if (options.sinceTime !== undefined) return Date.parse(options.sinceTime);
  return options.sinceSeconds === undefined ? undefined : nowMs - options.sinceSeconds * 1000;
}

async function openWhenThere(source: LogSource, options: LogOptions, clock: Clock, signal: AbortSignal): Promise<FileHandle | undefined> {
  for (;;) {
    try {
      return await open(source.path, 'r');
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
      if (!options.follow || !source.mayGrow() || signal.aborted) return undefined;
      await clock.sleep(pollMs, signal).catch(() => {});
    }
  }
}

async function readFrom(file: FileHandle, from: number, writer: LineWriter, signal: AbortSignal): Promise<number> {
  let offset = from;
  const buffer = Buffer.allocUnsafe(blockBytes);
  while (!signal.aborted && !writer.full) {
    const { bytesRead } = await file.read(buffer, 0, blockBytes, offset);
    if (bytesRead === 0) break;
    offset += bytesRead;
    await writer.take(buffer.subarray(0, bytesRead));
  }
  return offset;
}

/** The file that is now at that path, when it is another one or was cut. */
async function reopened(path: string, file: FileHandle, offset: number): Promise<FileHandle | undefined> {
  try {
    const [now, ours] = await Promise.all([stat(path), file.stat()]);
    if (now.ino === ours.ino && now.dev === ours.dev && now.size >= offset) return undefined;
    return await open(path, 'r');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function changed(path: string, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      cancel();
      watcher?.close();
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const cancel = clock.setTimer(pollMs, finish);
    let watcher: ReturnType<typeof watch> | undefined;
    try {
      watcher = watch(path, finish);
      watcher.on('error', finish);
    } catch {
      // Polling does as well.
    }
    signal.addEventListener('abort', finish, { once: true });
    if (signal.aborted) finish();
  });
}

class LineWriter {
  readonly #options: LogOptions;
  readonly #sinceMs: number | undefined;
  readonly #out: ByteSink;
  #rest: Uint8Array = new Uint8Array();
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #left: number;
  /** The last record was a part of a line, so the next one gets no timestamp. */
  #inLine = { stdout: false, stderr: false };

  constructor(options: LogOptions, sinceMs: number | undefined, out: ByteSink) {
    this.#options = options;
    this.#sinceMs = sinceMs;
    this.#out = out;
    this.#left = options.limitBytes ?? Number.POSITIVE_INFINITY;
  }

  get full(): boolean {
    return this.#left <= 0;
  }

  async take(block: Uint8Array): Promise<void> {
    const bytes = this.#rest.length === 0 ? block : Buffer.concat([this.#rest, block]);
    let start = 0;
    for (let end = bytes.indexOf(0x0a); end >= 0 && !this.full; end = bytes.indexOf(0x0a, start)) {
      this.#line(bytes.subarray(start, end));
      start = end + 1;
    }
    this.#rest = Uint8Array.from(bytes.subarray(start));
    await this.flush();
  }

  forgetPartial(): void {
    this.#rest = new Uint8Array();
  }

  async flush(): Promise<void> {
    if (this.#pendingBytes === 0) return;
    const chunk = Buffer.concat(this.#pending, this.#pendingBytes);
    this.#pending = [];
    this.#pendingBytes = 0;
    await this.#out.write(chunk);
  }

  #line(bytes: Uint8Array): void {
    const line = parseLogLine(bytes);
    if (line === undefined) return;
    if (this.#sinceMs !== undefined && Date.parse(line.time) < this.#sinceMs) return;
    const goesOn = this.#inLine[line.stream];
    this.#inLine[line.stream] = !line.complete;
    if (this.#options.timestamps && !goesOn) this.#put(Buffer.from(`${line.time} `));
    this.#put(line.text);
    if (line.complete) this.#put(Buffer.from('\n'));
  }

  #put(bytes: Uint8Array): void {
    const part = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= part.length;
    // The block's buffer is reused: keep a copy.
    this.#pending.push(Uint8Array.from(part));
    this.#pendingBytes += part.length;
  }
}
