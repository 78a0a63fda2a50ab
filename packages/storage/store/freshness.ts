import type { Clock } from '@coffer/base/time/clock';
import type { Backend } from '../backend/backend.ts';
import { StorageError } from '../errors.ts';

/** Lets readers wait until the watch caches have reached a revision. */
export interface FreshnessDeps {
  readonly backend: Backend;
  readonly clock: Clock;
  /** The caches are never behind what has been acknowledged: reads of the latest state need not ask. */
  readonly local: boolean;
}

const maxWaitMs = 3000;
const progressEveryMs = 25;

export class Freshness {
  readonly #deps: FreshnessDeps;
  #revision: number;
  readonly #waiting = new Set<{ readonly revision: number; resolve(): void; reject(error: Error): void }>();
  /** The question to the backend that has not been sent yet; everyone who asks before it is shares its answer. */
  #nextQuestion: Promise<number> | undefined;
  #lastQuestion: Promise<unknown> = Promise.resolve();

  constructor(deps: FreshnessDeps, revision: number) {
    this.#deps = deps;
    this.#revision = revision;
  }

  get revision(): number {
    return this.#revision;
  }

  /** The caches have everything up to `revision` now. */
  reached(revision: number): void {
    if (revision <= this.#revision) return;
    this.#revision = revision;
    for (const waiter of this.#waiting) {
      if (waiter.revision > revision) continue;
      this.#waiting.delete(waiter);
      waiter.resolve();
    }
  }

  /** Undefined when it is so already. */
  when(revision: number | 'latest'): Promise<void> | undefined {
    if (revision === 'latest') return this.#deps.local ? undefined : this.#latest();
    return revision <= this.#revision ? undefined : this.#wait(revision);
  }

  /** Fails everyone who waits. */
  close(): void {
    for (const waiter of this.#waiting) waiter.reject(new StorageError('closed', 'the store is closed'));
    this.#waiting.clear();
  }

  async #latest(): Promise<void> {
    const revision = await this.#currentRevision();
    if (revision > this.#revision) await this.#wait(revision);
  }

  /** Asks the backend, after the question that is on its way: an answer to an older question may be too old for the caller. */
  #currentRevision(): Promise<number> {
    if (this.#nextQuestion === undefined) {
      const question = this.#lastQuestion.then(() => {
        this.#nextQuestion = undefined;
        return this.#deps.backend.currentRevision();
      });
      this.#nextQuestion = question;
      this.#lastQuestion = question.catch(() => undefined);
    }
    return this.#nextQuestion;
  }

  async #wait(revision: number): Promise<void> {
    const { clock, backend } = this.#deps;
    const deadlineMs = clock.monotonicMs() + maxWaitMs;
    let cancel = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        const waiter = { revision, resolve, reject };
        this.#waiting.add(waiter);
        // Events on their way arrive within milliseconds; only when there are none does the backend have to be asked.
        const waitMs = backend.requestProgress === undefined ? maxWaitMs : progressEveryMs;
        const tick = () => {
          if (clock.monotonicMs() < deadlineMs) {
            backend.requestProgress?.();
            cancel = clock.setTimer(waitMs, tick);
            return;
          }
          this.#waiting.delete(waiter);
          const current = this.#revision;
          reject(
            new StorageError('future-revision', `revision ${revision} is newer than the current one, ${current}`, { revision: current }),
          );
        };
        cancel = clock.setTimer(waitMs, tick);
      });
    } finally {
      cancel();
    }
  }
}
