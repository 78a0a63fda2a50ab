import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import type { Backend } from '../backend/backend.ts';
import { openMemoryBackend } from '../backend/memory.ts';
import { loadEncryptionConfig } from '../value/encrypt/encryption.ts';
import { checkKeys } from './check-keys.ts';
import { keysInUse } from './keys-in-use.ts';

const secrets = [{ prefix: 'secrets', group: '', resource: 'secrets' }];

function encryption(...providers: readonly object[]) {
  const resources = [{ resources: ['secrets'], providers }];
  const text = JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration', resources });
  return loadEncryptionConfig(text, { clock: new FakeClock(), logger: silentLogger });
}
const key = (name: string, letter = name) => ({ name, secret: Buffer.alloc(32, letter).toString('base64') });
const gcm = (...keys: object[]) => ({ aesgcm: { keys } });

async function write(backend: Backend, name: string, provider: object, damage?: number): Promise<void> {
  const place = `/registry/secrets/ns/${name}`;
  const value = Buffer.from(
    await encryption(provider).transformerFor('', 'secrets').toStorage(Buffer.from('{"kind":"Secret"}'), { key: place }),
  );
  if (damage !== undefined) value[damage] = (value[damage] ?? 0) ^ 1;
  await backend.create(place, value);
}

describe('checkKeys', () => {
  const check = (backend: Backend, provider: object[], known: string[] = []) =>
    checkKeys(secrets, encryption(...provider), { backend, knownKeys: new Set(known) });

  it('accepts what can be read, with whichever of the keys', async () => {
    const backend = openMemoryBackend();
    await write(backend, 'a', gcm(key('one')));
    await write(backend, 'b', gcm(key('two')));
    await write(backend, 'c', { identity: {} });
    await check(backend, [gcm(key('two'), key('one')), { identity: {} }]);
    await expect(check(backend, [gcm(key('two'))])).rejects.toThrow(
      '1 secrets were written with the aesgcm key "one", which is missing in the configuration; 1 secrets are stored without encryption',
    );
  });

  it('tells a wrong key from damaged values by the keys that were used before', async () => {
    const backend = openMemoryBackend();
    await write(backend, 'a', gcm(key('one')), 60);
    const [writeId = ''] = encryption(gcm(key('one'))).writeIds;
    await expect(check(backend, [gcm(key('one', 'x'))])).rejects.toThrow('1 secrets cannot be decrypted with the aesgcm key "one"');
    await expect(check(backend, [gcm(key('one', 'x'))], [writeId])).rejects.toThrow('cannot be decrypted');
    await check(backend, [gcm(key('one'))], [writeId]);
  });

  it('takes a value that is damaged in its first bytes for what it is', async () => {
    for (const place of [0, 20]) {
      const backend = openMemoryBackend();
      await write(backend, 'a', gcm(key('one')));
      await write(backend, 'b', gcm(key('one')), place);
      await check(backend, [gcm(key('one'))]);
    }
  });
});

describe('keysInUse', () => {
  it('names the keys of live objects and of what a reader of an older revision would get', async () => {
    const backend = openMemoryBackend();
    await write(backend, 'a', gcm(key('one')));
    const { kv } = await backend.get('/registry/secrets/ns/a');
    await backend.delete('/registry/secrets/ns/a', kv?.modRevision ?? 0);
    await write(backend, 'a', { secretbox: { keys: [key('two')] } });
    expect([...(await keysInUse(backend, ['secrets']))].sort()).toEqual(['k8s:enc:aesgcm:v1:one:', 'k8s:enc:secretbox:v1:two:']);
    await backend.compact(await backend.currentRevision());
    expect([...(await keysInUse(backend, ['secrets']))]).toEqual(['k8s:enc:secretbox:v1:two:']);
  });
});
