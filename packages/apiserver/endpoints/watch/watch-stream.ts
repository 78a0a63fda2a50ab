import type { Status, StatusError } from '@coffer/api/errors/status-error';
import { resourceExpired } from '@coffer/api/errors/status-error';
import type { StreamSink } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import type { StoreEvent, StoreWatchOptions, WatchSink } from '@coffer/storage/store/store';
import type { EventEncoder } from './event-encoder.ts';

/** One open watch: where it starts and what it sends besides events. */
export interface WatchPlan {
  readonly options: StoreWatchOptions;
  /** Events up to this revision are left out (a watch from a revision that is still to come). */
  readonly skipUpTo: number;
  readonly bookmarks: boolean;
  /** The bookmark that ends the initial events is wanted. */
  readonly marksInitialEnd: boolean;
  readonly timeoutMs: number;
  /** Revision that the client asked to start from, for the text of the 410. */
  readonly requestedRevision: number;
}

export interface WatchStreamDeps {
  readonly clock: Clock;
  readonly encoder: EventEncoder;
  readonly open: (options: StoreWatchOptions, sink: WatchSink) => () => void;
  readonly describeError: (error: unknown) => StatusError;
  readonly onEvents: (count: number) => void;
  readonly random: () => number;
}

const bookmarkPeriodMs = 60_000;
const bookmarkBeforeEndMs = 2_000;
/** Above this the events wait here, as references to bytes that all watches share, instead of in the socket's buffer. */
const maxSocketBytes = 256 * 1024;
/** A reader this far behind the present is too slow: the watch ends with 410. The initial state does not count. */
const maxBacklogBytes = 4 * 1024 * 1024;

/**
 * Sends the events of one watch in order until the client goes, the time is over or the client falls too far behind. Events are
 * written in the turn in which the store delivers them, unless the client is slow.
 */
export class WatchStream implements WatchSink {
  readonly #plan: WatchPlan;
  readonly #sink: StreamSink;
  readonly #deps: WatchStreamDeps;
  readonly #done: Promise<void>;
  #finish: () => void = () => {};
  #queue: (StoreEvent | Uint8Array)[] = [];
  #backlogBytes = 0;
  /** Set while the queue is being handed to the socket. */
  #pumped: Promise<void> | undefined;
  #initial: boolean;
  #seenRevision: number;
  #ended = false;
  /** The backlog was given up: what is still queued is not delivered. */
  #overflowed = false;
  readonly #cancellers: (() => void)[] = [];

