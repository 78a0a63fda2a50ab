import { chmodSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { append, dataName, type LmdbFiles, syncPath, workshopPrefix } from './lmdb-files.ts';
import { decodeLogRecord, decodeRevision, encodeHead, encodePastKey, encodeRevision } from './lmdb-records.ts';

/**
 * Replaces the data file by a copy that holds nothing of what was deleted or overwritten:
 *
 *   1 a compacting copy beside the store, while writes go on
 *   2 the writes since then are added to the copy, again and again, until few are missing
 *   3 writes pause: the last ones are added, the copy is closed
 *   4 nothing is open: the copy gets the name of the data file, which removes the old one
 *
 * Cut off before 4, the copy is removed by the next start; behind it, it is the store. No history may be removed meanwhile.
 */
export interface ExchangeResult {
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** How long writes waited. */
  readonly pausedMs: number;
}

/** Points at which tests cut the exchange off. */
export type ExchangePoint = 'copied' | 'renamed';

const recordsPerBatch = 500;
const fewRecords = 100;
const maxRounds = 50;
const noValue = Buffer.alloc(0);

export class FileExchange {
  readonly #files: LmdbFiles;
  readonly #workshop: string;
  readonly #copy: LmdbFiles;
  #copied: number;

  private constructor(files: LmdbFiles, workshop: string, copy: LmdbFiles) {
    this.#files = files;
    this.#workshop = workshop;
    this.#copy = copy;
    this.#copied = 0;
    for (const key of copy.log.getKeys({ reverse: true, limit: 1 })) this.#copied = decodeRevision(key);
  }

  /** Steps 1 and 2. */
  static async prepare(files: LmdbFiles, currentRevision: () => number): Promise<FileExchange> {
    const workshop = join(files.directory, `${workshopPrefix}exchange`);
    rmSync(workshop, { recursive: true, force: true });
    mkdirSync(workshop, { mode: 0o700 });
    try {
      await files.env.backup(workshop, true);
      chmodSync(join(workshop, dataName), 0o600);
      const exchange = new FileExchange(files, workshop, files.openCopy(workshop));
      for (let round = 0; round < maxRounds && currentRevision() - exchange.#copied > fewRecords; round++) {
        await exchange.#addUpTo(currentRevision());
      }
      // Most of the file reaches the disk here, not in the pause.
      syncPath(join(workshop, dataName));
      return exchange;
    } catch (error) {
      rmSync(workshop, { recursive: true, force: true });
      throw error;
    }
  }

  /** Step 3. */
  async complete(revision: number): Promise<void> {
    await this.#addUpTo(revision);
    // Each of its commits was synced.
    await this.#copy.env.close();
  }

  /** Step 4; the store's own files must be closed. */
  install(): { readonly bytesBefore: number; readonly bytesAfter: number } {
    const bytesBefore = statSync(this.#files.dataPath).size;
    renameSync(join(this.#workshop, dataName), this.#files.dataPath);
    syncPath(this.#files.directory);
    this.#removeWorkshop();
    return { bytesBefore, bytesAfter: statSync(this.#files.dataPath).size };
  }

  async abandon(): Promise<void> {
    await this.#copy.env.close();
    this.#removeWorkshop();
  }

  async #addUpTo(revision: number): Promise<void> {
    while (this.#copied < revision) {
      const { log, head, past, env } = this.#copy;
      const range = { start: encodeRevision(this.#copied + 1), end: encodeRevision(revision + 1), limit: recordsPerBatch };
      const entries = [...this.#files.log.getRange(range)].map(({ key, value }) => ({
        revision: decodeRevision(key),
        bytes: Buffer.from(value),
      }));
      const appended: Promise<boolean>[] = [];
      await env.batch(() => {
        for (const { revision: at, bytes } of entries) {
          const { key, type, createRevision, previousRevision } = decodeLogRecord(bytes);
          appended.push(append(log, encodeRevision(at), bytes));
          void head.put(Buffer.from(key), encodeHead({ revision: at, createRevision, deleted: type === 'delete' }));
          if (previousRevision > 0) void past.put(encodePastKey(key, previousRevision), noValue);
        }
      });
      if ((await Promise.all(appended)).includes(false)) throw new Error('the copy of the store has a revision that it should not have');
      this.#copied = entries.at(-1)?.revision ?? revision;
    }
  }

  #removeWorkshop(): void {
    rmSync(this.#workshop, { recursive: true, force: true });
  }
}
