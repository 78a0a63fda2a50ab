import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type LmdbBackend, openLmdbBackend } from './lmdb.ts';

describe('LmdbBackend.exchangeFile', () => {
  const directories: string[] = [];
  afterEach(() => {
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
  });

  async function open() {
    const directory = mkdtempSync(join(tmpdir(), 'coffer-exchange-'));
    directories.push(directory);
    return { directory, backend: await openLmdbBackend({ directory }) };
  }
  const overwrite = async (backend: LmdbBackend, key: string, text: string) => {
    const { kv } = await backend.get(key);
    return kv === undefined ? backend.create(key, Buffer.from(text)) : backend.update(key, Buffer.from(text), kv.modRevision);
  };

  it('leaves nothing of overwritten and deleted values in the file, once they are compacted', async () => {
    const { directory, backend } = await open();
    for (let i = 0; i < 60; i++) await overwrite(backend, `/registry/x/${i % 20}`, `confidential-${i}-${'x'.repeat(300)}`);
    for (let i = 0; i < 20; i++) await overwrite(backend, `/registry/x/${i}`, `harmless-${i}`);
    await backend.compact(backend.revision);
    const raw = () => readFileSync(join(directory, 'data.mdb')).includes('confidential-');
    expect(raw()).toBe(true);
    const result = await backend.exchangeFile();
    expect(result.bytesAfter).toBeLessThanOrEqual(result.bytesBefore);
    expect(raw()).toBe(false);
    expect((await backend.list('/registry/x/')).kvs).toHaveLength(20);
    expect(readdirSync(directory).sort()).toEqual(['data.mdb', 'lock.mdb', 'owner']);
    await backend.close();
  });

  it('loses nothing that is written, watched or compacted meanwhile', async () => {
    const { directory, backend } = await open();
    for (let i = 0; i < 200; i++) await backend.create(`/registry/before/${i}`, Buffer.alloc(500, i));
    const start = backend.revision;
    const seen: number[] = [];
    const stop = new AbortController();
    const watching = (async () => {
      for await (const batch of backend.watch('/registry/', start, stop.signal)) seen.push(...batch.events.map(({ kv }) => kv.modRevision));
    })();
    let exchanged = false;
    let written = 0;
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; !exchanged || i < 20; i++) {
        const result = await overwrite(backend, `/registry/during/${writer}-${i % 10}`, `${i}`);
        if (result.ok) written++;
        expect((await backend.list('/registry/before/', { limit: 1 })).more).toBe(true);
      }
    });
    const compacting = backend.compact(start);
    await backend.exchangeFile();
    await backend.exchangeFile();
    exchanged = true;
    await Promise.all([...writers, compacting]);
    const last = backend.revision;
    expect(last).toBe(start + written);
    while ((seen.at(-1) ?? 0) < last) await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort();
    await watching;
    expect(seen).toEqual(Array.from({ length: written }, (_, i) => start + 1 + i));
    const history = await backend.list('/registry/during/', { revision: start + 5 });
    const before = await backend.list('/registry/');
    await backend.close();
    const again = await openLmdbBackend({ directory });
    expect(await again.list('/registry/')).toEqual(before);
    expect(await again.list('/registry/during/', { revision: start + 5 })).toEqual(history);
    expect(await again.create('/registry/after', Buffer.from('1'))).toEqual({ ok: true, revision: last + 1 });
    await again.close();
  });
});
