import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Backend, type BackendEvent, type LocalBackend, maxKeyBytes, maxValueBytes, type WriteTicket } from './backend.ts';

/**
 * What every Backend does, as a suite. A backend's own test calls it with a way to open one. The store need not be fresh: each
 * test works below a prefix of its own and with the revisions it got.
 */
export interface BackendUnderTest {
  readonly backend: Backend;
  /** Closes the backend and opens the same data again; undefined when it keeps nothing. */
  reopen?(): Promise<Backend>;
  dispose(): Promise<void>;
}

export function describeBackend(name: string, open: () => Promise<BackendUnderTest>): void {
  describe(`Backend contract: ${name}`, () => {
    let subject: BackendUnderTest;
    let backend: Backend;
    let root: string;
    const key = (name: string) => `${root}${name}`;

    beforeEach(async () => {
      subject = await open();
      backend = subject.backend;
      root = `/registry/${randomUUID()}/`;
    });
    afterEach(() => subject.dispose());

    const put = async (name: string, value: string, expected = 0) => {
      const result = await (expected === 0 ? backend.create(key(name), bytes(value)) : backend.update(key(name), bytes(value), expected));
      if (!result.ok) throw new Error(`${name} was changed by someone else`);
      return result.revision;
    };
    const remove = async (name: string, expected: number) => {
      const result = await backend.delete(key(name), expected);
      if (!result.ok) throw new Error(`${name} was changed by someone else`);
      return result.revision;
    };
    const listed = async (options: Parameters<Backend['list']>[1] = {}) => {
      const result = await backend.list(root, options);
      return result.kvs.map((kv) => `${kv.key.slice(root.length)}=${text(kv.value)}`);
    };

    it('starts at revision 1 or later and counts one revision per write', async () => {
      const start = await backend.currentRevision();
      expect(start).toBeGreaterThanOrEqual(1);
      const first = await put('a', '1');
      const second = await put('b', '1');
      const third = await remove('a', first);
      expect([first, second, third]).toEqual([start + 1, start + 2, start + 3]);
      expect(await backend.currentRevision()).toBe(third);
    });

    it('creates only what does not exist and answers with the current version', async () => {
      const revision = await put('a', 'old');
      const again = await backend.create(key('a'), bytes('new'));
      expect(again.ok).toBe(false);
      if (again.ok) return;
      expect(again.current).toMatchObject({ key: key('a'), modRevision: revision, createRevision: revision });
      expect(text(again.current?.value)).toBe('old');
      expect(await listed()).toEqual(['a=old']);
    });

    it('updates and deletes only the expected version', async () => {
      const first = await put('a', '1');
      const second = await put('a', '2', first);
      const lateUpdate = await backend.update(key('a'), bytes('3'), first);
      const lateDelete = await backend.delete(key('a'), first);
      for (const late of [lateUpdate, lateDelete]) {
        expect(late.ok).toBe(false);
        if (!late.ok) expect(late.current?.modRevision).toBe(second);
      }
      const { kv } = await backend.get(key('a'));
      expect(kv).toMatchObject({ modRevision: second, createRevision: first });
      expect(text(kv?.value)).toBe('2');
    });

    it('says that nothing is there when an absent key is updated or deleted', async () => {
      expect(await backend.update(key('none'), bytes('x'), 5)).toEqual({ ok: false, current: undefined });
      expect(await backend.delete(key('none'), 5)).toEqual({ ok: false, current: undefined });
      expect((await backend.get(key('none'))).kv).toBeUndefined();
    });

    it('gives a key that is created again a new create revision', async () => {
      const first = await put('a', '1');
      await remove('a', first);
      const again = await put('a', '2');
      const { kv, revision } = await backend.get(key('a'));
      expect(kv).toMatchObject({ modRevision: again, createRevision: again });
      expect(revision).toBe(again);
    });

    it('lets exactly one of many concurrent creators win, and the others see the winner', async () => {
      const results = await Promise.all(Array.from({ length: 20 }, (_, i) => backend.create(key('a'), bytes(String(i)))));
      const winners = results.flatMap((result, i) => (result.ok ? [i] : []));
      expect(winners).toHaveLength(1);
      for (const result of results) if (!result.ok) expect(text(result.current?.value)).toBe(String(winners[0]));
    });

    it('loses no increment of concurrent compare-and-swap loops', async () => {
      await put('n', '0');
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          for (let i = 0; i < 10; i++) {
            for (;;) {
              const { kv } = await backend.get(key('n'));
              if (kv === undefined) throw new Error('gone');
              const result = await backend.update(key('n'), bytes(String(Number(text(kv.value)) + 1)), kv.modRevision);
              if (result.ok) break;
            }
          }
        }),
      );
      expect(await listed()).toEqual(['n=80']);
    });

    it('keeps any bytes, the empty value and the largest', async () => {
      const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
      await backend.create(key('bytes'), all);
      await backend.create(key('empty'), new Uint8Array(0));
      await backend.create(key('largest'), Buffer.alloc(maxValueBytes, 7));
      expect(Buffer.from((await backend.get(key('bytes'))).kv?.value ?? [])).toEqual(all);
      expect((await backend.get(key('empty'))).kv?.value.length).toBe(0);
      expect((await backend.get(key('largest'))).kv?.value.length).toBe(maxValueBytes);
    });

    it('refuses values and keys over the limit', async () => {
      await expect(backend.create(key('big'), Buffer.alloc(maxValueBytes + 1))).rejects.toMatchObject({ code: 'value-too-large' });
      await expect(backend.create(key('k'.repeat(maxKeyBytes)), bytes(''))).rejects.toMatchObject({ code: 'value-too-large' });
      expect(await listed()).toEqual([]);
    });

    it('lists in the order of UTF-8 bytes and stays inside the prefix', async () => {
      const names = ['a', 'a-b', 'a.b', 'a/b', 'ab', 'Z', 'é', '\u{ffff}', '\u{1f600}'];
      for (const name of names) await put(name, '');
      await backend.create(`${root.slice(0, -1)}0`, bytes('next door'));
      const order = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
      expect(await listed()).toEqual(order.map((name) => `${name}=`));
    });

    it('pages with limit and startKey and counts the range', async () => {
      for (const name of ['a', 'b', 'c', 'd', 'e']) await put(name, name);
      const first = await backend.list(root, { limit: 2 });
      expect(first.kvs.map((kv) => kv.key)).toEqual([key('a'), key('b')]);
      expect(first).toMatchObject({ more: true, count: 5 });
      const last = await backend.list(root, { startKey: key('d'), limit: 2, revision: first.revision });
      expect(last.kvs.map((kv) => kv.key)).toEqual([key('d'), key('e')]);
      expect(last).toMatchObject({ more: false, count: 2, revision: first.revision });
      expect(await backend.list(root, { limit: 2, skipCount: true })).toMatchObject({ more: true, count: 2 });
    });

    it('lists any revision that is not compacted', async () => {
      const created = await put('a', '1');
      const updated = await put('a', '2', created);
      const other = await put('b', '1');
      const deleted = await remove('a', updated);
      const again = await put('a', '3');
      expect(await listed({ revision: created })).toEqual(['a=1']);
      expect(await listed({ revision: updated })).toEqual(['a=2']);
      expect(await listed({ revision: other })).toEqual(['a=2', 'b=1']);
      expect(await listed({ revision: deleted })).toEqual(['b=1']);
      expect(await listed({ revision: again })).toEqual(['a=3', 'b=1']);
      await expect(backend.list(root, { revision: again + 1000 })).rejects.toMatchObject({ code: 'future-revision' });
    });

    it('watches from a revision, first what was, then what comes, without gaps or duplicates', async () => {
      const start = await backend.currentRevision();
      const created = await put('a', '1');
      await backend.create(`${root.slice(0, -1)}0`, bytes('outside'));
      const watch = collect(backend, root, start);
      const updated = await put('a', '2', created);
      const deleted = await remove('a', updated);
      const again = await put('a', '3');
      await watch.until(again);
      expect(watch.events.map(describeEvent(root))).toEqual([
        `put a=1 @${created}`,
        `put a=2 @${updated} was a=1`,
        `delete a @${deleted} was a=2`,
        `put a=3 @${again}`,
      ]);
      await watch.stop();
    });

    it('delivers every event of concurrent writers once and in revision order, wherever the watch starts', async () => {
      const start = await backend.currentRevision();
      const revisions: number[] = [];
      const watches = [collect(backend, root, start)];
      await Promise.all(
        Array.from({ length: 8 }, async (_, writer) => {
          for (let i = 0; i < 25; i++) {
            revisions.push(await put(`${writer}-${i}`, ''));
            if (i === 10 && writer === 0) watches.push(collect(backend, root, start));
          }
        }),
      );
      const expected = revisions.sort((a, b) => a - b);
      const middle = expected[90] ?? 0;
      watches.push(collect(backend, root, middle));
      for (const watch of watches) await watch.until(expected.at(-1) ?? 0);
      expect(watches[0]?.events.map((event) => event.kv.modRevision)).toEqual(expected);
      expect(watches[1]?.events.map((event) => event.kv.modRevision)).toEqual(expected);
      expect(watches[2]?.events.map((event) => event.kv.modRevision)).toEqual(expected.slice(91));
      for (const watch of watches) await watch.stop();
    });

    it('tells a watch about progress that brought it no event', async () => {
      const start = await backend.currentRevision();
      const watch = collect(backend, root, start);
      const outside = await backend.create(`${root.slice(0, -1)}0`, bytes('outside'));
      if (!outside.ok) throw new Error('the key was free');
      await watch.until(outside.revision);
      expect(watch.events).toEqual([]);
      await watch.stop();
    });

    it('shows a revision to readers and watchers when it acknowledges it', async () => {
      for (let i = 0; i < 5; i++) {
        const revision = await put(`a${i}`, String(i));
        expect(await backend.currentRevision()).toBeGreaterThanOrEqual(revision);
        expect(text((await backend.get(key(`a${i}`))).kv?.value)).toBe(String(i));
        expect(await listed({ revision })).toContain(`a${i}=${i}`);
      }
    });

    it('forgets what was superseded at compaction, and nothing else', async () => {
      const first = await put('a', '1');
      const second = await put('a', '2', first);
      const gone = await put('gone', 'x');
      const deleted = await remove('gone', gone);
      const kept = await put('b', '1');
      const third = await put('a', '3', second);
      await backend.compact(kept);
      expect(await backend.compactedRevision()).toBe(kept);
      for (const old of [first, second, deleted]) {
        await expect(backend.list(root, { revision: old })).rejects.toMatchObject({ code: 'compacted', revision: kept });
      }
      expect(await listed({ revision: kept })).toEqual(['a=2', 'b=1']);
      expect(await listed()).toEqual(['a=3', 'b=1']);
      const tooOld = collect(backend, root, first);
      await expect(tooOld.done).rejects.toMatchObject({ code: 'compacted' });
      const watch = collect(backend, root, kept);
      await watch.until(third);
      expect(watch.events.map((event) => event.kv.modRevision)).toEqual([third]);
      await watch.stop();
      expect((await backend.get(key('a'))).kv).toMatchObject({ modRevision: third, createRevision: first });
      expect(await put('gone', 'y')).toBeGreaterThan(third);
    });

    it('compacts again and again while others write', async () => {
      let revision = await put('a', '0');
      for (let i = 1; i <= 30; i++) {
        const next = put('a', String(i), revision);
        await Promise.all([backend.compact(revision), put(`b${i}`, ''), next]);
        revision = await next;
      }
      const current = await backend.currentRevision();
      await backend.compact(current);
      await backend.compact(current);
      expect((await listed())[0]).toBe('a=30');
      expect(await listed()).toHaveLength(31);
    });

    it('ends watches that are aborted, also while they wait', async () => {
      const watch = collect(backend, root, await backend.currentRevision());
      await watch.stop();
      expect(watch.events).toEqual([]);
    });

    it('keeps everything across a reopen', async () => {
      if (subject.reopen === undefined) return;
      const first = await put('a', '1');
      const second = await put('a', '2', first);
      const gone = await put('gone', 'x');
      const deleted = await remove('gone', gone);
      backend = await subject.reopen();
      expect(await backend.currentRevision()).toBe(deleted);
      expect(await listed()).toEqual(['a=2']);
      expect(await listed({ revision: gone })).toEqual(['a=2', 'gone=x']);
      const watch = collect(backend, root, first);
      await watch.until(deleted);
      expect(watch.events.map((event) => event.kv.modRevision)).toEqual([second, gone, deleted]);
      await watch.stop();
      await backend.compact(deleted);
      backend = await subject.reopen();
      expect(await backend.compactedRevision()).toBe(deleted);
      expect(await put('b', '1')).toBeGreaterThan(deleted);
    });

    it('refuses everything after close', async () => {
      const pending = put('last', '1');
      await backend.close();
      await pending;
      await expect(backend.create(key('a'), bytes(''))).rejects.toMatchObject({ code: 'closed' });
      await expect(backend.get(key('a'))).rejects.toMatchObject({ code: 'closed' });
      await expect(backend.list(root)).rejects.toMatchObject({ code: 'closed' });
    });
  });
}

