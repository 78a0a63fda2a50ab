import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { AuditBackend, AuditEvent } from './backend.ts';

export interface AuditLogOptions {
  /** `--audit-log-path`; `-` is standard output. */
  readonly path: string;
  /** `--audit-log-maxsize`, bytes; 0 never rotates. */
  readonly maxBytes: number;
  /** `--audit-log-maxage`, ms; 0 keeps files of any age. */
  readonly maxAgeMs: number;
  /** `--audit-log-maxbackup`: rotated files kept; 0 keeps all. */
  readonly maxBackups: number;
  /**
   * `--audit-log-mode`: whether a request waits until its event is written, and what happens when the disk does not take it:
   * `blocking` waits until it does, `blocking-strict` fails the request, `batch` does not wait and counts the event as lost.
   */
  readonly mode: 'blocking' | 'blocking-strict' | 'batch';
  /** Events that may wait to be written, in any mode: more are counted as lost, and fail their request unless in `batch` mode. */
  readonly maxQueued: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onDropped: (count: number) => void;
}

const retryMs = 200;
/** Only files that a rotation made are ever removed. */
const rotationTime = /^\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}\.\d{3}(-\d+)?$/;

interface QueuedEvent {
  readonly line: string;
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

/**
 * JSON lines in a file, in order, many events per write. Rotation renames the file to `<name>-<time>.<ext>` and starts a new one;
 * old ones are removed by count and age. `close` writes what is queued; what the disk does not take then is counted as lost.
 */
export class AuditLogBackend implements AuditBackend {
  readonly #options: AuditLogOptions;
  #file: FileHandle | undefined;
  #sizeBytes = 0;
  #queue: QueuedEvent[] = [];
  #writing: Promise<void> | undefined;
  #closed = false;

  constructor(options: AuditLogOptions) {
    this.#options = options;
  }

  /** Opens the file before the first event, so that a path that cannot work is told at start. */
  async open(): Promise<void> {
    if (this.#options.path !== '-') this.#file ??= await this.#open();
  }

  record(event: AuditEvent): Promise<void> {
    const line = `${JSON.stringify(event)}\n`;
    const { mode, maxQueued, onDropped } = this.#options;
    if (this.#queue.length >= maxQueued) {
      onDropped(1);
      return mode === 'batch' ? Promise.resolve() : Promise.reject(new Error('too many audit events wait to be written'));
    }
    if (mode === 'batch') {
      this.#enqueue({ line, done: () => {}, failed: () => {} });
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => this.#enqueue({ line, done: resolve, failed: reject }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    while (this.#writing) await this.#writing;
    await this.#file?.close();
    this.#file = undefined;
  }

  #enqueue(event: QueuedEvent): void {
    this.#queue.push(event);
    this.#writing ??= this.#drain();
  }

  async #drain(): Promise<void> {
    // Everything that is asked for in this turn goes into one write.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      const error = await this.#write(batch.map((entry) => entry.line).join(''), batch.length);
      for (const entry of batch) {
        if (error === undefined) entry.done();
        else entry.failed(error);
      }
    }
    // In the same turn as the last look at the queue: an event that comes later starts a new round.
    this.#writing = undefined;
  }

  /** Undefined when the events are written or given up for good; the error when a request has to fail for it. */
  async #write(text: string, events: number): Promise<Error | undefined> {
    for (let failures = 0; ; failures++) {
      try {
        await this.#append(Buffer.from(text));
        return undefined;
      } catch (error) {
        const { mode, logger, onDropped, clock } = this.#options;
        if (failures === 0) logger.error('audit log cannot be written', { err: error, mode });
        if (mode === 'blocking-strict') return new Error('the audit log cannot be written', { cause: error });
        if (mode === 'batch' || this.#closed) {
          onDropped(events);
          return undefined;
        }
        await clock.sleep(retryMs);
      }
    }
  }

  /** All or nothing: a part that a full disk took is cut off again, so that a retry never leaves half a line. */
  async #append(bytes: Buffer): Promise<void> {
    if (this.#options.path === '-') {
      await new Promise<void>((resolve, reject) => process.stdout.write(bytes, (error) => (error ? reject(error) : resolve())));
      return;
    }
    if (this.#options.maxBytes > 0 && this.#sizeBytes > 0 && this.#sizeBytes + bytes.length > this.#options.maxBytes) await this.#rotate();
    this.#file ??= await this.#open();
    try {
      for (let written = 0; written < bytes.length; ) written += (await this.#file.write(bytes, written)).bytesWritten;
    } catch (error) {
      await this.#file.truncate(this.#sizeBytes);
      throw error;
    }
    this.#sizeBytes += bytes.length;
  }

  async #open(): Promise<FileHandle> {
    const file = await open(this.#options.path, 'a', 0o600).catch((error: unknown) => {
      throw new Error(`cannot open the audit log ${this.#options.path}`, { cause: error });
    });
    this.#sizeBytes = (await file.stat()).size;
    return file;
  }

  async #rotate(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    const { dir, name, ext } = path.parse(this.#options.path);
    const time = new Date(this.#options.clock.now()).toISOString().replaceAll(':', '-').replace('Z', '');
    await rename(this.#options.path, path.join(dir, `${name}-${time}${await this.#freeSuffix(dir, `${name}-${time}`, ext)}${ext}`));
    this.#sizeBytes = 0;
    await this.#removeOld(dir, name, ext).catch((error: unknown) => {
      this.#options.logger.warn('old audit logs cannot be removed', { err: error });
    });
  }

  /** Two rotations within a millisecond must not overwrite each other. */
  async #freeSuffix(dir: string, stem: string, ext: string): Promise<string> {
    for (let n = 0; ; n++) {
      const suffix = n === 0 ? '' : `-${n}`;
      const taken = await stat(path.join(dir, `${stem}${suffix}${ext}`)).catch(() => undefined);
      if (!taken) return suffix;
    }
  }

  async #removeOld(dir: string, name: string, ext: string): Promise<void> {
    const names = (await readdir(dir === '' ? '.' : dir))
      .filter((file) => file.startsWith(`${name}-`) && rotationTime.test(file.slice(name.length + 1, file.length - ext.length)))
      .sort()
      .reverse();
    for (const [index, file] of names.entries()) {
      const tooMany = this.#options.maxBackups > 0 && index >= this.#options.maxBackups;
      const ageMs = this.#options.clock.now() - (await stat(path.join(dir, file))).mtimeMs;
      if (tooMany || (this.#options.maxAgeMs > 0 && ageMs > this.#options.maxAgeMs)) await rm(path.join(dir, file), { force: true });
    }
  }
}
