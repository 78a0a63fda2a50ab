import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openLmdbBackend } from '@coffer/storage/backend/lmdb';
import { expect, it } from 'vitest';
import { bundleScript } from '../support/bundle-script.ts';
import { delay, eventually } from '../support/coffer-process.ts';
import { Expectation } from './expectation.ts';
import { seededRandom } from './seeded-random.ts';

const kills = process.env.COFFER_SOAK === '1' ? 200 : 20;

it(`loses nothing in ${kills} kills of the store's process under 16 writers`, { timeout: 60_000 + kills * 6_000 }, async () => {
  const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);
  const random = seededRandom(seed);
  const directory = mkdtempSync(join(tmpdir(), 'coffer-kill-'));
  const program = await bundleScript(new URL('store-writer.ts', import.meta.url));
  const expectation = new Expectation();
  let resumeAfter = 1;
  for (let kill = 0; kill < kills; kill++) {
    const before = expectation.count;
    const writer = spawn(process.execPath, [program, directory, '16', '500'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    const ended = new Promise((resolve) => writer.once('close', resolve));
    writer.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
    });
    const enough = 1000 + random() * 30_000;
    await eventually('writes', () => output.length >= enough);
    await delay(random() * 10);
    writer.kill('SIGKILL');
    await ended;
    // The last line may be cut off; it was not said then.
    for (const line of output.split('\n').slice(0, -1)) expectation.note(line);
    expect(expectation.failures).toEqual([]);
    expect(expectation.count, 'the writer came to write').toBeGreaterThan(before);
    const backend = await openLmdbBackend({ directory });
    expect(await expectation.problems(backend, resumeAfter), `seed ${seed}, kill ${kill}`).toEqual([]);
    resumeAfter = await backend.currentRevision();
    await backend.close();
  }
  rmSync(directory, { recursive: true });
  rmSync(program);
  console.log(`${kills} kills, ${expectation.count} acknowledged writes, all there (seed ${seed}; COFFER_SOAK=1 kills 200 times)`);
});
