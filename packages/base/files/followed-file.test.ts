import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLogger } from '../log/logger.ts';
import { systemClock } from '../time/clock.ts';
import { followFile } from './followed-file.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'followed-'));
});
afterEach(() => rm(directory, { recursive: true }));

it('hands on every changed text, also after one that was refused or a file that was gone', async () => {
  const file = path.join(directory, 'config.yaml');
  await writeFile(file, 'one');
  const stop = new AbortController();
  const used: string[] = [];
  const seen = new Map<string, () => void>();
  const use = async (text: string) => {
    used.push(text);
    seen.get(text)?.();
    if (text === 'broken') throw new Error('broken');
  };
  const following = followFile({ file, clock: systemClock, logger: silentLogger, use, pollMs: 5 }, 'one', stop.signal);
  const write = (text: string) =>
    new Promise<void>((resolve) => {
      seen.set(text, resolve);
      void writeFile(`${file}.new`, text)
        .then(() => rm(file, { force: true }))
        .then(() => writeFile(file, text));
    });
  await write('two');
  await write('broken');
  await write('three');
  stop.abort();
  await following;
  expect(used.filter((text) => text !== '')).toEqual(['two', 'broken', 'three']);
});
