/**
 * Whether a history is one that a single, linearizable store can have: there is one order of all writes, each did what the model says
 * to the state before it, at a moment between its request and its answer; each read, refusal and list shows one state of that order,
 * no older than what was known when it was asked for; and each watch shows every change behind its start once, in order.
 */
import type { DeleteCollection, Get, History, List, Operation, Seen, Watch, WatchEvent, Write } from './history.ts';
import { type Change, describe, Timeline } from './timeline.ts';
import { outcomeOf, sameContent } from './write-model.ts';

/** What is wrong; empty when nothing is. */
export function checkHistory(history: History): string[] {
  const timeline = new Timeline(history);
  const problems = [...timeline.problems];
  const writers = findWriters(history, timeline, problems);
  placeInTime(history, timeline, writers);
  problems.push(...timeline.settle());
  const placed = new Map([...writers].flatMap(([revision, all]) => all.map((operation): [Operation, number] => [operation, revision])));
  for (const operation of history.operations) {
    const problem = checkOperation(operation, timeline, placed);
    if (problem !== undefined) problems.push(`${problem}\n    ${JSON.stringify({ ...operation, items: undefined, pages: undefined })}`);
  }
  for (const watch of history.watches) {
    const problem = checkWatch(watch, timeline, history);
    if (problem !== undefined)
      problems.push(`watch of client ${watch.client} from ${watch.from} ${JSON.stringify(watch.selector)}: ${problem}`);
  }
  return problems;
}

/** Which requests can have made which revision: one, but for the beginning of a deletion and for what a collection's deletion did. */
type Writers = ReadonlyMap<number, readonly (Write | DeleteCollection)[]>;

function findWriters(history: History, timeline: Timeline, problems: string[]): Writers {
  const writers = new Map<number, (Write | DeleteCollection)[]>();
  const deletions = new Map<string, Change>();
  for (const change of timeline.changes) if (change.type === 'DELETED' && change.before) deletions.set(change.before.uid, change);
  for (const write of history.operations) {
    if (write.kind !== 'write' || write.status >= 300) continue;
    const change = changeOf(write, timeline, deletions);
    if (change === undefined) continue;
    const others = writers.get(change.revision);
    if (others === undefined) writers.set(change.revision, [write]);
    else if (beginsDeletion(change)) others.push(write);
    else problems.push(`revision ${change.revision} was answered to several writes:\n    ${JSON.stringify([...others, write])}`);
  }
  const collections = history.operations.filter((operation) => operation.kind === 'delete-collection');
  for (const change of timeline.changes) {
    const { revision, name, type, before, after } = change;
    const direct = writers.get(revision) ?? [];
    if (!history.names.has(name) || (direct.length > 0 && !beginsDeletion(change))) continue;
    const mayBe = type === 'DELETED' ? before?.content.finalizers.length === 0 : beginsDeletion(change);
    const listed = mayBe ? collections.filter(({ items }) => items.some((item) => item.name === name)) : [];
    if (direct.length + listed.length > 0) writers.set(revision, [...direct, ...listed]);
    else problems.push(`revision ${revision} (${type} ${describe(after ?? before)}) was written by nobody`);
  }
  return writers;
}

/** Only a mark was set: everyone who deletes the object gets the same answer. */
function beginsDeletion({ before, after }: Change): boolean {
  if (before === undefined || after === undefined || before.content.deleting) return false;
  return sameContent({ ...before.content, deleting: true }, after.content);
}

/** The change that an answer claims, when the model agrees that there it made one. */
function changeOf(write: Write, timeline: Timeline, deletions: ReadonlyMap<string, Change>): Change | undefined {
  const { seen, request } = write;
  const uid = write.deletedUid ?? seen?.uid;
  const deletion = uid === undefined ? undefined : deletions.get(uid);
  if (deletion !== undefined && deletes(write, deletion)) return deletion;
  const change = seen === undefined ? undefined : timeline.at(seen.version);
  if (change?.after === undefined || seen === undefined || change.name !== request.name) return undefined;
  if (change.after.digest !== seen.digest) return undefined;
  const outcome = outcomeOf(request, change.before);
  return outcome.what === 'written' && sameContent(outcome.content, change.after.content) ? change : undefined;
}

