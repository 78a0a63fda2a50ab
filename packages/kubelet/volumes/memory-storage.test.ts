import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryStorage } from './memory-storage.ts';
import { createMounter } from './mounter.ts';

const mounter = createMounter();
let rootDir = '';
beforeEach(async () => {
  rootDir = await mkdtemp(join(tmpdir(), 'memory-'));
});
afterEach(async () => {
  await new MemoryStorage(mounter, rootDir).release();
  await rm(rootDir, { recursive: true, force: true });
});

/** Puts data of a pod there, as an earlier kubelet did. */
async function leave(uid: string): Promise<string> {
  const directory = await new MemoryStorage(mounter, rootDir).directory();
  await mkdir(join(directory, uid));
  await writeFile(join(directory, uid, 'secret'), 'x');
  return directory;
}

describe('MemoryStorage', () => {
  it('is memory-backed, and found again by the next kubelet', async () => {
    const directory = await leave('one');
    expect(await mounter.isMemoryBacked(directory)).toBe(true);
    const next = new MemoryStorage(mounter, rootDir);
    expect(await next.directory()).toBe(directory);
    expect(await readdir(directory)).toEqual(['one']);
  });

  it('removes what an earlier kubelet left of a pod, though nothing was asked of it yet', async () => {
    const directory = await leave('one');
    await leave('two');
    await new MemoryStorage(mounter, rootDir).removePod('one');
    expect(await readdir(directory)).toEqual(['two']);
  });

  it('gives back what an earlier kubelet left', async () => {
    const directory = await leave('one');
    await new MemoryStorage(mounter, rootDir).release();
    expect(await mounter.isMountPoint(directory)).toBe(false);
    await expect(readdir(directory)).rejects.toThrow('ENOENT');
  });

  it('is given back as unused only when nothing of a pod is in it', async () => {
    const directory = await leave('one');
    const storage = new MemoryStorage(mounter, rootDir);
    await storage.releaseUnused();
    expect(await readdir(directory)).toEqual(['one']);
    await storage.removePod('one');
    await storage.releaseUnused();
    expect(await mounter.isMountPoint(directory)).toBe(false);
    await expect(readdir(directory)).rejects.toThrow('ENOENT');
    expect(await storage.directory()).toBe(directory);
  });
});
