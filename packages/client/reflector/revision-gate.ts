/** Lets callers wait until a stream of revisions has reached one. Revisions only grow. */
interface Waiter {
  readonly revision: number;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

export class RevisionGate {
  #revision: string | undefined;
  readonly #waiters = new Set<Waiter>();
  #closedBy: { readonly reason: unknown } | undefined;

  get revision(): string | undefined {
    return this.#revision;
  }

  advance(revision: string): void {
    this.#revision = revision;
    const reached = Number(revision);
    for (const waiter of this.#waiters) if (waiter.revision <= reached) waiter.resolve();
  }

  /** Resolves at once when the revision was reached already; rejects when the signal is aborted or the gate closed. */
  whenAtLeast(revision: string, signal?: AbortSignal): Promise<void> {
    const wanted = Number(revision);
    if (Number.isNaN(wanted)) return Promise.reject(new Error(`not a resource version: ${JSON.stringify(revision)}`));
    if (this.#revision !== undefined && Number(this.#revision) >= wanted) return Promise.resolve();
    if (this.#closedBy) return Promise.reject(this.#closedBy.reason);
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const finish = () => {
        this.#waiters.delete(waiter);
        signal?.removeEventListener('abort', onAbort);
      };
      const waiter: Waiter = {
        revision: wanted,
        resolve: () => {
          finish();
          resolve();
        },
        reject: (reason) => {
          finish();
          reject(reason);
        },
      };
      const onAbort = () => waiter.reject(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** Rejects everybody who still waits. */
  close(reason: unknown): void {
    this.#closedBy = { reason };
    for (const waiter of this.#waiters) waiter.reject(reason);
  }
}
