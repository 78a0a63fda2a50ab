import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.ts';

const configMaps = '/api/v1/namespaces/ns/configmaps';
const merge = { contentType: 'application/merge-patch+json' };
let api: TestApi;

beforeEach(async () => {
  api = await openTestApi();
});
afterEach(() => api.close());

async function create(name: string, labels?: object) {
  return (await api.request('POST', configMaps, { metadata: { name, labels }, data: { k: '1' } })).json;
}

const patch = (name: string, body: object) => api.request('PATCH', `${configMaps}/${name}`, body, merge);
const settle = () => api.clock.advance(0);

describe('watch', () => {
  it('replays what happened since a revision, then follows', async () => {
    const made = await create('a');
    await patch('a', { data: { k: '2' } });
    await create('b');
    await api.request('DELETE', `${configMaps}/a`);
    const watch = await api.watch(`${configMaps}?watch=1&resourceVersion=${made.metadata.resourceVersion}`);
    await settle();
    expect(watch.summary).toEqual(['MODIFIED a', 'ADDED b', 'DELETED a']);
    await create('c');
    expect(watch.summary.at(-1)).toBe('ADDED c');
    const revisions = watch.events.map((event) => Number(event.object.metadata.resourceVersion));
    expect(revisions).toEqual([...revisions].sort((x, y) => x - y));
    watch.close();
    await watch.done;
  });

  it.each(['watch=1', 'watch=1&resourceVersion=0', 'watch=1&resourceVersion='])('starts with the present for %s', async (query) => {
    await create('a');
    const watch = await api.watch(`${configMaps}?${query}`);
    await settle();
    expect(watch.summary).toEqual(['ADDED a']);
    watch.close();
  });

  it('follows one object on its path below /watch', async () => {
    await create('a');
    await create('b');
    const watch = await api.watch('/api/v1/watch/namespaces/ns/configmaps/b');
    await settle();
    expect(watch.summary).toEqual(['ADDED b']);
    watch.close();
  });

  it('turns entering and leaving a selection into ADDED and DELETED', async () => {
    const made = await create('a', { w: 'no' });
    const watch = await api.watch(`${configMaps}?watch=1&labelSelector=w%3Dyes&resourceVersion=${made.metadata.resourceVersion}`);
    await settle();
    await patch('a', { metadata: { labels: { w: 'yes' } } });
    await patch('a', { data: { k: '2' } });
    await patch('a', { metadata: { labels: { w: 'no' } } });
    await patch('a', { data: { k: '3' } });
    expect(watch.summary).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a']);
    watch.close();
  });

  it('marks the end of the initial events for who asks', async () => {
    await create('a', { w: 's' });
    const watch = await api.watch(
      `${configMaps}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
    );
    await settle();
    const [added, mark] = watch.events;
    expect(added.type).toBe('ADDED');
    expect(mark).toEqual({
      type: 'BOOKMARK',
      object: {
        kind: 'ConfigMap',
        apiVersion: 'v1',
        metadata: { resourceVersion: added.object.metadata.resourceVersion, annotations: { 'k8s.io/initial-events-end': 'true' } },
      },
    });
    watch.close();
  });

  it('sends bookmarks now and then, one shortly before the end, and ends in time', async () => {
    await create('a');
    const watch = await api.watch(`${configMaps}?watch=1&allowWatchBookmarks=true&timeoutSeconds=100`);
    await settle();
    await api.request('POST', '/api/v1/namespaces/ns/secrets', { metadata: { name: 'elsewhere' } });
    await api.clock.advance(70_000);
    const bookmarks = () => watch.events.filter((event) => event.type === 'BOOKMARK' && !event.object.metadata.annotations);
    expect(bookmarks()).toHaveLength(1);
    expect(Number(bookmarks()[0].object.metadata.resourceVersion)).toBeGreaterThan(Number(watch.events[0].object.metadata.resourceVersion));
    await api.clock.advance(28_000);
    expect(bookmarks()).toHaveLength(2);
    await api.clock.advance(2_000);
    await watch.done;
  });

  it('says 410 in the stream when the revision is gone', async () => {
    await create('a');
    await create('b');
    await api.storage.compact();
    const watch = await api.watch(`${configMaps}?watch=1&resourceVersion=1`);
    await watch.done;
    expect(watch.events).toEqual([
      {
        type: 'ERROR',
        object: {
          kind: 'Status',
          apiVersion: 'v1',
          metadata: {},
          status: 'Failure',
          message: expect.stringMatching(/^too old resource version: 1( \(\d+\))?$/),
          reason: 'Expired',
          code: 410,
        },
      },
    ]);
  });

  it('leaves out what is older than a revision still to come', async () => {
    const made = await create('a');
    const watch = await api.watch(`${configMaps}?watch=1&resourceVersion=${Number(made.metadata.resourceVersion) + 1}`);
    await settle();
    await create('b');
    await create('c');
    expect(watch.summary).toEqual(['ADDED c']);
    watch.close();
  });

  it('sends tables, with columns in the first only, and bare metadata', async () => {
    await create('a');
    await create('b');
    const asTable = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } };
    const watch = await api.watch(`${configMaps}?watch=1`, asTable);
    await settle();
    expect(watch.events.map((event) => [event.object.kind, event.object.columnDefinitions?.length, event.object.rows[0].cells[0]])).toEqual(
      [
        ['Table', 3, 'a'],
        ['Table', undefined, 'b'],
      ],
    );
    watch.close();
    const partial = await api.watch(`${configMaps}?watch=1`, {
      headers: { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' },
    });
    await settle();
    expect(partial.events[0].object).not.toHaveProperty('data');
    partial.close();
  });

  it('streams a list as objects or as their metadata, never as tables, and no events as YAML', async () => {
    await create('a');
    const asTable = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const list = `${configMaps}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`;
    const refused = (path: string, accept: string) => api.request('GET', path, undefined, { headers: { accept } });
    expect((await refused(list, asTable)).json).toMatchObject({
      code: 406,
      reason: 'NotAcceptable',
      message: 'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    });
    expect((await refused(`${configMaps}?watch=1`, 'application/yaml')).text.replace(/\s+/g, ' ')).toContain(
      'only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch',
    );
    const watch = await api.watch(list, { headers: { accept: `${asTable},application/json` } });
    await settle();
    expect(watch.events.map((event) => event.object.kind)).toEqual(['ConfigMap', 'ConfigMap']);
    watch.close();
  });

  it('ends a reader that falls too far behind, and keeps one that is only slow', async () => {
    const slow = await api.watch(`${configMaps}?watch=1`);
    const stuck = await api.watch(`${configMaps}?watch=1`);
    await settle();
    slow.stall();
    stuck.stall();
    const filler = 'x'.repeat(200_000);
    for (let i = 0; i < 10; i++) await api.request('POST', configMaps, { metadata: { name: `big-${i}` }, data: { filler } });
    slow.resume();
    await settle();
    for (let i = 10; i < 40; i++) {
      await api.request('POST', configMaps, { metadata: { name: `big-${i}` }, data: { filler } });
      await settle();
    }
    expect(slow.summary).toHaveLength(40);
    await stuck.done;
    expect(stuck.events.at(-1)).toMatchObject({ type: 'ERROR', object: { code: 410, reason: 'Expired' } });
    expect(stuck.stalledBytes).toBeLessThan(1024 * 1024);
    slow.close();
  });

  it.each([
    ['resourceVersion=abc', 500, 'resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax'],
    [
      'sendInitialEvents=true',
      422,
      'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
    ],
  ])('refuses %s before the stream starts', async (query, code, message) => {
    expect((await api.request('GET', `${configMaps}?watch=1&${query}`)).json).toMatchObject({ code, message });
  });
});
