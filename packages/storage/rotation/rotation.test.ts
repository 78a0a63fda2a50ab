import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { afterEach, describe, expect, it } from 'vitest';
import { openMemoryBackend } from '../backend/memory.ts';
import { openStorage, type Storage } from '../store/storage.ts';
import { configMap, configMaps } from '../store/store-fixture.ts';
import { loadEncryptionConfig } from '../value/encrypt/encryption.ts';
import { ReloadableEncryption } from '../value/encrypt/reloadable-encryption.ts';
import { valuesBelow } from './inventory.ts';
import { Rotation, type RotationDeps, type RotationRecord } from './rotation.ts';

const open: Storage[] = [];
afterEach(() => Promise.all(open.splice(0).map((storage) => storage.close())));

/** A rotation over three objects in memory, with a configuration that is text in a variable. */
async function setup(changes: (parts: { backend: ReturnType<typeof openMemoryBackend> }) => Partial<RotationDeps> = () => ({})) {
  const deps = { clock: systemClock, logger: silentLogger };
  const providers = [{ aesgcm: { keys: [{ name: 'old', secret: Buffer.alloc(32, 'o').toString('base64') }] } }];
  const state = {
    text: JSON.stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'EncryptionConfiguration',
      resources: [{ resources: ['configmaps'], providers }],
    }),
    record: undefined as RotationRecord | undefined,
    steps: [] as RotationRecord['step'][],
  };
  const encryption = new ReloadableEncryption(loadEncryptionConfig(state.text, deps));
  const backend = openMemoryBackend();
  const storage = await openStorage({ ...deps, backend, transformerFor: () => encryption.transformerFor('', 'configmaps') });
  open.push(storage);
  const store = await storage.resource(configMaps);
  for (const name of ['a', 'b', 'c']) await store.create(configMap('ns', name));
  const rotation = new Rotation({
    storage,
    backend,
    clock: systemClock,
    configuration: {
      read: async () => state.text,
      write: async (text) => {
        state.text = text;
      },
    },
    acknowledged: async () => {
      encryption.replace(loadEncryptionConfig(state.text, deps));
    },
    records: {
      load: async () => state.record,
      save: async (record) => {
        state.record = record;
        state.steps.push(record.step);
      },
    },
    prefixes: () => ['configmaps'],
    hasPluginKeys: () => false,
    failpoint: () => {},
    ...changes({ backend }),
  });
  const run = async () => {
    await rotation.start(100_000);
    await expect.poll(() => rotation.progress?.running, { timeout: 5000 }).toBe(false);
    return rotation.progress;
  };
  const heads = async () => {
    const found = new Set<string>();
    for await (const { value } of valuesBelow(backend, '/registry/configmaps/', await backend.currentRevision())) {
      found.add(Buffer.from(value).toString('latin1').split(':').slice(0, 5).join(':'));
    }
    return [...found];
  };
  return { state, rotation, run, heads };
}

describe('Rotation', () => {
  it('records every step before it begins, and ends with one key', async () => {
    const { state, run, heads } = await setup();
    const progress = await run();
    expect(progress).toMatchObject({ step: 'done', written: 3, resumed: false });
    expect(state.steps).toEqual([1, 2, 3, 4, 5, 'done']);
    expect(await heads()).toEqual([`k8s:enc:aesgcm:v1:${progress?.newKeys[0]}`]);
    expect(state.text).not.toContain('name: old');
  });

  it('keeps the old key while a value needs it that it cannot write anew', async () => {
    const { state, run } = await setup(({ backend }) => ({
      prefixes: () => ['configmaps', 'secrets'],
      failpoint: (name) => {
        if (name === 'rotate-1-begin') void backend.create('/registry/secrets/ns/other', Buffer.from('k8s:enc:aesgcm:v1:old:bytes'));
      },
    }));
    expect(await run()).toMatchObject({ error: 'objects are still being written with the old keys: the aesgcm key "old"' });
    expect(state.text).toContain('name: old');
    expect(state.record?.step).not.toBe('done');
  });

  it('stops in its step when a server does not follow, and goes on from there', async () => {
    let refuses = true;
    const { state, run, heads } = await setup(() => ({
      acknowledged: async () => {
        if (refuses) throw new Error('other API servers do not use the same encryption configuration: two');
      },
    }));
    expect(await run()).toMatchObject({ step: 1, error: expect.stringContaining('two') as string });
    expect(state.record?.step).toBe(1);
    expect(await heads()).toEqual(['k8s:enc:aesgcm:v1:old']);
    refuses = false;
    expect(await run()).toMatchObject({ resumed: true });
  });

  it('refuses to begin without a key', async () => {
    const { state, rotation } = await setup();
    state.text = state.text.replace(/"providers":.*/, '"providers":[{"identity":{}}]}]}');
    await expect(rotation.start(1)).rejects.toThrow('there is no key to rotate');
    expect(state.record).toBeUndefined();
  });
});
