import { link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { diskUsageBytes } from './disk-usage.ts';

describe('diskUsageBytes', () => {
  it('counts files below once, links as links, and nothing for what is not there', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'usage-'));
    try {
      const empty = await diskUsageBytes(directory);
      await mkdir(join(directory, 'a/b'), { recursive: true });
      await writeFile(join(directory, 'a/b/file'), Buffer.alloc(1024 * 1024, 1));
      await link(join(directory, 'a/b/file'), join(directory, 'a/again'));
      await symlink('/usr', join(directory, 'away'));
      const full = await diskUsageBytes(directory);
      expect(full - empty).toBeGreaterThanOrEqual(1024 * 1024);
      expect(full - empty).toBeLessThan(1024 * 1024 + 64 * 1024);
      expect(await diskUsageBytes(join(directory, 'nothing'))).toBe(0);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