/** Whether an answer claims a deletion: of that object, or of its last finalizer, which is shown in the version before it. */
function deletes({ request, seen, deletedUid }: Write, { before }: Change): boolean {
  if (before === undefined || outcomeOf(request, before).what !== 'deleted') return false;
  if (request.verb === 'delete') return deletedUid === before.uid;
  return seen?.version === before.version && seen.content.finalizers.length === 0;
}

function placeInTime(history: History, timeline: Timeline, writers: Writers): void {
  for (const [revision, all] of writers) {
    timeline.writtenBetween(revision, Math.min(...all.map(({ startMs }) => startMs)), Math.max(...all.map(({ endMs }) => endMs)));
  }
  for (const operation of history.operations) {
    if (operation.kind === 'list') for (const { revision } of operation.pages ?? []) timeline.knownAt(revision, operation.endMs);
    else if (operation.kind !== 'delete-collection' && operation.seen) timeline.knownAt(operation.seen.version, operation.endMs);
  }
  for (const { events } of history.watches) for (const { version, atMs } of events) timeline.knownAt(version, atMs);
}

function checkOperation(operation: Operation, timeline: Timeline, placed: ReadonlyMap<Operation, number>): string | undefined {
  switch (operation.kind) {
    case 'write':
      return checkWrite(operation, timeline, placed);
    case 'get':
      return checkGet(operation, timeline);
    case 'list':
      return checkList(operation, timeline);
    case 'delete-collection':
      return checkDeleteCollection(operation, timeline);
  }
}

/** A write that changed something has its place in time; one that did not shows a state in which it changes nothing. */
function checkWrite(write: Write, timeline: Timeline, placed: ReadonlyMap<Operation, number>): string | undefined {
  const { request, seen, status } = write;
  const revision = placed.get(write);
  if (revision !== undefined && revision > timeline.committedBy(write.startMs) && revision <= timeline.possibleAt(write.endMs))
    return undefined;
  const allowed = someState(write, timeline, request.name, (state) => {
    const outcome = outcomeOf(request, state);
    if (status >= 300) return outcome.what === 'refused' && outcome.status === status;
    if (outcome.what !== 'unchanged') return false;
    return state === undefined || (seen?.version === state.version && seen.digest === state.digest);
  });
  if (allowed) return undefined;
  return status < 300 ? `no state makes this write answer ${describe(seen)}` : `no state makes this write fail with ${status}`;
}

/** Whether the object was, at some revision that the request can have met, as `fits` wants it. */
function someState(
  operation: { readonly startMs: number; readonly endMs: number },
  timeline: Timeline,
  name: string,
  fits: (state: Seen | undefined) => boolean,
  atLeast = timeline.committedBy(operation.startMs),
): boolean {
  return timeline.periods(name, atLeast, timeline.possibleAt(operation.endMs)).some(({ seen }) => fits(seen));
}

function checkGet(get: Get, timeline: Timeline): string | undefined {
  const { status, seen, name } = get;
  if (status !== 200 && status !== 404) return `unexpected status ${status}`;
  const fits = (state: Seen | undefined): boolean => state?.version === seen?.version && state?.digest === seen?.digest;
  return someState(get, timeline, name, fits, get.atLeast) ? undefined : `shows ${describe(seen)}, which was not current`;
}

function checkList(list: List, timeline: Timeline): string | undefined {
  const { pages, version, match, limit, selector } = list;
  if (pages === undefined) return undefined;
  const revision = pages[0]?.revision ?? 0;
  if (pages.some((page) => page.revision !== revision)) return `pages at ${pages.map((page) => page.revision)}`;
  if (match === 'Exact' ? revision !== version : revision < (version ?? timeline.committedBy(list.startMs))) {
    return `revision ${revision} is not what was asked for (${version ?? timeline.committedBy(list.startMs)})`;
  }
  if ((timeline.changes.findLast((change) => change.revision <= revision)?.revision ?? 0) > timeline.possibleAt(list.endMs)) {
    return `revision ${revision} is from the future`;
  }
  const expected = [...timeline.snapshot(revision, selector).values()];
  const found = pages.flatMap(({ items }) => items);
  const difference = firstDifference(expected, found);
  if (difference !== undefined) return `the list at ${revision} is no snapshot: ${difference}`;
  let left = expected.length;
  for (const [i, page] of pages.entries()) {
    left -= page.items.length;
    if (limit !== undefined && version !== 0 && page.items.length > limit)
      return `a page of ${page.items.length} where ${limit} was the limit`;
    if (page.remaining !== undefined && page.remaining !== left) return `page ${i} says that ${page.remaining} remain, it is ${left}`;
  }
  return undefined;
}

