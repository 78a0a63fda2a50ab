/** Histories that no linearizable store can have: a recorded one with one thing changed. The checker must find each. */
import type { Get, History, List, Operation, Page, Seen, Watch, WatchEvent, Write } from './history.ts';

type Damage = (history: History) => History;

export const damages: Readonly<Record<string, Damage>> = {
  'a watch lost an event': (history) => changeWatch(history, (events, i) => events.toSpliced(i, 1)),
  'a watch repeated an event': (history) => changeWatch(history, (events, i) => events.toSpliced(i, 0, ...events.slice(i, i + 1))),
  'a watch swapped two events': (history) =>
    changeWatch(history, (events, i) => events.toSpliced(i, 2, ...events.slice(i, i + 2).reverse())),
  'a watch lost its end': (history) => changeWatch(history, (events) => events.slice(0, -1)),
  'an event shows another version': (history) =>
    changeWatch(history, (events, i) => events.with(i, { ...at(events, i), seen: { ...seenAt(events, i), digest: 'other' } })),
  'a write that was acknowledged is in no watch': (history) => {
    const lost = at(changingWrites(history), 5).seen?.version;
    const without = ({ events, ...rest }: Watch): Watch => ({ ...rest, events: events.filter(({ version }) => version !== lost) });
    return { ...history, watches: history.watches.map(without) };
  },
  'two writes were given one revision': (history) => {
    const [first, second] = changingWrites(history).slice(5);
    if (first?.seen === undefined || second?.seen === undefined) throw new Error('too few writes');
    return replaced(history, second, { ...second, seen: { ...second.seen, version: first.seen.version } });
  },
  'a write says another content than it wrote': (history) => {
    const write = at(changingWrites(history), 5);
    if (write.seen === undefined) throw new Error('no object');
    return replaced(history, write, { ...write, seen: { ...write.seen, digest: 'other' } });
  },
  'a write was acknowledged before it was sent': (history) => {
    const last = at(changingWrites(history), -1);
    return replaced(history, last, { ...last, startMs: last.startMs - 1e6, endMs: last.startMs - 1e6 });
  },
  'a read is stale': (history) => {
    const reads = history.operations.filter((operation) => operation.kind === 'get' && operation.atLeast === undefined && operation.seen);
    for (const read of reads as Get[]) {
      const old = overwrittenBefore(history, read.name, read.startMs);
      if (old !== undefined) return replaced(history, read, { ...read, seen: old });
    }
    throw new Error('no read of an object that was changed before');
  },
  'a read shows the future': (history) => {
    const read = history.operations.find((operation) => operation.kind === 'get' && operation.seen !== undefined) as Get;
    const later = history.operations.findLast((o) => o.kind === 'write' && o.request.name === read.name && o.seen !== undefined) as Write;
    return replaced(history, read, { ...read, ...(later.seen === undefined ? {} : { seen: later.seen }) });
  },
  'a conflict was reported where none can have been': (history) => {
    const write = changingWrites(history).find(({ request }) => request.verb === 'update' && request.version === undefined);
    if (write === undefined) throw new Error('no update');
    const { seen: _, ...rest } = write;
    return replaced(history, write, { ...rest, status: 409 });
  },
  'a list mixes two revisions': (history) =>
    changePages(history, ([page, ...pages]) => {
      const [item, ...items] = page.items;
      const old = item === undefined ? undefined : versionsOf(history, item.name).findLast(({ version }) => version < item.version);
      return old === undefined ? undefined : [{ ...page, items: [old, ...items] }, ...pages];
    }),
  'a list misses an object': (history) =>
    changePages(history, ([page, ...pages]) => (page.items.length > 1 ? [{ ...page, items: page.items.slice(1) }, ...pages] : undefined)),
  'the second page repeats an object of the first': (history) =>
    changePages(history, ([page, next, ...pages]) =>
      next === undefined ? undefined : [page, { ...next, items: [...page.items.slice(-1), ...next.items.slice(1)] }, ...pages],
    ),
  'pages are of two revisions': (history) =>
    changePages(history, ([page, next, ...pages]) =>
      next === undefined ? undefined : [page, { ...next, revision: next.revision + 1 }, ...pages],
    ),
  'a consistent list is stale': (history) => {
    const lists = history.operations.filter((operation) => operation.kind === 'list' && operation.pages !== undefined) as List[];
    const [old] = lists.filter(({ selector, limit }) => Object.keys(selector).length === 0 && limit === undefined);
    const late = lists.findLast(
      ({ selector, version, limit }) => Object.keys(selector).length === 0 && version === undefined && limit === undefined,
    );
    if (old === undefined || late === undefined || old === late) throw new Error('too few lists');
    return replaced(history, late, { ...late, pages: old.pages });
  },
};

function at<T>(items: readonly T[], index: number): T {
  const item = items.at(index);
  if (item === undefined) throw new Error('the history is too short');
  return item;
}

function seenAt(events: readonly WatchEvent[], index: number): Seen {
  const { seen } = at(events, index);
  if (seen === undefined) throw new Error('a bookmark');
  return seen;
}

/** Changes the events of the last watch that saw many, around one that is no bookmark and neither first nor last. */
function changeWatch(history: History, change: (events: readonly WatchEvent[], i: number) => WatchEvent[]): History {
  const watch = history.watches.slice(1).findLast(({ events, untilEnd, from }) => untilEnd && events.length > 30 && from !== 'initial');
  if (watch === undefined) throw new Error('no watch saw enough');
  let i = watch.events.length - 10;
  while (watch.events[i]?.seen === undefined || watch.events[i + 1]?.seen === undefined) i--;
  const changed = { ...watch, events: change(watch.events, i) };
  return { ...history, watches: history.watches.map((other) => (other === watch ? changed : other)) };
}

function replaced(history: History, old: Operation, other: Operation): History {
  return { ...history, operations: history.operations.map((operation) => (operation === old ? other : operation)) };
}

/** Writes that made a version of their own, in the order of their answers. */
function changingWrites(history: History): Write[] {
  const versions = new Set(history.watches[0]?.events.map(({ version }) => version));
  const seen = new Set<number>();
  return history.operations.filter((operation): operation is Write => {
    if (operation.kind !== 'write' || operation.seen === undefined || operation.request.verb === 'delete') return false;
    const { version } = operation.seen;
    const isFirst =
      versions.has(version) && !seen.has(version) && operation.seen.content.data.v?.startsWith(`${operation.client}-`) === true;
    seen.add(version);
    return isFirst;
  });
}

function versionsOf(history: History, name: string): Seen[] {
  return (history.watches[0]?.events ?? []).flatMap(({ seen, type }) => (seen?.name === name && type !== 'DELETED' ? [seen] : []));
}

/** A version after which another one was acknowledged before the moment. */
function overwrittenBefore(history: History, name: string, atMs: number): Seen | undefined {
  const acknowledged = history.operations.filter(
    (o) => o.kind === 'write' && o.request.name === name && o.endMs < atMs && o.seen,
  ) as Write[];
  const newest = Math.max(...acknowledged.map(({ seen }) => seen?.version || 0));
  return versionsOf(history, name).findLast(({ version }) => version < newest);
}

function changePages(history: History, change: (pages: readonly [Page, ...Page[]]) => readonly Page[] | undefined): History {
  for (const operation of history.operations.toReversed()) {
    const [first, ...others] = operation.kind === 'list' ? (operation.pages ?? []) : [];
    const pages = first === undefined ? undefined : change([first, ...others]);
    if (pages !== undefined && operation.kind === 'list') return replaced(history, operation, { ...operation, pages });
  }
  throw new Error('no list is fit for it');
}
