import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLmdbBackend } from '@coffer/storage/backend/lmdb';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';

/** Needs a small file system of its own, hence root (and the right to mount). */
const mountPoint = mkdtempSync(join(tmpdir(), 'coffer-full-'));
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'coffer-full', mountPoint]).status === 0;
if (!mounted) console.log('skipped: the full disk (a tmpfs cannot be mounted here; run as root)');

describe.skipIf(!mounted)('a full disk', () => {
  beforeAll(() => {
    // The library prints failed commits as well.
    vi.spyOn(console, 'error').mockImplementation(() => {});
  });
  afterAll(() => {
    vi.restoreAllMocks();
    spawnSync('umount', [mountPoint]);
    rmdirSync(mountPoint);
  });

  it('refuses writes, shows nothing of them, stays readable, and goes on when there is space again', async () => {
    const directory = join(mountPoint, 'store');
    const padding = join(mountPoint, 'padding');
    writeFileSync(padding, Buffer.alloc(3_000_000));
    let backend = await openLmdbBackend({ directory });
    const acknowledged = new Map<string, number>();
    const seen: number[] = [];
    const failures: string[] = [];
    backend.subscribe((batch) => seen.push(...batch.events.map((event) => event.kv.modRevision)));
    const write = async (name: string) => {
      const key = `/registry/configmaps/ns/${name}`;
      try {
        const result = await backend.create(key, Buffer.alloc(1000, name));
        if (result.ok) acknowledged.set(key, result.revision);
      } catch (error) {
        failures.push(`${(error as { code?: string }).code}: ${(error as Error).message}`);
      }
    };
    const check = async () => {
      const { kvs, revision } = await backend.list('/registry/');
      expect(kvs.map((kv) => [kv.key, kv.modRevision])).toEqual([...acknowledged].sort(([a], [b]) => (a < b ? -1 : 1)));
      expect(seen).toEqual([...acknowledged.values()].sort((a, b) => a - b));
      expect(revision).toBe(Math.max(...acknowledged.values()));
    };

    for (let round = 0; failures.length < 64; round++) await Promise.all(Array.from({ length: 16 }, (_, i) => write(`full-${round}-${i}`)));
    expect(new Set(failures)).toEqual(new Set(['unavailable: the store cannot be written: no space left on the device']));
    expect(acknowledged.size).toBeGreaterThan(300);
    await check();

    rmSync(padding);
    failures.length = 0;
    for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 16 }, (_, i) => write(`again-${round}-${i}`)));
    expect(failures).toEqual([]);
    await check();

    await backend.close();
    seen.length = 0;
    seen.push(...acknowledged.values());
    backend = await openLmdbBackend({ directory });
    await check();
    await backend.close();
  });

  it('can be opened and read while it is full', async () => {
    const directory = join(mountPoint, 'readable');
    const before = await openLmdbBackend({ directory });
    await before.create('/registry/configmaps/ns/a', Buffer.from('1'));
    await before.close();
    const padding = join(mountPoint, 'padding');
    let size = 6_000_000;
    while (size > 1000) {
      try {
        writeFileSync(padding, Buffer.alloc(size), { flag: 'a' });
      } catch {
        size = Math.floor(size / 2);
      }
    }
    const full = await openLmdbBackend({ directory });
    expect((await full.get('/registry/configmaps/ns/a')).kv?.value.length).toBe(1);
    await full.close();
    rmSync(padding);
  });
});
