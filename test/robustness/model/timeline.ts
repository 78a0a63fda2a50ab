/**
 * The order of everything that was written, from the watch that saw it all, and the time in which each revision must have been
 * committed. A revision is the last one at or before it in this order.
 */
import { type EventType, type History, matches, type Seen, type Selector } from './history.ts';

export interface Change {
  readonly type: EventType;
  readonly revision: number;
  readonly name: string;
  readonly before: Seen | undefined;
  /** Undefined when the object was deleted. */
  readonly after: Seen | undefined;
}

/** One version of an object, or its absence, and the revisions at which it was the current one. */
export interface Period {
  readonly from: number;
  readonly to: number;
  readonly seen: Seen | undefined;
}

const never: readonly Period[] = [{ from: 0, to: Number.POSITIVE_INFINITY, seen: undefined }];

export class Timeline {
  readonly changes: readonly Change[];
  /** What is wrong with the order itself. */
  readonly problems: readonly string[];
  readonly #periods = new Map<string, Period[]>();
  readonly #names: readonly string[];
  readonly #begin: number;
  /** By position in `changes`: it was not committed before, and not after. */
  readonly #notBeforeMs: number[];
  readonly #notAfterMs: number[];

  constructor(history: History) {
    const { changes, problems } = readChanges(history);
    this.changes = changes;
    this.problems = problems;
    this.#begin = history.begin;
    this.#notBeforeMs = changes.map(() => Number.NEGATIVE_INFINITY);
    this.#notAfterMs = changes.map(() => Number.POSITIVE_INFINITY);
    for (const { name, revision, after } of changes) {
      const periods = this.#periods.get(name) ?? [...never];
      const last = periods.pop();
      if (last !== undefined) periods.push({ ...last, to: revision - 1 });
      periods.push({ from: revision, to: Number.POSITIVE_INFINITY, seen: after });
      this.#periods.set(name, periods);
    }
    this.#names = [...this.#periods.keys()].sort();
  }

  at(revision: number): Change | undefined {
    const change = this.changes[this.#position(revision)];
    return change?.revision === revision ? change : undefined;
  }

  /** Versions of one object, oldest first, that were current at some revision of a range. */
  periods(name: string, from: number, to: number): readonly Period[] {
    const all = this.#periods.get(name) ?? never;
    const found: Period[] = [];
    for (let i = lastWhere(all, (period) => period.from <= from); i < all.length; i++) {
      const period = all[i];
      if (period === undefined || period.from > to) break;
      found.push(period);
    }
    return found;
  }

  /** What matched at a revision, by name. */
  snapshot(revision: number, selector: Selector): ReadonlyMap<string, Seen> {
    const found = new Map<string, Seen>();
    for (const name of this.#names) {
      const seen = this.periods(name, revision, revision)[0]?.seen;
      if (seen !== undefined && matches(seen.content, selector)) found.set(name, seen);
    }
    return found;
  }

  /** Something that began at `startMs` and ended at `endMs` wrote this revision. */
  writtenBetween(revision: number, startMs: number, endMs: number): void {
    const at = this.#position(revision);
    this.#notBeforeMs[at] = Math.max(this.#notBeforeMs[at] ?? startMs, startMs);
    this.#notAfterMs[at] = Math.min(this.#notAfterMs[at] ?? endMs, endMs);
  }

  /** Somebody knew this revision at that moment, so that it and all before it were committed. */
  knownAt(revision: number, atMs: number): void {
    const at = this.#position(revision);
    if (at >= 0) this.#notAfterMs[at] = Math.min(this.#notAfterMs[at] ?? atMs, atMs);
  }

  /** Makes the times consistent with the order; answers revisions that would have been committed before they were asked for. */
  settle(): string[] {
    const count = this.changes.length;
    for (let i = 1; i < count; i++) this.#notBeforeMs[i] = Math.max(this.#notBeforeMs[i] ?? 0, this.#notBeforeMs[i - 1] ?? 0);
    for (let i = count - 2; i >= 0; i--) this.#notAfterMs[i] = Math.min(this.#notAfterMs[i] ?? 0, this.#notAfterMs[i + 1] ?? 0);
    return this.changes.flatMap(({ revision }, i) => {
      const [from = 0, to = 0] = [this.#notBeforeMs[i], this.#notAfterMs[i]];
      return from <= to ? [] : [`revision ${revision} was known, or followed, at ${to} ms, but requested after ${from} ms`];
    });
  }

  /** The newest revision that was surely committed at a moment. Needs `settle`. */
  committedBy(atMs: number): number {
    return this.changes[lastWhere(this.#notAfterMs, (time) => time < atMs)]?.revision ?? this.#begin;
  }

  /** The newest revision that can have been committed at a moment. Needs `settle`. */
  possibleAt(atMs: number): number {
    const next = this.changes[lastWhere(this.#notBeforeMs, (time) => time <= atMs) + 1];
    return next === undefined ? Number.POSITIVE_INFINITY : next.revision - 1;
  }

  /** Events that a watch with this selector sees of the revisions behind `from`, up to `to`. */
  eventsBehind(from: number, to: number, selector: Selector): { type: EventType; seen: Seen }[] {
    const events: { type: EventType; seen: Seen }[] = [];
    for (let i = this.#position(from) + 1; i < this.changes.length; i++) {
      const change = this.changes[i];
      if (change === undefined || change.revision > to) break;
      const { before, after, revision } = change;
      const matched = before !== undefined && matches(before.content, selector);
      if (after !== undefined && matches(after.content, selector)) events.push({ type: matched ? 'MODIFIED' : 'ADDED', seen: after });
      else if (matched) events.push({ type: 'DELETED', seen: { ...before, version: revision } });
    }
    return events;
  }

  /** Position of the last change at or before a revision; -1 before the first. */
  #position(revision: number): number {
    return lastWhere(this.changes, (change) => change.revision <= revision);
  }
}

/** Position of the last item for which `condition` holds, where it holds for the first items only; -1 for none. */
function lastWhere<T>(items: readonly T[], condition: (item: T) => boolean): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const item = items[middle];
    if (item !== undefined && condition(item)) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** The events of the first watch, checked: revisions ascend, and every event fits to the state before it. */
function readChanges(history: History): { changes: Change[]; problems: string[] } {
  const changes: Change[] = [];
  const problems: string[] = [];
  const current = new Map<string, Seen>();
  let last = history.begin;
  for (const { type, version, seen } of history.watches[0]?.events ?? []) {
    if (type === 'BOOKMARK' || seen === undefined) continue;
    if (version <= last) problems.push(`revision ${version} (${type} ${seen.name}) follows ${last}`);
    last = version;
    const before = current.get(seen.name);
    const fits =
      type === 'ADDED'
        ? before === undefined
        : before !== undefined && before.uid === seen.uid && (type === 'MODIFIED' || before.digest === seen.digest);
    if (!fits) problems.push(`revision ${version}: ${type} ${seen.name} does not fit to ${describe(before)}`);
    const after = type === 'DELETED' ? undefined : seen;
    if (after === undefined) current.delete(seen.name);
    else current.set(seen.name, after);
    changes.push({ type, revision: version, name: seen.name, before, after });
  }
  changes.sort((a, b) => a.revision - b.revision);
  return { changes, problems };
}

export function describe(seen: Seen | undefined): string {
  return seen === undefined ? 'no object' : `${seen.name} at ${seen.version} ${JSON.stringify(seen.content)}`;
}