/** The extra promises of a LocalBackend. */
export function describeLocalBackend(
  name: string,
  open: () => Promise<{ readonly backend: LocalBackend; dispose(): Promise<void> }>,
): void {
  describe(`LocalBackend contract: ${name}`, () => {
    it('calls subscribers before the write resolves, with the bytes it was given', async () => {
      const { backend, dispose } = await open();
      const seen: BackendEvent[] = [];
      const unsubscribe = backend.subscribe((batch) => seen.push(...batch.events));
      const value = bytes('1');
      const result = await backend.create('/registry/x/a', value);
      expect(seen.map((event) => event.kv.modRevision)).toEqual(result.ok ? [result.revision] : []);
      expect(seen[0]?.kv.value).toBe(value);
      await backend.delete('/registry/x/a', result.ok ? result.revision : 0);
      expect(seen[1]).toMatchObject({ type: 'delete', prev: { modRevision: seen[0]?.kv.modRevision } });
      unsubscribe();
      await backend.create('/registry/x/b', value);
      expect(seen).toHaveLength(2);
      await dispose();
    });

    it('takes updates of a version that is not committed yet, in order, and refuses them when that was not written', async () => {
      const { backend, dispose } = await open();
      const tickets = Array.from({ length: 4 }, (): WriteTicket => ({}));
      const lost: WriteTicket = {};
      const results = await Promise.all([
        backend.create('/registry/x/a', bytes('0'), tickets[0]),
        backend.update('/registry/x/a', bytes('1'), tickets[0] ?? 0, tickets[1]),
        backend.update('/registry/x/a', bytes('other'), 77, lost),
        backend.update('/registry/x/a', bytes('on what was lost'), lost, tickets[3]),
        backend.update('/registry/x/a', bytes('2'), tickets[1] ?? 0, tickets[2]),
        backend.update('/registry/x/a', bytes('late'), tickets[0] ?? 0),
      ]);
      expect(results.map((result) => result.ok)).toEqual([true, true, false, false, true, false]);
      const revisions = results.flatMap((result) => (result.ok ? [result.revision] : []));
      expect([tickets[0], tickets[1], tickets[2]].map((ticket) => ticket?.revision)).toEqual(revisions);
      expect([lost.revision, tickets[3]?.revision]).toEqual([undefined, undefined]);
      expect(text((await backend.get('/registry/x/a')).kv?.value ?? bytes(''))).toBe('2');
      const past = await backend.list('/registry/x/', { revision: revisions[1] ?? 0 });
      expect(past.kvs.map((kv) => text(kv.value))).toEqual(['1']);
      await dispose();
    });

    it('counts what compaction can give back', async () => {
      const { backend, dispose } = await open();
      let revision = 0;
      for (let i = 0; i < 50; i++) {
        const value = Buffer.alloc(1000, i);
        const result = await (i === 0 ? backend.create('/registry/x/a', value) : backend.update('/registry/x/a', value, revision));
        if (result.ok) revision = result.revision;
      }
      expect(backend.historyBytes()).toBeGreaterThan(40_000);
      await backend.compact(revision);
      expect(backend.historyBytes()).toBeLessThan(5_000);
      await dispose();
    });
  });
}

