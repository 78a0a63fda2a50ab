import { readFile } from 'node:fs/promises';
import { afterEach, expect, it } from 'vitest';
import { type CofferProcess, delay, eventually, freePort } from '../support/coffer-process.ts';
import {
  createSecrets,
  EncryptionSession,
  encryption,
  encryptionStatus,
  keyFile,
  type SecretItem,
  secretsPath,
} from '../support/encryption-session.ts';
import { SecretLoad } from '../support/secret-load.ts';

// Rotation of keys while others write and read, and the server is killed: at named points of every step, and at random.

const soak = process.env.COFFER_SOAK === '1';
const count = soak ? 20_000 : 2_000;
const randomKills = soak ? 10 : 1;
const writesPerSecond = soak ? 200 : 50;
const rate = 2_000;

const session = new EncryptionSession();
afterEach(() => session.end());

// In the order of a rotation: one that is resumed after each gets to the next.
const points = [
  'rotate-1-begin',
  'rotate-1-written',
  'rotate-1-end',
  'rotate-2-begin',
  'rotate-2-written',
  'rotate-2-end',
  'rotate-3-begin',
  'rotate-3-write:7',
  `rotate-3-write:${count / 2}`,
  'rotate-3-end',
  'rotate-4-begin',
  'rotate-4-compacted',
  'rotate-4-copied',
  'rotate-4-renamed',
  'rotate-4-end',
  'rotate-5-begin',
  'rotate-5-written',
  'rotate-5-end',
];

it(
  `rotates ${count} Secrets under ${writesPerSecond} writes a second, whatever the moment it is killed`,
  async () => {
    const dataDir = await session.newDirectory();
    const port = await freePort();
    let server = await session.start(dataDir, { port });
    await createSecrets(server, count);
    const firstKey = await writingKey(server);
    const load = new SecretLoad({ server: () => server, names: Array.from({ length: count }, (_, i) => `s${i}`), writesPerSecond });
    const begin = () => server.call('POST', `/coffer/v1/encryption/rotate?rate=${rate}`);

    await server.stop('SIGKILL');
    for (const [i, failpoint] of points.entries()) {
      server = await session.start(dataDir, { port, failpoint });
      if (i > 0) expect((await encryptionStatus(server)).unfinishedRotation, failpoint).toBeDefined();
      await begin().catch(() => undefined);
      await eventually(`the end of the process at ${failpoint}`, () => server.child.signalCode === 'SIGKILL', 300_000);
    }
    server = await session.start(dataDir, { port });
    expect((await encryption(server, 'rotate', '--rate', String(rate))).json).toMatchObject({ step: 'done', resumed: true });
    await expectOneKey(server, firstKey);

    const secondKey = await writingKey(server);
    for (let kill = 0; kill < randomKills; kill++) {
      expect((await begin()).status).toBe(202);
      await delay(Math.random() * (count / rate) * 1500);
      await server.stop('SIGKILL');
      server = await session.start(dataDir, { port });
    }
    await encryption(server, 'rotate', '--rate', String(rate));
    await expectOneKey(server, secondKey);

    const lastKey = await writingKey(server);
    const writtenBefore = await bytesWritten(server);
    const rotated = await encryption(server, 'rotate', '--rate', String(rate));
    const written = (await bytesWritten(server)) - writtenBefore;
    expect(rotated).toMatchObject({ stderr: '', json: { step: 'done', resumed: false } });
    expect(rotated.json.written).toBeGreaterThanOrEqual(count);
    await expectOneKey(server, lastKey);

    const expected = await load.stop();
    expect(load.failures).toEqual([]);
    expect(load.unanswered).toBeGreaterThan(0);
    await expectContents(server, expected);
    expect((await encryption(server, 'verify')).json).toMatchObject({ passed: true, foundValues: 0 });
    const { exchange, durationMs } = rotated.json;
    console.log(
      `${count} Secrets, ${points.length} kills at named points and ${randomKills} at random, ${load.writes} writes and ${load.reads} reads meanwhile. ` +
        `One rotation: ${durationMs} ms at --rate ${rate}, writes paused ${exchange.pausedMs} ms, ${written} bytes written (the store's file: ${exchange.bytesAfter})`,
    );

    await server.stop('SIGKILL');
    server = await session.start(dataDir, { port });
    await expectContents(server, expected);
  },
  soak ? 1_800_000 : 300_000,
);

async function writingKey(server: CofferProcess): Promise<string> {
  return (await encryptionStatus(server)).resources[0].writesWith;
}

/** Everything was written with one key, which is not `old`, and the file does not have `old` any more. */
async function expectOneKey(server: CofferProcess, old: string): Promise<void> {
  const status = await encryptionStatus(server);
  const [secrets] = status.resources;
  expect(Object.keys(secrets.objects)).toEqual([secrets.writesWith]);
  expect(secrets.writesWith).not.toBe(old);
  expect(status.unfinishedRotation).toBeUndefined();
  expect(await readFile(keyFile(server), 'utf8')).not.toContain(old.split('/')[1]);
}

/** The Secrets that were written have their last value, and no other one is missing. */
async function expectContents(server: CofferProcess, expected: ReadonlyMap<string, string>): Promise<void> {
  const items = (await server.call('GET', secretsPath)).body.items as SecretItem[];
  const values = new Map(items.map(({ metadata, data }) => [metadata.name, data?.v]));
  const wrong = [...expected].filter(([name, value]) => values.get(name) !== value).map(([name]) => name);
  expect(wrong).toEqual([]);
  expect(items).toHaveLength(count + [...expected.keys()].filter((name) => name.startsWith('new')).length);
}

/** Bytes of files that the process has had written to the disk. */
async function bytesWritten(server: CofferProcess): Promise<number> {
  const counters = await readFile(`/proc/${server.child.pid}/io`, 'utf8');
  return Number(/^write_bytes: (\d+)$/m.exec(counters)?.[1]);
}
