import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rotateLog } from './log-rotation.ts';

let dir = '';
let path = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rotate-'));
  path = join(dir, '0.log');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const limits = { maxBytes: 10, maxFiles: 3 };

describe('rotateLog', () => {
  it('leaves a small log and a missing one alone', async () => {
    expect(await rotateLog(path, limits, 0, async () => {})).toBe(false);
    await writeFile(path, 'small');
    expect(await rotateLog(path, limits, 0, async () => {})).toBe(false);
  });

  it('keeps the newest rotated log readable, compresses older ones, removes the rest', async () => {
    for (let second = 0; second < 5; second++) {
      await writeFile(path, `content ${second} is long`);
      expect(await rotateLog(path, limits, Date.UTC(2026, 0, 1, 0, 0, second), () => writeFile(path, ''))).toBe(true);
    }
    expect((await readdir(dir)).sort()).toEqual(['0.log', '0.log.20260101-000003.gz', '0.log.20260101-000004']);
    expect(gunzipSync(await readFile(`${path}.20260101-000003.gz`)).toString()).toBe('content 3 is long');
  });

  it('puts the log back when the runtime cannot reopen it', async () => {
    await writeFile(path, 'long enough to rotate');
    await expect(
      rotateLog(path, limits, 0, async () => {
        throw new Error('no');
      }),
    ).rejects.toThrow('no');
    expect(await readdir(dir)).toEqual(['0.log']);
  });
});
