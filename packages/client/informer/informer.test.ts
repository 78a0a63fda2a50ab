import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { ApiClient } from '../rest/api-client.ts';
import { PODS } from '../rest/well-known.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { InformerFactory } from './informer-factory.ts';

function setUp() {
  const clock = new FakeClock();
  const api = new FakeApi(clock);
  const stop = new AbortController();
  const factory = new InformerFactory(
    { api: new ApiClient({ transport: api.transport(), clock }), clock, logger: silentLogger },
    stop.signal,
  );
  return { api, stop, factory };
}

const pod = (name: string, nodeName: string) => ({
  metadata: { name, namespace: 'default', managedFields: [{ manager: 'x' }] },
  spec: { nodeName, containers: [] },
});

describe('Informer', () => {
  it('keeps objects, indexes and handlers in step', async () => {
    const { api, stop, factory } = setUp();
    api.put(PODS, pod('a', 'n1'));
    const pods = factory.informer(PODS);
    pods.addIndex('node', (p) => [p.spec?.nodeName ?? '']);
    const log: string[] = [];
    pods.addHandler({
      onAdd: (p) => log.push(`add ${p.metadata?.name} n1=${pods.byIndex('node', 'n1').length}`),
      onUpdate: (old, p) =>
        log.push(`update ${p.metadata?.name} ${old.spec?.nodeName}->${p.spec?.nodeName} n1=${pods.byIndex('node', 'n1').length}`),
      onDelete: (p) => log.push(`delete ${p.metadata?.name} n2=${pods.byIndex('node', 'n2').length}`),
    });
    await pods.whenSynced();
    api.put(PODS, pod('a', 'n2'));
    api.remove(PODS, 'default', 'a');
    await pods.whenAtLeast(api.revision);
    expect(log).toEqual(['add a n1=1', 'update a n1->n2 n1=0', 'delete a n2=0']);
    expect(pods.list()).toEqual([]);
    stop.abort();
    await factory.whenStopped();
  });

  it('drops managedFields and shares one watch per selection', async () => {
    const { api, stop, factory } = setUp();
    api.put(PODS, pod('a', 'n1'));
    const pods = factory.informer(PODS);
    expect(factory.informer(PODS)).toBe(pods);
    expect(factory.informer(PODS, { fieldSelector: 'spec.nodeName=n1' })).not.toBe(pods);
    await factory.whenSynced();
    expect(pods.get('default/a')?.metadata?.managedFields).toBeUndefined();
    stop.abort();
    await factory.whenStopped();
  });

  it('shows a late handler what is there, and a failing handler harms nobody', async () => {
    const { api, stop, factory } = setUp();
    const pods = factory.informer(PODS);
    await pods.whenSynced();
    pods.addHandler({
      onAdd: () => {
        throw new Error('broken');
      },
    });
    api.put(PODS, pod('a', 'n1'));
    await pods.whenAtLeast(api.revision);
    const late: string[] = [];
    const remove = pods.addHandler({ onAdd: (p) => late.push(p.metadata?.name ?? '') });
    expect(late).toEqual(['a']);
    remove();
    api.put(PODS, pod('b', 'n1'));
    await pods.whenAtLeast(api.revision);
    expect(late).toEqual(['a']);
    stop.abort();
    await factory.whenStopped();
  });

  it('sees an object that was replaced during a gap as deleted and added', async () => {
    const { api, stop, factory } = setUp();
    api.put(PODS, pod('a', 'n1'));
    const pods = factory.informer(PODS);
    const log: string[] = [];
    pods.addHandler({
      onAdd: (p) => log.push(`add ${p.metadata?.uid}`),
      onUpdate: () => log.push('update'),
      onDelete: (p) => log.push(`delete ${p.metadata?.uid}`),
    });
    await pods.whenSynced();
    api.remove(PODS, 'default', 'a');
    api.put(PODS, { ...pod('a', 'n1'), metadata: { ...pod('a', 'n1').metadata, uid: 'second' } });
    api.compact();
    api.endWatches();
    await pods.whenAtLeast(api.revision);
    expect(log).toEqual(['add uid-1', 'delete uid-1', 'add second']);
    stop.abort();
    await factory.whenStopped();
  });
});
