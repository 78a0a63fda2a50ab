import type { Change } from './change.ts';
import type { ObjectVersion } from './object-version.ts';
import { SortedObjects } from './sorted-objects.ts';

/**
 * The recent changes of one resource, oldest first: what a watch replays and what turns the current state back into an older
 * one. Knows everything behind `start`; older questions go to the backend.
 */
export class History {
  #changes: Change[] = [];
  /** Trimmed changes stay in front of the array until there are many of them. */
  #first = 0;
  #start: number;
  #overlays: Overlay[] = [];

  constructor(start: number) {
    this.#start = start;
  }

  /** Every change with a revision above this one is here. */
  get start(): number {
    return this.#start;
  }

  add(change: Change): void {
    this.#changes.push(change);
  }

  /** Forgets changes up to `revision`. */
  trim(revision: number): void {
    if (revision <= this.#start) return;
    this.#start = revision;
    this.#first = this.#indexAfter(revision);
    this.#overlays = this.#overlays.filter((overlay) => overlay.revision >= revision);
    if (this.#first < 1024 && this.#first < this.#changes.length) return;
    const removed = this.#first;
    this.#changes = this.#changes.slice(removed);
    this.#first = 0;
    for (const overlay of this.#overlays) overlay.next -= removed;
  }

  /** Changes behind `revision`, oldest first. */
  after(revision: number): readonly Change[] {
    return this.#changes.slice(this.#indexAfter(revision));
  }

  /**
   * What differs at `revision` from the current state. Pages of one list ask for the same revision again and again, so the last
   * few answers are kept and only extended.
   */
  undoTo(revision: number): Undo {
    let overlay = this.#overlays.find((known) => known.revision === revision);
    if (overlay === undefined) {
      overlay = { revision, next: this.#indexAfter(revision), states: new Map(), existing: new SortedObjects() };
      this.#overlays.push(overlay);
      if (this.#overlays.length > 8) this.#overlays.shift();
    }
    for (; overlay.next < this.#changes.length; overlay.next++) {
      const change = this.#changes[overlay.next];
      if (change === undefined || overlay.states.has(change.path)) continue;
      overlay.states.set(change.path, change.before);
      if (change.before !== undefined) overlay.existing.set(change.before);
    }
    return overlay;
  }

  #indexAfter(revision: number): number {
    let low = this.#first;
    let high = this.#changes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#changes[middle]?.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The difference between an older state and the current one. */
export interface Undo {
  /** Every path that changed since → its state then; undefined when it did not exist. */
  readonly states: ReadonlyMap<string, ObjectVersion | undefined>;
  /** Those states that did exist, in order. */
  readonly existing: SortedObjects;
}

interface Overlay extends Undo {
  readonly revision: number;
  readonly states: Map<string, ObjectVersion | undefined>;
  /** Index of the first change that is not in `states` yet. */
  next: number;
}

/**
 * Bounds what the histories of all resources keep in memory together: the oldest changes of the process go first, whoever
 * they belong to.
 */
export class HistoryBudget {
  readonly #maxBytes: number;
  #bytes = 0;
  /** The changes of all resources in order, and the history of each: two arrays, because an object for each would cost more. */
  #changes: Change[] = [];
  #histories: History[] = [];
  #first = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(history: History, change: Change): void {
    history.add(change);
    this.#changes.push(change);
    this.#histories.push(history);
    this.#bytes += change.memoryBytes;
    while (this.#bytes > this.#maxBytes) this.#dropOldest();
  }

  /** Forgets everything up to `revision`. */
  trim(revision: number): void {
    while ((this.#changes[this.#first]?.revision ?? Number.POSITIVE_INFINITY) <= revision) this.#dropOldest();
  }

  #dropOldest(): void {
    const oldest = this.#changes[this.#first];
    if (oldest === undefined) return;
    this.#histories[this.#first]?.trim(oldest.revision);
    this.#first++;
    this.#bytes -= oldest.memoryBytes;
    if (this.#first >= 4096) {
      this.#changes = this.#changes.slice(this.#first);
      this.#histories = this.#histories.slice(this.#first);
      this.#first = 0;
    }
  }
}
