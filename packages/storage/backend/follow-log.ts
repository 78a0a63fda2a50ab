import { StorageError } from '../errors.ts';
import type { BackendBatch } from './backend.ts';

/**
 * `Backend.watch` for backends that keep their own log: reads what is new, hands it out, waits for the next commit. Nothing is
 * queued for a slow consumer; it simply reads the log later, and fails with `compacted` when that part is gone by then.
 */
export interface ChangeLog {
  /** Changes below `prefix` behind `afterRevision`, oldest first, about `limit` of them. Throws `compacted`. */
  changesAfter(prefix: string, afterRevision: number, limit: number): BackendBatch;
  readonly commits: CommitSignal;
  /** Something to wait for before `changesAfter` can be asked. */
  ready?(): Promise<void> | undefined;
}

const eventsPerBatch = 256;

export async function* followLog(log: ChangeLog, prefix: string, afterRevision: number, signal: AbortSignal): AsyncGenerator<BackendBatch> {
  let position = afterRevision;
  while (!signal.aborted) {
    await log.ready?.();
    const seen = log.commits.count;
    const batch = log.changesAfter(prefix, position, eventsPerBatch);
    if (batch.revision > position) {
      position = batch.revision;
      yield batch;
    } else {
      await log.commits.next(seen, signal);
    }
  }
}

/** Wakes those who wait for the next commit. */
export class CommitSignal {
  #count = 0;
  #closed = false;
  readonly #waiting = new Set<() => void>();

  /** Number of commits so far; what `next` compares with. */
  get count(): number {
    return this.#count;
  }

  notify(): void {
    this.#count++;
    this.#wake();
  }

  close(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Resolves when there was a commit since `count` was `seen`, or `signal` is aborted. Throws `closed` after `close`. */
  async next(seen: number, signal: AbortSignal): Promise<void> {
    while (this.#count === seen && !signal.aborted) {
      if (this.#closed) throw new StorageError('closed', 'the store is closed');
      await new Promise<void>((resolve) => {
        const done = () => {
          this.#waiting.delete(done);
          signal.removeEventListener('abort', done);
          resolve();
        };
        this.#waiting.add(done);
        signal.addEventListener('abort', done);
      });
    }
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}
