import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { Backend, BackendBatch } from '../backend/backend.ts';

/**
 * Keeps the backend's history for a time or up to a size, whichever is less, and compacts what is older. Remembers a revision
 * now and then together with when it was current and how much history it brought.
 */
export interface CompactorDeps {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retentionMs: number;
  readonly maxBytes: number;
  /** Called when the backend has compacted up to `revision`, by this server or another. */
  onCompacted(revision: number): void;
}

interface Sample {
  readonly atMs: number;
  readonly revision: number;
  /** History that was added between the sample before and this one. */
  readonly bytes: number;
}

/** A byte-triggered compaction goes a good part below the limit, so that it does not run all the time. */
const keepShare = 0.75;
const samplesPerRetention = 10;

export class Compactor {
  readonly #deps: CompactorDeps;
  #samples: Sample[] = [];
  #revision: number;
  #totalBytes: number;
  #unsampledBytes: number;
  #running = false;
  #cancelTimer = () => {};
  #closed = false;

  /** `historyBytes`: what the backend holds already. */
  constructor(deps: CompactorDeps, revision: number, historyBytes: number) {
    this.#deps = deps;
    this.#revision = revision;
    this.#totalBytes = historyBytes;
    this.#unsampledBytes = historyBytes;
    this.#sample();
    this.#arm();
  }

  /** Counts a committed batch. */
  observe(batch: BackendBatch): void {
    this.#revision = batch.revision;
    let bytes = 0;
    for (const { kv } of batch.events) {
      // What was replaced is about as large as what replaces it; a deletion leaves at least a record behind.
      if (kv.createRevision !== kv.modRevision) bytes += kv.value.length + kv.key.length + 64;
    }
    this.#unsampledBytes += bytes;
    this.#totalBytes += bytes;
    if (this.#unsampledBytes > this.#deps.maxBytes / 32) this.#sample();
    if (this.#totalBytes > this.#deps.maxBytes) this.#start();
  }

  /** Compacts to `revision` now. */
  async compact(revision: number): Promise<void> {
    await this.#deps.backend.compact(revision);
    this.#forget(revision);
    this.#deps.onCompacted(revision);
  }

  close(): void {
    this.#closed = true;
    this.#cancelTimer();
  }

  #arm(): void {
    const { clock, retentionMs } = this.#deps;
    this.#cancelTimer = clock.setTimer(Math.max(1000, retentionMs / samplesPerRetention), () => {
      this.#sample();
      this.#start();
      this.#arm();
    });
  }

  #sample(): void {
    if (this.#samples.at(-1)?.revision === this.#revision) return;
    this.#samples.push({ atMs: this.#deps.clock.monotonicMs(), revision: this.#revision, bytes: this.#unsampledBytes });
    this.#unsampledBytes = 0;
  }

  /** The newest revision that may be compacted: old enough, or needed to come below the size limit. */
  #target(): number {
    const oldestMs = this.#deps.clock.monotonicMs() - this.#deps.retentionMs;
    const overLimit = this.#totalBytes > this.#deps.maxBytes;
    let bytes = this.#totalBytes;
    let target = 0;
    for (const sample of this.#samples) {
      if (sample.atMs > oldestMs && !(overLimit && bytes > this.#deps.maxBytes * keepShare)) break;
      bytes -= sample.bytes;
      target = sample.revision;
    }
    return target;
  }

  #start(): void {
    if (this.#running || this.#closed) return;
    const target = this.#target();
    if (target <= 1) return;
    this.#running = true;
    this.compact(target)
      .catch((error: unknown) => {
        if (!this.#closed) this.#deps.logger.warn('compaction failed, it will be tried again', { err: error, revision: target });
      })
      .finally(() => {
        this.#running = false;
      });
  }

  #forget(revision: number): void {
    while (this.#samples.length > 0 && (this.#samples[0]?.revision ?? 0) <= revision) {
      this.#totalBytes -= this.#samples.shift()?.bytes ?? 0;
    }
  }
}
