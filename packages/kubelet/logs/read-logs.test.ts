import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogOptions } from '@coffer/api/node/node-api';
import { systemClock } from '@coffer/base/time/clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { everything } from '../testing/log-options.ts';
import { tailText } from './log-lines.ts';
import { readLogs } from './read-logs.ts';

let dir = '';
let path = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'logs-'));
  path = join(dir, '0.log');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

function line(second: number, text: string, tag = 'F', stream = 'stdout'): string {
  return `2026-01-01T00:00:${String(second).padStart(2, '0')}.000000000Z ${stream} ${tag} ${text}\n`;
}

/** `written` is told of every piece as it comes. */
async function read(options: Partial<LogOptions>, mayGrow: () => boolean = () => false, written = (_text: string) => {}): Promise<string> {
  let text = '';
  const out = {
    write: async (chunk: Uint8Array) => {
      text += Buffer.from(chunk).toString('utf8');
      written(text);
    },
  };
  await readLogs({ path, mayGrow }, { ...everything, ...options }, out, systemClock, new AbortController().signal);
  return text;
}

describe('readLogs', () => {
  beforeEach(() =>
    writeFile(
      path,
      line(1, 'one') + line(2, 'err', 'F', 'stderr') + line(3, 'split ', 'P') + line(3, 'line') + line(4, '') + line(5, 'five'),
    ),
  );

  it.each<[Partial<LogOptions>, string]>([
    [{}, 'one\nerr\nsplit line\n\nfive\n'],
    [{ tailLines: 2 }, '\nfive\n'],
    [{ tailLines: 0 }, ''],
    [{ tailLines: 100 }, 'one\nerr\nsplit line\n\nfive\n'],
    [{ limitBytes: 6 }, 'one\ner'],
    [{ sinceTime: '2026-01-01T00:00:04Z' }, '\nfive\n'],
    [{ timestamps: true, tailLines: 1 }, '2026-01-01T00:00:05.000000000Z five\n'],
    [{ timestamps: true, sinceTime: '2026-01-01T00:00:03Z', limitBytes: 42 }, '2026-01-01T00:00:03.000000000Z split line\n'],
  ])('%j', async (options, expected) => {
    expect(await read(options)).toBe(expected);
  });

  it('is empty when there is no file', async () => {
    await rm(path);
    expect(await read({})).toBe('');
  });

  it('follows a container until it ends, across rotation, and loses nothing', async () => {
    let running = true;
    let reading: Promise<string> | undefined;
    // Only when the tail was shown is it clear that what follows is no part of it.
    await new Promise<void>((resolve) => {
      reading = read(
        { follow: true, tailLines: 1 },
        () => running,
        () => resolve(),
      );
    });
    await appendFile(path, line(6, 'six'));
    await appendFile(path, line(7, 'torn').slice(0, 20));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await appendFile(path, line(7, 'torn').slice(20));
    await rename(path, `${path}.old`);
    await writeFile(path, line(8, 'new file'));
    await new Promise((resolve) => setTimeout(resolve, 20));
    await appendFile(path, line(9, 'last'));
    running = false;
    expect(await reading).toBe('five\nsix\ntorn\nnew file\nlast\n');
  });
});

describe('tailText', () => {
  it('gives the last lines within both limits', async () => {
    await writeFile(path, Array.from({ length: 200 }, (_, i) => line(1, `line ${i}`)).join(''));
    expect(await tailText(path, 2, 2048)).toBe('line 198\nline 199\n');
    expect(await tailText(path, 80, 13)).toBe('198\nline 199\n');
  });
});