  constructor(plan: WatchPlan, sink: StreamSink, deps: WatchStreamDeps) {
    this.#plan = plan;
    this.#sink = sink;
    this.#deps = deps;
    this.#initial = plan.options.initialState === true;
    this.#seenRevision = plan.options.afterRevision;
    this.#done = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  /** Resolves when the watch has ended, for whatever reason; never rejects. */
  async run(): Promise<void> {
    const { clock } = this.#deps;
    this.#sink.flush();
    const onGone = () => this.#end();
    if (this.#sink.signal.aborted) return;
    this.#sink.signal.addEventListener('abort', onGone, { once: true });
    this.#cancellers.push(() => this.#sink.signal.removeEventListener('abort', onGone));
    this.#cancellers.push(clock.setTimer(this.#plan.timeoutMs, () => this.#end()));
    if (this.#plan.bookmarks) this.#scheduleBookmark(clock.monotonicMs() + this.#plan.timeoutMs);
    try {
      const close = this.#deps.open(this.#plan.options, this);
      if (this.#ended) close();
      else this.#cancellers.push(close);
    } catch (error) {
      this.#fail(this.#deps.describeError(error).status);
    }
    await this.#done;
    // What is queued belongs to the client: a watch that ends because its time is over still delivers it.
    while (this.#pumped !== undefined && !this.#overflowed && !this.#sink.signal.aborted) await this.#sink.drained().catch(() => {});
  }

  events(events: readonly StoreEvent[]): void {
    if (this.#ended) return;
    for (const event of events) {
      if (event.object.revision <= this.#plan.skipUpTo && !this.#initial) continue;
      this.#send(event);
    }
    const last = events[events.length - 1];
    if (last !== undefined && !this.#initial) this.#advance(last.object.revision);
    this.#deps.onEvents(events.length);
  }

  initialDone(revision: number): void {
    this.#initial = false;
    this.#advance(revision);
    if (this.#plan.marksInitialEnd) this.#send(this.#deps.encoder.bookmark(revision, true));
  }

  /** The store goes on with a large initial state when the client has taken what it has. */
  drained(): Promise<void> | undefined {
    if (this.#pumped !== undefined) return this.#pumped;
    return this.#sink.bufferedBytes < maxSocketBytes || this.#ended ? undefined : this.#sink.drained().catch(() => {});
  }

  progress(revision: number): void {
    this.#advance(revision);
  }

  ended(error: Error): void {
    this.#fail(this.#deps.describeError(error).status);
  }

  #advance(revision: number): void {
    if (revision > this.#seenRevision) this.#seenRevision = revision;
  }

  #send(item: StoreEvent | Uint8Array): void {
    if (this.#pumped === undefined && this.#sink.bufferedBytes < maxSocketBytes) {
      this.#sink.write(this.#encode(item));
      return;
    }
    this.#queue.push(item);
    if (!this.#initial) {
      this.#backlogBytes += item instanceof Uint8Array ? item.byteLength : item.object.byteLength(true);
      if (this.#backlogBytes > maxBacklogBytes) {
        this.#queue = [];
        this.#overflowed = true;
        this.#fail(resourceExpired('the watch was ended because its reader is too slow').status);
        return;
      }
    }
    this.#pumped ??= this.#pump();
  }

  /** Hands the queue to the socket as fast as the client takes it. */
  async #pump(): Promise<void> {
    try {
      while (this.#queue.length > 0 && !this.#sink.signal.aborted) {
        const batch = this.#queue;
        this.#queue = [];
        for (const item of batch) {
          if (this.#sink.bufferedBytes >= maxSocketBytes) await this.#sink.drained();
          if (this.#overflowed) return;
          this.#sink.write(this.#encode(item));
          if (this.#backlogBytes > 0) this.#backlogBytes -= Math.min(this.#backlogBytes, sizeOf(item));
        }
      }
    } catch {
      // The client has gone; the signal says so to everybody else.
      this.#end();
    } finally {
      this.#pumped = undefined;
    }
  }

  #encode(item: StoreEvent | Uint8Array): Uint8Array {
    return item instanceof Uint8Array ? item : this.#deps.encoder.encode(item);
  }

  #scheduleBookmark(deadlineMs: number): void {
    const { clock, random } = this.#deps;
    const untilEnd = deadlineMs - clock.monotonicMs() - bookmarkBeforeEndMs;
    if (untilEnd <= 0) return;
    const delay = Math.min(bookmarkPeriodMs * (0.9 + 0.2 * random()), untilEnd);
    const cancel = clock.setTimer(delay, () => {
      this.#cancellers.splice(this.#cancellers.indexOf(cancel), 1);
      if (this.#ended) return;
      if (!this.#initial && this.#seenRevision > 0) this.#send(this.#deps.encoder.bookmark(this.#seenRevision, false));
      this.#scheduleBookmark(deadlineMs);
    });
    this.#cancellers.push(cancel);
  }

  #fail(status: Status): void {
    if (this.#ended) return;
    this.#sink.write(this.#deps.encoder.error(status));
    this.#end();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const cancel of this.#cancellers) cancel();
    this.#finish();
  }
}

function sizeOf(item: StoreEvent | Uint8Array): number {
  return item instanceof Uint8Array ? item.byteLength : item.object.byteLength(true);
}
