/**
 * Turns what a container wrote (raw files that two copying processes append to, also while no server runs) into a log in CRI format:
 * `2026-11-21T22:45:42.123456789Z stdout F line`. Every byte is converted exactly once, over crashes too:
 *
 *  1. The journal gets the log's size and the offsets before and after the batch.
 *  2. The batch is appended to the log.
 *
 * After a crash the log's size says whether step 2 happened, happened in part (then that part is cut off) or did not. Converted parts
 * of the raw files give their disk space back. Timestamps are those of the conversion.
 */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Clock } from '@coffer/base/time/clock';
import { runTool } from './tools.ts';

export type StreamName = 'stdout' | 'stderr';

const streams = ['stdout', 'stderr'] as const;
const maxLineBytes = 16 * 1024;
const maxReadBytes = 256 * 1024;
const releaseAfterBytes = 4 * 1024 * 1024;
const newline = 10;
const journalBytes = 256;
/** An unfinished line (a prompt, output without a line feed) is written as a partial one when nothing more came for this long. */
const partialLineAfterMs = 200;

interface Journal {
  readonly log: number;
  readonly size: number;
  readonly length: number;
  readonly from: Readonly<Record<StreamName, number>>;
  readonly to: Readonly<Record<StreamName, number>>;
}

interface Line {
  readonly stream: StreamName;
  readonly tag: 'F' | 'P';
  readonly content: Buffer;
  readonly rawBytes: number;
}

interface RawStream {
  handle: FileHandle | undefined;
  /** Everything before was read. */
  read: number;
  /** Everything before is in the log. */
  converted: number;
  released: number;
  /** Read, but not a complete line yet. */
  carry: Buffer;
}

export interface LogWriterOptions {
  /** The container's run directory, with `stdout` and `stderr`. */
  readonly rawDirectory: string;
  readonly logPath: string;
  readonly clock: Clock;
}

