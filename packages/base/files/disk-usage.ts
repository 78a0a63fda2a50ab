/** How much room a directory takes, as `du` counts it: blocks of everything below, each file once, without what is mounted there. */
import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const blockBytes = 512;

/** 0 for what is not there; what goes away meanwhile does not count. */
export async function diskUsageBytes(path: string): Promise<number> {
  const root = await statOf(path);
  if (root === undefined) return 0;
  const seen = new Set<number>();
  let blocks = 0;
  const pending = [{ path, stats: root }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { stats } = next;
    if (stats.dev !== root.dev) continue;
    if (stats.nlink > 1 && !stats.isDirectory()) {
      if (seen.has(stats.ino)) continue;
      seen.add(stats.ino);
    }
    blocks += stats.blocks;
    if (!stats.isDirectory()) continue;
    const directory = next.path;
    for (const name of await readdir(directory).catch(() => [])) {
      const below = join(directory, name);
      const found = await statOf(below);
      if (found !== undefined) pending.push({ path: below, stats: found });
    }
  }
  return blocks * blockBytes;
}

async function statOf(path: string): Promise<Stats | undefined> {
  return lstat(path).catch(() => undefined);
}
