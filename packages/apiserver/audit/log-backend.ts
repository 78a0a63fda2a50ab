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
  /** What happens when the disk does not take an event: the request waits for it (`blocking`) or the event is counted as lost. */
  readonly mode: 'blocking' | 'drop';
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onDropped: (count: number) => void;
}

const retryMs = 200;

/**
 * JSON lines in a file, in order, many events per write. Rotation renames the file to `<name>-<time>.<ext>` and starts a new one;
 * old ones are removed by count and age. In `blocking` mode an event that cannot be written holds its request until it can.
 */
export class AuditLogBackend implements AuditBackend {
  readonly #options: AuditLogOptions;
  #file: FileHandle | undefined;
  #sizeBytes = 0;
  #queue: { readonly line: string; readonly done: () => void }[] = [];
  #writing: Promise<void> | undefined;
  #closed = false;

  constructor(options: AuditLogOptions) {
    this.#options = options;
  }

  record(event: AuditEvent): Promise<void> {
    const line = `${JSON.stringify(event)}\n`;
    return new Promise((resolve) => {
      this.#queue.push({ line, done: resolve });
      this.#writing ??= this.#drain().finally(() => {
        this.#writing = undefined;
      });
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    while (this.#writing) await this.#writing;
    await this.#file?.close();
    this.#file = undefined;
  }

  async #drain(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      await this.#write(batch.map((entry) => entry.line).join(''), batch.length);
      for (const entry of batch) entry.done();
    }
  }

  async #write(text: string, events: number): Promise<void> {
    for (let failures = 0; ; failures++) {
      try {
        await this.#append(Buffer.from(text));
        return;
      } catch (error) {
        if (failures === 0) this.#options.logger.error('audit log cannot be written', { err: error, mode: this.#options.mode });
        if (this.#options.mode === 'drop' || this.#closed) {
          this.#options.onDropped(events);
          return;
        }
        await this.#options.clock.sleep(retryMs);
      }
    }
  }

  /** All or nothing: a part that a full disk took is cut off again, so that a retry never leaves half a line. */
  async #append(bytes: Buffer): Promise<void> {
    if (this.#options.path === '-') {
      process.stdout.write(bytes);
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
    const file = await open(this.#options.path, 'a', 0o600);
    this.#sizeBytes = (await file.stat()).size;
    return file;
  }

  async #rotate(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    const { dir, name, ext } = path.parse(this.#options.path);
    const time = new Date(this.#options.clock.now()).toISOString().replaceAll(':', '-').replace('Z', '');
    await rename(this.#options.path, path.join(dir, `${name}-${time}${ext}`));
    this.#sizeBytes = 0;
    await this.#removeOld(dir, name, ext);
  }

  async #removeOld(dir: string, name: string, ext: string): Promise<void> {
    const names = (await readdir(dir))
      .filter((file) => file.startsWith(`${name}-`) && file.endsWith(ext))
      .sort()
      .reverse();
    for (const [index, file] of names.entries()) {
      const tooMany = this.#options.maxBackups > 0 && index >= this.#options.maxBackups;
      const ageMs = this.#options.clock.now() - (await stat(path.join(dir, file))).mtimeMs;
      if (tooMany || (this.#options.maxAgeMs > 0 && ageMs > this.#options.maxAgeMs)) await rm(path.join(dir, file), { force: true });
    }
  }
}
