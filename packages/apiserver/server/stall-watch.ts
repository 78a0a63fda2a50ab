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

/**
 * Ends answers whose reader has stopped reading: bytes are waiting and none was taken for `timeoutMs`. One timer for all of
 * them; precision is a quarter of the time-out.
 */
export class StallWatch {
  readonly #timeoutMs: number;
  readonly #entries = new Set<Entry>();
  #timer: NodeJS.Timeout | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Starts to watch; the returned function ends it. */
  watch(candidate: StallCandidate): () => void {
    const entry: Entry = { candidate, takenBytes: candidate.takenBytes, sinceMs: performance.now() };
    this.#entries.add(entry);
    this.#timer ??= setInterval(() => this.#check(), this.#timeoutMs / 4).unref();
    return () => this.#entries.delete(entry);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
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
        this.#entries.delete(entry);
        entry.candidate.destroy();
      }
    }
  }
}
