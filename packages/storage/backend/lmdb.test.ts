import { mkdirSync, mkdtempSync, readlinkSync, rmSync, statSync, symlinkSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describeBackend, describeLocalBackend } from './backend-contract.ts';
import { openLmdbBackend } from './lmdb.ts';

async function openTemporary() {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-lmdb-'));
  let backend = await openLmdbBackend({ directory });
  return {
    directory,
    backend,
    async reopen() {
      await backend.close();
      backend = await openLmdbBackend({ directory });
      return backend;
    },
    async dispose() {
      await backend.close();
      rmSync(directory, { recursive: true });
    },
  };
}

describeBackend('lmdb', openTemporary);
describeLocalBackend('lmdb', openTemporary);

describe('openLmdbBackend', () => {
  it('refuses a directory that is in use and says by whom', async () => {
    const { directory, dispose } = await openTemporary();
    await expect(openLmdbBackend({ directory })).rejects.toThrow(`${directory} is in use by process ${process.pid}`);
    await dispose();
  });

  it('takes over the lock of a process that has died', async () => {
    const { directory, backend, dispose } = await openTemporary();
    await backend.close();
    // The number of a live process with another start time: the number was given out again.
    symlinkSync(`${process.pid}:1:some-boot`, join(directory, 'owner'));
    const again = await openLmdbBackend({ directory });
    expect(readlinkSync(join(directory, 'owner'))).toMatch(new RegExp(`^${process.pid}:`));
    await again.close();
    expect(() => unlinkSync(join(directory, 'owner'))).toThrow('ENOENT');
    await dispose();
  });

  it('keeps its files from other users', async () => {
    const { directory, dispose } = await openTemporary();
    expect(statSync(join(directory, 'data.mdb')).mode & 0o777).toBe(0o600);
    expect(statSync(join(directory, 'lock.mdb')).mode & 0o777).toBe(0o600);
    await dispose();
  });

  it('makes concurrent writes share a batch', async () => {
    const { backend, dispose } = await openTemporary();
    const batches: number[] = [];
    backend.subscribe((batch) => batches.push(batch.events.length));
    await Promise.all(Array.from({ length: 64 }, (_, i) => backend.create(`/registry/x/${i}`, Buffer.from('v'))));
    expect(batches.reduce((sum, n) => sum + n, 0)).toBe(64);
    expect(batches.length).toBeLessThanOrEqual(2);
    await dispose();
  });

  it('gives back the space of a compacted history', async () => {
    const { directory, backend, dispose } = await openTemporary();
    let revision = 0;
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 20; i++) {
        const value = Buffer.alloc(20_000, i);
        const result = await (revision === 0 ? backend.create('/registry/x/a', value) : backend.update('/registry/x/a', value, revision));
        if (result.ok) revision = result.revision;
      }
      await backend.compact(revision);
    }
    // 400 versions of 20 kB are 8 MB; two rounds of them have to be enough.
    expect(statSync(join(directory, 'data.mdb')).size).toBeLessThan(2_500_000);
    await dispose();
  });

  it('can be copied while it is written to, and the copy raised above everything the original has said', async () => {
    const { directory, backend, dispose } = await openTemporary();
    const first = await backend.create('/registry/x/a', Buffer.from('1'));
    const copy = join(directory, 'copy');
    mkdirSync(copy);
    await Promise.all([backend.copyTo(copy), backend.create('/registry/x/b', Buffer.from('1'))]);
    const restored = await openLmdbBackend({ directory: copy });
    expect((await restored.get('/registry/x/a')).kv?.modRevision).toBe(first.ok ? first.revision : 0);
    await restored.raiseRevision(1_000_000_000);
    await expect(restored.list('/registry/', { revision: 999_999_999 })).rejects.toMatchObject({ code: 'compacted' });
    expect(await restored.create('/registry/x/c', Buffer.from('1'))).toEqual({ ok: true, revision: 1_000_000_001 });
    await restored.close();
    const again = await openLmdbBackend({ directory: copy });
    expect(await again.currentRevision()).toBe(1_000_000_001);
    await again.close();
    await dispose();
  });
});
