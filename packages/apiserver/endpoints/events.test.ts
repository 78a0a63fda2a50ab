import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.ts';

const core = '/api/v1/namespaces/ns/events';
const newer = '/apis/events.k8s.io/v1/namespaces/ns/events';
const merge = { contentType: 'application/merge-patch+json' };
const apply = { contentType: 'application/apply-patch+yaml' };
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

interface Entry {
  readonly manager: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly fieldsV1: Readonly<Record<string, unknown>>;
}

const managers = (object: { metadata: { managedFields?: Entry[] } }) =>
  (object.metadata.managedFields ?? []).map(({ manager, operation, apiVersion }) => `${manager} ${operation} ${apiVersion}`);

/** One stored event has two served versions: who owns what is kept under the names of the version that was used. */
describe('owners of fields of an event', () => {
  const event = (name: string) => ({ metadata: { name }, involvedObject: { namespace: 'ns', name: 'x' }, reason: 'R', message: 'one' });

  it('stay when it is written through the other group', async () => {
    await api.request('POST', `${core}?fieldManager=creator`, event('a'));
    const labelled = await api.request('PATCH', `${newer}/a?fieldManager=labeller`, { metadata: { labels: { l: 'x' } } }, merge);
    expect(labelled.status).toBe(200);
    expect(managers(labelled.json)).toEqual(['creator Update v1', 'labeller Update events.k8s.io/v1']);
    const [creator, labeller] = labelled.json.metadata.managedFields as Entry[];
    expect(creator?.fieldsV1).toHaveProperty('f:message');
    expect(labeller?.fieldsV1).toEqual({ 'f:metadata': { 'f:labels': { '.': {}, 'f:l': {} } } });
    const again = await api.request('GET', `${core}/a`);
    expect(managers(again.json)).toEqual(managers(labelled.json));
  });

  it('lose what the other group changes, under its other name', async () => {
    await api.request('POST', `${core}?fieldManager=creator`, event('b'));
    const read = (await api.request('GET', `${newer}/b`)).json;
    expect(read.note).toBe('one');
    const changed = await api.request('PATCH', `${core}/b?fieldManager=writer`, { message: 'two', count: 3 }, merge);
    expect(managers(changed.json)).toEqual(['creator Update v1', 'writer Update v1']);
    const applied = { apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: { name: 'b' }, note: 'three', deprecatedCount: 3 };
    const conflict = await api.request('PATCH', `${newer}/b?fieldManager=applier`, { ...applied, deprecatedCount: 4 }, apply);
    expect(conflict.json.message).toBe('Apply failed with 2 conflicts: conflicts with "writer" using v1:\n- .count\n- .message');
  });

  it('are several when they apply the same value under two names', async () => {
    await api.request('POST', `${core}?fieldManager=creator`, event('c'));
    const here = { apiVersion: 'events.k8s.io/v1', kind: 'Event', metadata: { name: 'c', labels: { l: '1' } }, note: 'one' };
    const there = { apiVersion: 'v1', kind: 'Event', metadata: { name: 'c', labels: { l: '1', m: '2' } }, message: 'one' };
    await api.request('PATCH', `${newer}/c?fieldManager=first`, here, apply);
    const second = await api.request('PATCH', `${core}/c?fieldManager=second`, there, apply);
    expect(managers(second.json)).toEqual(['first Apply events.k8s.io/v1', 'second Apply v1', 'creator Update v1']);
    // What the second gives up and the first still wants stays.
    const less = await api.request('PATCH', `${core}/c?fieldManager=second`, { ...there, metadata: { name: 'c' } }, apply);
    expect(less.json.metadata.labels).toEqual({ l: '1' });
    expect(less.json.message).toBe('one');
    // And an applier may change the version that it speaks.
    const moved = await api.request(
      'PATCH',
      `${core}/c?fieldManager=first`,
      { apiVersion: 'v1', kind: 'Event', metadata: { name: 'c' } },
      apply,
    );
    expect(moved.json.metadata.labels).toBeUndefined();
    expect(moved.json.message).toBe('one');
  });
});