/** Every listed object was deleted, or its deletion began, before the answer. */
function checkDeleteCollection(operation: DeleteCollection, timeline: Timeline): string | undefined {
  for (const { name, uid } of operation.items) {
    const gone = someState(operation, timeline, name, (state) => state === undefined || state.uid !== uid || state.content.deleting);
    if (!gone) return `${name} was listed and is still there`;
  }
  return undefined;
}

function checkWatch(watch: Watch, timeline: Timeline, history: History): string | undefined {
  const { from, selector } = watch;
  const events = watch.events.filter(({ type }) => type !== 'BOOKMARK');
  const last = timeline.changes.at(-1)?.revision ?? history.begin;
  const end = watch.untilEnd ? last : (watch.events.at(-1)?.version ?? 0);
  let newest = typeof from === 'number' ? from : 0;
  for (const { version } of watch.events.slice(watch.events.findIndex(({ endsInitial }) => endsInitial === true) + 1)) {
    if (version < newest && (typeof from === 'number' || from === 'initial')) return `${version} follows ${newest}`;
    newest = Math.max(newest, version);
  }
  if (typeof from === 'number') return sameEvents(timeline.eventsBehind(from, end, selector), events);
  const first = firstStates(watch, timeline, history.begin);
  if (first.length === 0) return 'the initial events are no state that was current';
  const differences = first.map(({ revision, count }) =>
    sameEvents(timeline.eventsBehind(revision, Math.max(end, revision), selector), events.slice(count)),
  );
  return differences.includes(undefined) ? undefined : differences[0];
}

/** Revisions whose state the initial events of a watch can be, and how many events that are. */
function firstStates(watch: Watch, timeline: Timeline, begin: number): { readonly revision: number; readonly count: number }[] {
  const fresh = watch.from === 'any' ? begin : timeline.committedBy(watch.startMs);
  const endOfInitial = watch.events.findIndex(({ endsInitial }) => endsInitial === true);
  if (watch.from === 'initial') {
    if (endOfInitial < 0) return watch.events.length === 0 ? [{ revision: fresh, count: 0 }] : [];
    const revision = watch.events[endOfInitial]?.version ?? 0;
    const expected = timeline.snapshot(revision, watch.selector);
    return revision >= fresh && isState(watch.events.slice(0, endOfInitial), expected) ? [{ revision, count: endOfInitial }] : [];
  }
  const events = watch.events.filter(({ type }) => type !== 'BOOKMARK');
  const revisions = [fresh, ...timeline.changes.map(({ revision }) => revision).filter((revision) => revision > fresh)];
  return revisions.flatMap((revision) => {
    const expected = timeline.snapshot(revision, watch.selector);
    return isState(events.slice(0, expected.size), expected) ? [{ revision, count: expected.size }] : [];
  });
}

function isState(events: readonly WatchEvent[], expected: ReadonlyMap<string, Seen>): boolean {
  return (
    events.length === expected.size &&
    events.every(({ type, seen }) => {
      const state = seen && expected.get(seen.name);
      return type === 'ADDED' && state !== undefined && state.version === seen?.version && state.digest === seen.digest;
    })
  );
}

function sameEvents(expected: readonly { type: string; seen: Seen }[], found: readonly WatchEvent[]): string | undefined {
  for (const [i, event] of expected.entries()) {
    const other = found[i];
    const shown = `${event.type} ${describe(event.seen)}`;
    if (other?.seen === undefined) return `event ${i} of ${expected.length} is missing: ${shown}`;
    if (other.type !== event.type || other.seen.version !== event.seen.version || other.seen.digest !== event.seen.digest) {
      return `event ${i} is ${other.type} ${describe(other.seen)} instead of ${shown}`;
    }
  }
  const extra = found[expected.length];
  return extra === undefined ? undefined : `one event too many: ${extra.type} ${describe(extra.seen)}`;
}

function firstDifference(expected: readonly Seen[], found: readonly Seen[]): string | undefined {
  for (let i = 0; i < Math.max(expected.length, found.length); i++) {
    const [a, b] = [expected[i], found[i]];
    if (a?.version !== b?.version || a?.digest !== b?.digest) return `${describe(b)} instead of ${describe(a)}`;
  }
  return undefined;
}
