import { lstat, mkdtemp, readdir, readFile, readlink, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeClock } from '@coffer/base/time/fake-clock';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AtomicWriterOptions, type Payload, removeOldSets, type WriterMemory, writeAtomically } from './atomic-writer.ts';

let clock: FakeClock;

function payload(files: Record<string, string>, mode = 0o644): Payload {
  return new Map(Object.entries(files).map(([path, text]) => [path, { data: Buffer.from(text), mode }]));
}

let dir = '';
beforeEach(async () => {
  clock = new FakeClock(Date.UTC(2026, 0, 31, 9, 8, 7));
  dir = await mkdtemp(join(tmpdir(), 'atomic-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function visible(): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  const walk = async (path: string) => {
    for (const name of await readdir(join(dir, path))) {
      if (path === '' && name.startsWith('..')) continue;
      const below = path === '' ? name : `${path}/${name}`;
      const real = await lstat(join(dir, path === '' ? `..data/${name}` : below));
      if (real.isDirectory()) await walk(below);
      else files[below] = await readFile(join(dir, below), 'utf8');
    }
  };
  await walk('');
  return files;
}

async function timestampedDirectories(): Promise<string[]> {
  return (await readdir(dir)).filter((name) => name.startsWith('..2'));
}

describe.each(['a writer that looks each time', 'a writer that remembers'])('writeAtomically, %s', (kind) => {
  const memories = new Map<string, WriterMemory>();
  const memoryOf = (directory: string): WriterMemory | undefined => {
    if (kind !== 'a writer that remembers') return undefined;
    const memory = memories.get(directory) ?? {};
    memories.set(directory, memory);
    return memory;
  };
  const write = (files: Payload, options: AtomicWriterOptions): Promise<boolean> => {
    const memory = memoryOf(options.directory);
    return writeAtomically(files, memory === undefined ? options : { ...options, memory });
  };

  it('lays out files as symlinks into ..data', async () => {
    expect(await write(payload({ a: '1', 'deep/er/b': '2' }), { directory: dir, clock })).toBe(true);
    expect((await readdir(dir)).filter((name) => !name.startsWith('..2')).sort()).toEqual(['..data', 'a', 'deep']);
    expect(await readlink(join(dir, 'a'))).toBe('..data/a');
    expect(await readlink(join(dir, 'deep'))).toBe('..data/deep');
    expect(await readlink(join(dir, '..data'))).toMatch(/^\.\.2026_01_31_09_08_07\.\d{9}$/);
    expect(await visible()).toEqual({ a: '1', 'deep/er/b': '2' });
  });

  it('sets modes whatever the umask is', async () => {
    const before = process.umask(0o077);
    try {
      await write(payload({ 'x/a': '1' }, 0o664), { directory: dir, clock });
    } finally {
      process.umask(before);
    }
    expect((await lstat(join(dir, '..data/x/a'))).mode & 0o7777).toBe(0o664);
    expect((await lstat(join(dir, '..data/x'))).mode & 0o7777).toBe(0o755);
  });

  it('keeps bytes exactly, empty files included', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    await write(
      new Map([
        ['bin', { data: bytes, mode: 0o600 }],
        ['empty', { data: new Uint8Array(), mode: 0o600 }],
      ]),
      {
        directory: dir,
        clock,
      },
    );
    expect([...(await readFile(join(dir, 'bin')))]).toEqual([...bytes]);
    expect((await readFile(join(dir, 'empty'))).length).toBe(0);
  });

  it('changes nothing when the payload is what is there', async () => {
    await write(payload({ a: '1' }), { directory: dir, clock });
    const target = await readlink(join(dir, '..data'));
    expect(await write(payload({ a: '1' }), { directory: dir, clock })).toBe(false);
    expect(await readlink(join(dir, '..data'))).toBe(target);
  });

  it('removes what is gone, and the directory of the old set', async () => {
    await write(payload({ a: '1', 'd/b': '2', 'd/c': '3' }), { directory: dir, clock });
    await write(payload({ 'd/b': '2' }), { directory: dir, clock });
    expect(await visible()).toEqual({ 'd/b': '2' });
    expect(await timestampedDirectories()).toHaveLength(1);
    await write(payload({}), { directory: dir, clock });
    expect(await visible()).toEqual({});
  });

  it.each([
    ['', 'must not be empty'],
    ['/etc/passwd', 'must be relative path'],
    ['../up', "must not contain '..'"],
    ['a/../../up', "must not contain '..'"],
    ['..data', "must not start with '..'"],
    [`${'n'.repeat(256)}`, 'must be less than or equal to 255 characters'],
  ])('refuses the path %j', async (path, message) => {
    await expect(write(payload({ [path]: 'x' }), { directory: dir, clock })).rejects.toThrow(message);
    expect(await readdir(dir)).toEqual([]);
  });

  it('lets a reader that holds the old set finish reading it by name of the directory it resolved', async () => {
    await write(payload({ a: 'old' }), { directory: dir, clock });
    const afterSwap: string[] = [];
    const old = join(dir, await readlink(join(dir, '..data')));
    const read = async () => afterSwap.push(await readFile(join(old, 'a'), 'utf8'));
    const pending: Promise<unknown>[] = [];
    await write(payload({ a: 'new' }), {
      directory: dir,
      clock,
      keepOldMs: 1000,
      afterStep: (step) => {
        if (step === 7) pending.push(read());
      },
    });
    await Promise.all(pending);
    expect(afterSwap).toEqual(['old']);
    expect(await visible()).toEqual({ a: 'new' });
  });

  const before = { a: '1', gone: 'x', 'd/b': '2' };
  const after = { a: '2', fresh: 'y', 'd/c': '3' };
  for (let killedAfter = 1; killedAfter <= 11; killedAfter++) {
    it(`killed after step ${killedAfter}: shows one whole set, and the next write repairs everything`, async () => {
      await write(payload(before), { directory: dir, clock });
      await expect(
        write(payload(after), {
          directory: dir,
          clock,
          afterStep: (step) => {
            if (step === killedAfter) throw new Error('killed');
          },
        }),
      ).rejects.toThrow('killed');
      const data = await readFile(join(dir, '..data/a'), 'utf8');
      expect(data).toBe(killedAfter < 8 ? '1' : '2');
      await write(payload(after), { directory: dir, clock });
      expect(await visible()).toEqual(after);
      expect(await timestampedDirectories()).toHaveLength(1);
      expect(await readdir(dir)).not.toContain('..data_tmp');
    });
  }

  it('shows one whole version to a reader that resolves ..data once, and old or new to one that goes by path', async () => {
    const set = (i: number) => payload({ a: `${i}`.repeat(2000), b: `${i}`.repeat(2000), 'd/c': `${i}` });
    await write(set(0), { directory: dir, clock, keepOldMs: 1000 });
    let writing = true;
    const problems: string[] = [];
    const reads = [0, 0];
    const byDirectory = async (reader: number) => {
      for (; writing; reads[reader] = (reads[reader] ?? 0) + 1) {
        const at = join(dir, await readlink(join(dir, '..data')));
        const [a, b, c] = await Promise.all(['a', 'b', 'd/c'].map((name) => readFile(join(at, name), 'utf8')));
        if (a !== b || a?.slice(0, c?.length) !== c) problems.push(`mixed: ${a?.slice(0, 3)} ${b?.slice(0, 3)} ${c}`);
      }
    };
    const byPath = async () => {
      while (writing) {
        const text = await readFile(join(dir, 'a'), 'utf8');
        if (text === '' || text !== text.slice(0, text.length / 2000).repeat(2000)) problems.push(`torn: ${text.length} bytes`);
      }
    };
    const readers = Promise.all([byDirectory(0), byDirectory(1), byPath()]);
    readers.catch(() => {
      writing = false;
    });
    for (let i = 1; i <= 60 && writing; i++) {
      await write(set(i), { directory: dir, clock, keepOldMs: 1000 });
      // Time goes by only as fast as the readers read: none of them is slower than old sets are kept.
      const before = [...reads];
      while (writing && reads.some((count, reader) => count === before[reader])) await new Promise((resolve) => setTimeout(resolve, 1));
      await clock.advance(100);
    }
    writing = false;
    await readers;
    expect(problems).toEqual([]);
    const memory = memoryOf(dir);
    await clock.advance(1000);
    await removeOldSets({ directory: dir, clock, keepOldMs: 1000, ...(memory === undefined ? {} : { memory }) });
    expect(await timestampedDirectories()).toHaveLength(1);
  });

  it('ends at the last payload whatever was killed where', async () => {
    const name = fc.constantFrom('a', 'b', 'd/x', 'd/y', 'e');
    const files = fc.dictionary(name, fc.string({ maxLength: 5 }), { maxKeys: 4, noNullPrototype: true });
    const steps = fc.array(fc.record({ files, killedAfter: fc.integer({ min: 0, max: 11 }) }), { minLength: 1, maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(steps, files, async (writes, last) => {
        const directory = await mkdtemp(join(dir, 'run-'));
        for (const { files: wanted, killedAfter } of writes) {
          const afterStep = (step: number) => {
            if (step === killedAfter) throw new Error('killed');
          };
          await write(payload(wanted), { directory, clock, afterStep }).catch(() => {});
        }
        await write(payload(last), { directory, clock });
        const entries = (await readdir(directory)).filter((entry) => !entry.startsWith('..'));
        expect(entries.sort()).toEqual([...new Set(Object.keys(last).map((path) => path.split('/')[0] ?? ''))].sort());
        for (const [path, text] of Object.entries(last)) expect(await readFile(join(directory, path), 'utf8')).toBe(text);
        expect((await readdir(directory)).filter((entry) => entry.startsWith('..')).length).toBe(2);
      }),
      { numRuns: 40 },
    );
  });

  it('replaces a foreign link under one of its names', async () => {
    await write(payload({ a: '1' }), { directory: dir, clock });
    await rm(join(dir, 'a'));
    await symlink('/etc/passwd', join(dir, 'a'));
    await write(payload({ a: '1' }), { directory: dir, clock });
    expect(await readlink(join(dir, 'a'))).toBe('..data/a');
  });

  it('takes up what another writer left, sets that readers had open included', async () => {
    await writeAtomically(payload({ a: '1', 'd/b': '1' }), { directory: dir, clock, keepOldMs: 1000 });
    await writeAtomically(payload({ a: '2', 'd/b': '2' }), { directory: dir, clock, keepOldMs: 1000 });
    for (const text of ['3', '4', '5']) {
      await write(payload({ a: text, 'd/b': text }), { directory: dir, clock, keepOldMs: 1000 });
      expect(await timestampedDirectories()).toHaveLength(2);
      await clock.advance(1000);
    }
    const memory = memoryOf(dir);
    await clock.advance(1000);
    await removeOldSets({ directory: dir, clock, keepOldMs: 1000, ...(memory === undefined ? {} : { memory }) });
    expect(await timestampedDirectories()).toHaveLength(1);
    expect(await visible()).toEqual({ a: '5', 'd/b': '5' });
  });

  it('removes what an interrupted write left, even when there is nothing to write', async () => {
    await write(payload({ a: '1' }), { directory: dir, clock });
    const afterStep = (step: number) => {
      if (step === 7) throw new Error('killed');
    };
    await expect(write(payload({ a: '2' }), { directory: dir, clock, afterStep })).rejects.toThrow('killed');
    await write(payload({ a: '1' }), { directory: dir, clock });
    expect((await readdir(dir)).filter((name) => name.startsWith('..'))).toHaveLength(2);
    expect(await visible()).toEqual({ a: '1' });
  });

  it('repairs what somebody removed when the same is written again', async () => {
    await write(payload({ a: '1' }), { directory: dir, clock });
    await rm(join(dir, '..data/a'));
    expect(await write(payload({ a: '1' }), { directory: dir, clock })).toBe(true);
    expect(await visible()).toEqual({ a: '1' });
  });

  it('sets the same modes when it is told the umask', async () => {
    const before = process.umask(0o027);
    try {
      await write(payload({ a: '1' }, 0o644), { directory: dir, clock, umask: 0o027 });
      await write(payload({ a: '2', b: '2' }, 0o400), { directory: dir, clock, umask: 0o027 });
    } finally {
      process.umask(before);
    }
    expect((await lstat(join(dir, '..data/b'))).mode & 0o7777).toBe(0o400);
    expect((await lstat(join(dir, await readlink(join(dir, '..data'))))).mode & 0o7777).toBe(0o755);
  });
});

describe('a writer that remembers', () => {
  const keepOldMs = 1000;

  it('leaves every set to its readers for as long as was asked, however many follow', async () => {
    const memory: WriterMemory = {};
    const options = { directory: dir, clock, keepOldMs, memory };
    await writeAtomically(payload({ a: '0' }), options);
    const opened = join(dir, await readlink(join(dir, '..data')));
    for (let i = 1; i <= 9; i++) {
      await writeAtomically(payload({ a: `${i}` }), options);
      await clock.advance(100);
      await removeOldSets(options);
      expect(await readFile(join(opened, 'a'), 'utf8')).toBe('0');
    }
    await clock.advance(100);
    await removeOldSets(options);
    await expect(readFile(join(opened, 'a'), 'utf8')).rejects.toThrow('ENOENT');
    expect(await timestampedDirectories()).toHaveLength(9);
    await clock.advance(1000);
    await removeOldSets(options);
    expect(await timestampedDirectories()).toHaveLength(1);
  });

  it('keeps no more than a few large ones', async () => {
    const memory: WriterMemory = {};
    const options = { directory: dir, clock, keepOldMs, memory };
    const large = (i: number): Payload => new Map([['a', { data: Buffer.alloc(12 * 1024 * 1024, i), mode: 0o644 }]]);
    for (let i = 0; i < 6; i++) await writeAtomically(large(i), options);
    expect(await timestampedDirectories()).toHaveLength(3);
  });
});