function collect(backend: Backend, prefix: string, afterRevision: number) {
  const events: BackendEvent[] = [];
  const controller = new AbortController();
  let reached = afterRevision;
  let wake = () => {};
  const done = (async () => {
    for await (const batch of backend.watch(prefix, afterRevision, controller.signal)) {
      events.push(...batch.events);
      reached = batch.revision;
      wake();
    }
  })();
  done.catch(() => wake());
  return {
    events,
    done,
    async until(revision: number) {
      while (reached < revision) {
        let timer: NodeJS.Timeout | undefined;
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
          timer = setTimeout(resolve, 20);
        });
        await Promise.race([done, woken]);
        clearTimeout(timer);
        backend.requestProgress?.();
      }
    },
    async stop() {
      controller.abort();
      await done;
    },
  };
}

function describeEvent(root: string) {
  const show = (kv: { readonly key: string; readonly value: Uint8Array }) => `${kv.key.slice(root.length)}=${text(kv.value)}`;
  return ({ type, kv, prev }: BackendEvent) =>
    `${type} ${type === 'put' ? show(kv) : kv.key.slice(root.length)} @${kv.modRevision}${prev === undefined ? '' : ` was ${show(prev)}`}`;
}

function bytes(value: string): Buffer {
  return Buffer.from(value);
}

function text(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : Buffer.from(value).toString();
}