export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #raw: Record<StreamName, RawStream> = { stdout: newStream(), stderr: newStream() };
  readonly #listeners = new Set<(stream: StreamName, chunk: Buffer) => void>();
  #log: FileHandle | undefined;
  #logInode = 0;
  #logSize = 0;
  #journal: FileHandle | undefined;
  #queue: Promise<void> = Promise.resolve();
  #lastStamp = 0n;
  #order: StreamName[] = [];
  #cancelPartial = () => {};

  constructor(options: LogWriterOptions) {
    this.#options = options;
  }

  /** Called for every piece of output, as it is found. The returned function ends it. */
  subscribe(listener: (stream: StreamName, chunk: Buffer) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Says that a stream has grown; calls in the order of the growth keep lines of the two streams in order. */
  noteGrowth(stream: StreamName): void {
    if (this.#order.at(-1) !== stream && this.#order.length < 10_000) this.#order.push(stream);
  }

  /** Converts what is there. With `final`, an unfinished last line too. */
  convert(final = false): Promise<void> {
    return this.#enqueue(async () => {
      await this.#open();
      this.#cancelPartial();
      while (await this.#convertBatch(final)) {
        // More than one batch was there.
      }
      const unfinished = !final && streams.some((stream) => this.#raw[stream].carry.length > 0);
      if (unfinished) this.#cancelPartial = this.#options.clock.setTimer(partialLineAfterMs, () => void this.convert(true).catch(() => {}));
    });
  }

  /** Goes on in a new file at the log's path, after somebody has renamed the old one. */
  reopen(): Promise<void> {
    return this.#enqueue(async () => {
      await this.#open();
      await this.#log?.close();
      await this.#openLog();
      const offsets = { stdout: this.#raw.stdout.converted, stderr: this.#raw.stderr.converted };
      await this.#writeJournal({ log: this.#logInode, size: this.#logSize, length: 0, from: offsets, to: offsets });
    });
  }

  close(): Promise<void> {
    this.#cancelPartial();
    return this.#enqueue(async () => {
      this.#cancelPartial();
      for (const handle of [this.#log, this.#journal, this.#raw.stdout.handle, this.#raw.stderr.handle]) await handle?.close();
      this.#log = this.#journal = this.#raw.stdout.handle = this.#raw.stderr.handle = undefined;
      this.#listeners.clear();
    });
  }

  #enqueue(task: () => Promise<void>): Promise<void> {
    const done = this.#queue.then(task);
    this.#queue = done.catch(() => {});
    return done;
  }

  async #open(): Promise<void> {
    if (this.#log) return;
    await mkdir(dirname(this.#options.logPath), { recursive: true, mode: 0o755 });
    const log = await this.#openLog();
    const path = join(this.#options.rawDirectory, 'log-journal');
    const text = await readFile(path, 'utf8').catch(() => '');
    this.#journal = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const journal = lastJournal(text);
    if (!journal) return;
    let offsets = journal.to;
    if (journal.log === this.#logInode && this.#logSize < journal.size + journal.length) {
      // Step 2 did not happen, or only in part.
      await log.truncate(journal.size);
      this.#logSize = journal.size;
      offsets = journal.from;
    }
    for (const stream of streams) {
      const raw = this.#raw[stream];
      raw.read = raw.converted = raw.released = offsets[stream];
      raw.carry = Buffer.alloc(0);
    }
  }

  async #openLog(): Promise<FileHandle> {
    const log = await open(this.#options.logPath, 'a', 0o640);
    const { ino, size } = await log.stat();
    this.#log = log;
    this.#logInode = ino;
    this.#logSize = size;
    return log;
  }

  async #convertBatch(final: boolean): Promise<boolean> {
    const order = this.#order;
    this.#order = [];
    const lines: Record<StreamName, Line[]> = { stdout: [], stderr: [] };
    let more = false;
    for (const stream of streams) {
      const readAll = await this.#readStream(stream);
      more ||= !readAll;
      lines[stream] = takeLines(stream, this.#raw[stream], final && readAll);
    }
    const batch = inOrder(lines, order);
    if (batch.length === 0) return more;
    const text = Buffer.concat(batch.map((line) => this.#format(line)));
    const from = { stdout: this.#raw.stdout.converted, stderr: this.#raw.stderr.converted };
    for (const line of batch) this.#raw[line.stream].converted += line.rawBytes;
    const to = { stdout: this.#raw.stdout.converted, stderr: this.#raw.stderr.converted };
    try {
      // 1
      await this.#writeJournal({ log: this.#logInode, size: this.#logSize, length: text.length, from, to });
      // 2
      await this.#log?.appendFile(text);
    } catch (error) {
      await this.#undo(from);
      throw error;
    }
    this.#logSize += text.length;
    for (const stream of streams) await this.#release(stream);
    return more;
  }

  /** After a write that failed, e.g. on a full disk: the next conversion starts where this one did. */
  async #undo(from: Readonly<Record<StreamName, number>>): Promise<void> {
    for (const stream of streams) {
      const raw = this.#raw[stream];
      raw.read = raw.converted = from[stream];
      raw.carry = Buffer.alloc(0);
    }
    await this.#log?.truncate(this.#logSize).catch(() => {});
  }

  /** Reads what is new, at most one batch; false when there is more. */
  async #readStream(stream: StreamName): Promise<boolean> {
    const raw = this.#raw[stream];
    raw.handle ??= await open(join(this.#options.rawDirectory, stream), 'r').catch(() => undefined);
    if (!raw.handle) return true;
    const buffer = Buffer.allocUnsafe(maxReadBytes);
    const { bytesRead } = await raw.handle.read(buffer, 0, maxReadBytes, raw.read);
    if (bytesRead === 0) return true;
    const chunk = buffer.subarray(0, bytesRead);
    raw.read += bytesRead;
    raw.carry = raw.carry.length === 0 ? chunk : Buffer.concat([raw.carry, chunk]);
    for (const listener of this.#listeners) listener(stream, chunk);
    return bytesRead < maxReadBytes;
  }

  #format({ stream, tag, content }: Line): Buffer {
    const nowNs = BigInt(this.#options.clock.now()) * 1_000_000n;
    this.#lastStamp = nowNs > this.#lastStamp ? nowNs : this.#lastStamp + 1n;
    const seconds = new Date(Number(this.#lastStamp / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
    const nanos = (this.#lastStamp % 1_000_000_000n).toString().padStart(9, '0');
    return Buffer.concat([Buffer.from(`${seconds}.${nanos}Z ${stream} ${tag} `), content, Buffer.of(newline)]);
  }

  async #writeJournal(journal: Journal): Promise<void> {
    await this.#journal?.write(`${JSON.stringify(journal).padEnd(journalBytes - 1)}\n`, 0);
  }

  async #release(stream: StreamName): Promise<void> {
    const raw = this.#raw[stream];
    if (raw.converted - raw.released < releaseAfterBytes) return;
    const start = raw.released;
    raw.released = raw.converted;
    const range = ['--punch-hole', '--offset', String(start), '--length', String(raw.converted - start)];
    await runTool('fallocate', [...range, join(this.#options.rawDirectory, stream)]).catch(() => undefined);
  }
}

/** Size of a container's raw output that still takes disk space; for tests and limits. */
export async function rawBlocks(rawDirectory: string): Promise<number> {
  let blocks = 0;
  for (const stream of streams) blocks += (await stat(join(rawDirectory, stream)).catch(() => undefined))?.blocks ?? 0;
  return blocks;
}

function newStream(): RawStream {
  return { handle: undefined, read: 0, converted: 0, released: 0, carry: Buffer.alloc(0) };
}

/** The journal is one line of fixed length, so that one write replaces it. */
function lastJournal(text: string): Journal | undefined {
  return text.length === journalBytes ? (JSON.parse(text) as Journal) : undefined;
}

function takeLines(stream: StreamName, raw: RawStream, final: boolean): Line[] {
  const lines: Line[] = [];
  let start = 0;
  const { carry } = raw;
  while (start < carry.length) {
    const end = carry.indexOf(newline, start);
    const length = (end < 0 ? carry.length : end) - start;
    if (length > maxLineBytes) {
      lines.push({ stream, tag: 'P', content: carry.subarray(start, start + maxLineBytes), rawBytes: maxLineBytes });
      start += maxLineBytes;
    } else if (end >= 0) {
      lines.push({ stream, tag: 'F', content: carry.subarray(start, end), rawBytes: length + 1 });
      start = end + 1;
    } else if (final) {
      lines.push({ stream, tag: 'P', content: carry.subarray(start), rawBytes: length });
      start = carry.length;
    } else break;
  }
  raw.carry = start === 0 ? carry : Buffer.from(carry.subarray(start));
  return lines;
}

/**
 * Lines of both streams as they were written, as far as `order` (which stream grew when, repetitions left out) tells: each turn of a
 * stream takes one line, its first turn also those there are too many.
 */
function inOrder(lines: Readonly<Record<StreamName, Line[]>>, order: readonly StreamName[]): Line[] {
  if (lines.stdout.length === 0) return lines.stderr;
  if (lines.stderr.length === 0) return lines.stdout;
  const turns = { stdout: 0, stderr: 0 };
  for (const stream of order) turns[stream]++;
  const next = { stdout: 0, stderr: 0 };
  const result: Line[] = [];
  for (const stream of order) {
    const own = lines[stream];
    const count = next[stream] === 0 ? Math.max(1, own.length - turns[stream] + 1) : 1;
    result.push(...own.slice(next[stream], next[stream] + count));
    next[stream] += count;
  }
  for (const stream of streams) result.push(...lines[stream].slice(next[stream]));
  return result;
}
