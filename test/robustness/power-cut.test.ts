import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleScript } from '../support/bundle-script.ts';
import { DiskReplay, type FileOperation, parseRecording } from './recorded-files.ts';
import { seededRandom } from './seeded-random.ts';

const hasStrace = spawnSync('strace', ['-V']).status === 0;
if (!hasStrace) console.log('skipped: power cuts (no strace on this machine; Debian: strace)');
const calls =
  'openat,close,lseek,pwrite64,pwritev,pwritev2,write,writev,fdatasync,fsync,sync_file_range,msync,ftruncate,fallocate,link,unlink,rename,renameat2';

const maxCheckMs = 3000;

describe.skipIf(!hasStrace)('a power cut', () => {
  let writer: string;
  let checkerProgram: string;
  let scratch: string;

  beforeAll(async () => {
    scratch = realpathSync(mkdtempSync(join(tmpdir(), 'coffer-power-')));
    writer = await bundleScript(new URL('store-writer.ts', import.meta.url));
    checkerProgram = await bundleScript(new URL('store-checker.ts', import.meta.url));
  });
  afterAll(() => {
    rmSync(scratch, { recursive: true });
    rmSync(writer);
    rmSync(checkerProgram);
  });

  /** Runs the writer under strace until it has made its writes. */
  async function record(
    name: string,
    sync: 'sync' | 'no-sync',
  ): Promise<{ readonly directory: string; readonly operations: FileOperation[] }> {
    const directory = join(scratch, name);
    mkdirSync(directory);
    const trace = join(scratch, `${name}.trace`);
    const options = ['-f', '-xx', '-s', '16777216', '-o', trace, '-e', `trace=${calls}`];
    const child = spawn('strace', [...options, process.execPath, writer, directory, '16', '900', sync, '600'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => child.once('close', resolve));
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    await ended;
    expect(output.slice(-5)).toBe('done\n');
    return { directory, operations: parseRecording(readFileSync(trace, 'latin1'), directory) };
  }

  /** Cuts the power at `count` random points (or fewer, when `enough` of them went wrong); answers the problems found, by cut. */
  async function cutAndCheck(
    recording: Awaited<ReturnType<typeof record>>,
    count: number,
    seed: number,
    enough = count,
  ): Promise<string[][]> {
    const { directory, operations } = recording;
    const random = seededRandom(seed);
    // A fifth of them while the store is being made, when the most different things happen.
    const first = operations.findIndex(({ type }) => type === 'said');
    const points = Array.from({ length: count }, (_, i) => 1 + Math.floor(random() * (i % 5 === 0 ? first : operations.length)));
    points.sort((a, b) => a - b);
    const replay = new DiskReplay(directory);
    const checker = new Checker(checkerProgram);
    const said: string[] = [];
    const found: string[][] = [];
    let position = 0;
    for (const point of points) {
      if (found.length === enough) break;
      for (; position < point; position++) {
        const operation = operations[position];
        if (operation === undefined) break;
        if (operation.type === 'said') said.push(operation.line);
        else replay.apply(operation);
      }
      const rebuilt = mkdtempSync(join(scratch, 'cut-'));
      for (const [name, content] of replay.cut(random)) {
        mkdirSync(dirname(join(rebuilt, name)), { recursive: true });
        writeFileSync(join(rebuilt, name), content);
      }
      const problems = await checker.check(rebuilt, said);
      if (problems.length > 0) found.push([`cut at operation ${point} of ${operations.length}`, ...problems.slice(0, 3)]);
      rmSync(rebuilt, { recursive: true });
    }
    await checker.close();
    return found;
  }

  it('loses nothing that was acknowledged and nothing that a watcher saw, at 200 points', async () => {
    const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);
    const recording = await record('synced', 'sync');
    const syncs = recording.operations.filter(({ type }) => type === 'sync').length;
    expect(syncs).toBeGreaterThan(30);
    expect(await cutAndCheck(recording, 200, seed), `seed ${seed}`).toEqual([]);
    console.log(`200 power cuts in ${recording.operations.length} recorded operations with ${syncs} syncs, nothing lost (seed ${seed})`);
  });

  it('is noticed by this test when syncing is switched off', async () => {
    const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);
    const found = await cutAndCheck(await record('unsynced', 'no-sync'), 30, seed, 8);
    expect(found.length, `seed ${seed}`).toBe(8);
  });
});

/** The checking process; started again when a store took it down. */
class Checker {
  readonly #program: string;
  #child: ChildProcess | undefined;
  #lines: Interface | undefined;

  constructor(program: string) {
    this.#program = program;
  }

  async check(directory: string, said: readonly string[]): Promise<string[]> {
    if (this.#child === undefined) {
      this.#child = spawn(process.execPath, [this.#program], { stdio: ['pipe', 'pipe', 'ignore'] });
      if (this.#child.stdout !== null) this.#lines = createInterface({ input: this.#child.stdout });
    }
    const child = this.#child;
    const answer = new Promise<string[]>((resolve) => {
      // Going round in circles in a damaged tree is a way of not being able to read it, too.
      const timer = setTimeout(() => child.kill('SIGKILL'), maxCheckMs);
      child.once('exit', (code, signal) => {
        if (this.#child === child) this.#child = undefined;
        clearTimeout(timer);
        resolve([`the reader ended with ${signal ?? code}`]);
      });
      this.#lines?.once('line', (line) => {
        clearTimeout(timer);
        resolve((JSON.parse(line) as { problems: string[] }).problems);
      });
    });
    child.stdin?.write(`${JSON.stringify({ directory, said })}\n`);
    const problems = await answer;
    child.removeAllListeners('exit');
    return problems;
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdin?.end();
    await ended;
  }
}
