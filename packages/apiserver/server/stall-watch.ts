/** What the watch needs to know of an answer that is being read. */
export interface StallCandidate {
  readonly bufferedBytes: number;
  readonly takenBytes: number;
  destroy(): void;
}

interface Entry {
  readonly candidate: StallCandidate;
  takenBytes: number;
  sinceMs: number;
}

/** Who takes nothing for this long may be ended when too much waits. */
const tightTimeoutMs = 1_000;

/**
 * Ends answers whose reader has stopped reading: bytes are waiting and none was taken for `timeoutMs`. One timer for all of
 * them; precision is a quarter of the time-out. While more than `maxTotalBytes` wait altogether, answers of which nothing was taken for a
 * second are ended, the oldest first, until it is less: many stalled readers cost no more memory than that.
 */
export class StallWatch {
  readonly #timeoutMs: number;
  readonly #maxTotalBytes: number;
  readonly #entries = new Set<Entry>();
  #timer: NodeJS.Timeout | undefined;
  #tightTimer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number, maxTotalBytes: number) {
    this.#timeoutMs = timeoutMs;
    this.#maxTotalBytes = maxTotalBytes;
  }

  /** Starts to watch; the returned function ends it. */
  watch(candidate: StallCandidate): () => void {
    const entry: Entry = { candidate, takenBytes: candidate.takenBytes, sinceMs: performance.now() };
    this.#entries.add(entry);
    this.#timer ??= setInterval(() => this.#check(), this.#timeoutMs / 4).unref();
    // What a stream has waiting is bounded; whole answers are not.
    if (candidate.bufferedBytes > 0) this.#relieve();
    return () => this.#entries.delete(entry);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#tightTimer);
    this.#timer = undefined;
    this.#tightTimer = undefined;
    this.#entries.clear();
  }

  #check(): void {
    const nowMs = performance.now();
    for (const entry of this.#entries) {
      const taken = entry.candidate.takenBytes;
      if (entry.candidate.bufferedBytes === 0 || taken !== entry.takenBytes) {
        entry.takenBytes = taken;
        entry.sinceMs = nowMs;
      } else if (nowMs - entry.sinceMs >= this.#timeoutMs) {
        this.#end(entry);
      }
    }
  }

  /** When too much waits: notes what everybody has taken, and looks again a little later. */
  #relieve(): void {
    if (this.#tightTimer !== undefined || this.#waitingBytes() <= this.#maxTotalBytes) return;
    const takenBefore = new Map<Entry, number>();
    for (const entry of this.#entries) if (entry.candidate.bufferedBytes > 0) takenBefore.set(entry, entry.candidate.takenBytes);
    this.#tightTimer = setTimeout(() => {
      this.#tightTimer = undefined;
      this.#endStalled(takenBefore);
      this.#relieve();
    }, tightTimeoutMs).unref();
  }

  #endStalled(takenBefore: ReadonlyMap<Entry, number>): void {
    let total = this.#waitingBytes();
    for (const [entry, taken] of takenBefore) {
      if (total <= this.#maxTotalBytes) return;
      const { bufferedBytes, takenBytes } = entry.candidate;
      if (!this.#entries.has(entry) || bufferedBytes === 0 || takenBytes !== taken) continue;
      total -= bufferedBytes;
      this.#end(entry);
    }
  }

  #waitingBytes(): number {
    let total = 0;
    for (const { candidate } of this.#entries) total += candidate.bufferedBytes;
    return total;
  }

  #end(entry: Entry): void {
    this.#entries.delete(entry);
    entry.candidate.destroy();
  }
}
