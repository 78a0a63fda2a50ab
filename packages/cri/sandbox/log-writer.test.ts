import { appendFile, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from '@coffer/base/time/clock';
import { FakeClock } from '@coffer/base/time/fake-clock';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { logLines, logText } from '../runtime/contract-fixtures.ts';
import { LogWriter, rawBlocks } from './log-writer.ts';

describe('LogWriter', () => {
  let directory: string;
  let logPath: string;

  beforeEach(async () => {
    directory = await mkdtemp('/tmp/log-writer-');
    logPath = join(directory, 'logs/0.log');
  });
  const opened: LogWriter[] = [];
  afterEach(async () => {
    for (const log of opened.splice(0)) await log.close();
    await rm(directory, { recursive: true, force: true });
  });

  const writer = (clock: Clock = new FakeClock(Date.UTC(2026, 0, 2, 3, 4, 5, 6))) => {
    const log = new LogWriter({ rawDirectory: directory, logPath, clock });
    opened.push(log);
    return log;
  };
  const raw = (stream: string, text: string) => appendFile(join(directory, stream), text, 'latin1');

  it('writes time, stream, tag and line', async () => {
    await raw('stdout', 'one\ntwo\n');
    await writer().convert();
    expect(await readFile(logPath, 'utf8')).toBe(
      '2026-01-02T03:04:05.006000000Z stdout F one\n2026-01-02T03:04:05.006000001Z stdout F two\n',
    );
  });

  it('waits for the end of a line, unless the container has ended', async () => {
    const log = writer();
    await raw('stdout', 'begin');
    await log.convert();
    expect(await logLines(logPath)).toEqual([]);
    await raw('stdout', ' end\nrest');
    await log.convert(true);
    expect(await logLines(logPath)).toEqual([
      { stream: 'stdout', tag: 'F', content: 'begin end' },
      { stream: 'stdout', tag: 'P', content: 'rest' },
    ]);
  });

  it('writes an unfinished line as a partial one when nothing more comes', async () => {
    const clock = new FakeClock(Date.UTC(2026, 0, 2, 3, 4, 5, 6));
    const log = writer(clock);
    await raw('stdout', 'password: ');
    await log.convert();
    await clock.advance(150);
    await log.convert();
    expect(await logLines(logPath)).toEqual([]);
    await clock.advance(250);
    await log.convert();
    await raw('stdout', 'typed\n');
    await log.convert();
    expect(await logLines(logPath)).toEqual([
      { stream: 'stdout', tag: 'P', content: 'password: ' },
      { stream: 'stdout', tag: 'F', content: 'typed' },
    ]);
  });

  it('keeps the order of the two streams as it was noted', async () => {
    const log = writer();
    await raw('stdout', 'a\nc\nd\n');
    await raw('stderr', 'b\ne\n');
    for (const stream of ['stdout', 'stderr', 'stdout', 'stdout', 'stderr'] as const) log.noteGrowth(stream);
    await log.convert();
    expect((await logLines(logPath)).map(({ content }) => content)).toEqual(['a', 'c', 'b', 'd', 'e']);
  });

  it('is the same bytes in any pieces, over restarts and renamed logs', async () => {
    const pieces = fc.array(
      fc.record({
        stream: fc.constantFrom('stdout', 'stderr'),
        text: fc.string({ unit: fc.constantFrom('a', '\n', 'é', '\r'), maxLength: 40 }),
        restart: fc.boolean(),
      }),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(pieces, async (steps) => {
        await rm(directory, { recursive: true, force: true });
        directory = await mkdtemp('/tmp/log-writer-');
        logPath = join(directory, 'logs/0.log');
        let log = writer();
        const written = { stdout: '', stderr: '' };
        let renamed = 0;
        for (const { stream, text, restart } of steps) {
          await raw(stream, text);
          written[stream as 'stdout'] += text;
          await log.convert();
          if (restart) {
            await log.close();
            log = writer();
          } else if (text.length > 20) {
            await rename(logPath, `${logPath}.${++renamed}`);
            await log.reopen();
          }
        }
        await log.convert(true);
        await log.close();
        const files = [...Array.from({ length: renamed }, (_, i) => `${logPath}.${i + 1}`), logPath];
        const lines = (await Promise.all(files.map(logLines))).flat();
        for (const stream of ['stdout', 'stderr'] as const) {
          const read = lines.filter((line) => line.stream === stream).map(({ tag, content }) => content + (tag === 'F' ? '\n' : ''));
          expect(read.join('')).toBe(written[stream]);
        }
      }),
      { numRuns: 40 },
    );
  });

  describe('after a crash', () => {
    // The state that a crash between the numbered steps leaves: the journal names a batch that is in the log, missing, or cut.
    const prepare = async (): Promise<{ log: LogWriter; size: number }> => {
      const log = writer();
      await raw('stdout', 'first\n');
      await log.convert();
      const { length: size } = await readFile(logPath);
      await raw('stdout', 'second\nthird\n');
      await log.convert();
      await log.close();
      return { log: writer(), size };
    };

    it('goes on when the batch was written', async () => {
      const { log } = await prepare();
      await raw('stdout', 'fourth\n');
      await log.convert();
      expect(await logText(logPath)).toBe('first\nsecond\nthird\nfourth\n');
    });

    it('writes the batch again when it was not, or only in part', async () => {
      for (const extra of [0, 1, 30, 60]) {
        const { log, size } = await prepare();
        await truncate(logPath, size + extra);
        await log.convert();
        await log.close();
        expect(await logText(logPath)).toBe('first\nsecond\nthird\n');
        await rm(directory, { recursive: true, force: true });
        directory = await mkdtemp('/tmp/log-writer-');
        logPath = join(directory, 'logs/0.log');
      }
    });
  });

  it('tells listeners of every byte, also of unfinished lines', async () => {
    const log = writer();
    let heard = '';
    const stop = log.subscribe((stream, chunk) => {
      heard += `${stream}:${chunk.toString()}|`;
    });
    await raw('stderr', 'no newline');
    await log.convert();
    stop();
    await raw('stderr', '!');
    await log.convert();
    expect(heard).toBe('stderr:no newline|');
  });

  it('gives back the disk space of what is converted', async () => {
    const log = writer(systemClock);
    await writeFile(join(directory, 'stdout'), `${'x'.repeat(1023)}\n`.repeat(6 * 1024));
    const before = await rawBlocks(directory);
    await log.convert();
    expect(before * 512).toBeGreaterThan(5 * 1024 * 1024);
    expect((await rawBlocks(directory)) * 512).toBeLessThan(3 * 1024 * 1024);
    expect((await logLines(logPath)).length).toBe(6 * 1024);
  });
});
