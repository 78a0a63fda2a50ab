import { mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditEvent } from './backend.ts';
import { AuditLogBackend, type AuditLogOptions } from './log-backend.ts';

let folder: string;
let clock: FakeClock;
let dropped: number;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'coffer-audit-'));
  clock = new FakeClock();
  dropped = 0;
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const event = (id: string) => ({ kind: 'Event', auditID: id }) as unknown as AuditEvent;

function open(options: Partial<AuditLogOptions> = {}): AuditLogBackend {
  return new AuditLogBackend({
    path: path.join(folder, 'audit.log'),
    maxBytes: 0,
    maxAgeMs: 0,
    maxBackups: 0,
    mode: 'blocking',
    maxQueued: 100,
    clock,
    logger: silentLogger,
    onDropped: (count) => {
      dropped += count;
    },
    ...options,
  });
}

async function idsIn(file: string): Promise<string[]> {
  const lines = (await readFile(path.join(folder, file), 'utf8')).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line).auditID);
}

describe('AuditLogBackend', () => {
  it('writes one line per event, in order, for the owner only', async () => {
    const log = open();
    await Promise.all(['a', 'b', 'c'].map((id) => log.record(event(id))));
    expect(await idsIn('audit.log')).toEqual(['a', 'b', 'c']);
    expect((await stat(path.join(folder, 'audit.log'))).mode & 0o777).toBe(0o600);
    await log.close();
    const again = open();
    await again.record(event('d'));
    await again.close();
    expect(await idsIn('audit.log')).toEqual(['a', 'b', 'c', 'd']);
  });

  it('rotates by size and keeps as many old files as asked, and those of others', async () => {
    await writeFile(path.join(folder, 'audit-notes.log'), 'not ours');
    const log = open({ maxBytes: 40, maxBackups: 2 });
    for (const id of ['1', '2', '3', '4', '5']) {
      await log.record(event(id));
      await clock.advance(1_000);
    }
    await log.close();
    const files = (await readdir(folder)).sort();
    expect(files).toEqual(['audit-2026-01-01T00-00-03.000.log', 'audit-2026-01-01T00-00-04.000.log', 'audit-notes.log', 'audit.log']);
    expect(await Promise.all(['audit-2026-01-01T00-00-03.000.log', 'audit-2026-01-01T00-00-04.000.log', 'audit.log'].map(idsIn))).toEqual([
      ['3'],
      ['4'],
      ['5'],
    ]);
  });

  it('removes old files by age and loses none that are rotated at the same time', async () => {
    const old = path.join(folder, 'audit-2025-01-01T00-00-00.000.log');
    await writeFile(old, '');
    await utimes(old, clock.now() / 1000 - 86_400, clock.now() / 1000 - 86_400);
    const log = open({ maxBytes: 10, maxAgeMs: 3_600_000 });
    for (const id of ['1', '2', '3']) await log.record(event(id));
    await log.close();
    expect((await readdir(folder)).sort()).toEqual([
      'audit-2026-01-01T00-00-00.000-1.log',
      'audit-2026-01-01T00-00-00.000.log',
      'audit.log',
    ]);
  });

  it('tells at start when the file cannot be opened', async () => {
    await expect(open({ path: path.join(folder, 'no', 'audit.log') }).open()).rejects.toThrow('cannot open the audit log');
  });
});

describe('AuditLogBackend on a full disk', () => {
  const full = async () => {
    await symlink('/dev/full', path.join(folder, 'full.log'));
    return path.join(folder, 'full.log');
  };

  it('holds the request in blocking mode, and counts what it could not write at the end', async () => {
    const log = open({ path: await full() });
    let settled = false;
    const recorded = log.record(event('a')).then(() => {
      settled = true;
    });
    for (let i = 0; i < 5; i++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await clock.advance(200);
    }
    expect([settled, dropped]).toEqual([false, 0]);
    const closed = log.close();
    await clock.advance(200);
    await closed;
    await recorded;
    expect(dropped).toBe(1);
  });

  it('fails the request in blocking-strict mode', async () => {
    const log = open({ path: await full(), mode: 'blocking-strict' });
    await expect(log.record(event('a'))).rejects.toThrow('the audit log cannot be written');
    await log.close();
  });

  it('does not hold the request in batch mode, and counts the event', async () => {
    const log = open({ path: await full(), mode: 'batch' });
    await log.record(event('a'));
    await log.record(event('b'));
    await log.close();
    expect(dropped).toBe(2);
  });

  it('keeps no more events waiting than it may', async () => {
    const log = open({ path: await full(), maxQueued: 2 });
    const first = [log.record(event('a')), log.record(event('b'))];
    await expect(log.record(event('c'))).rejects.toThrow('too many audit events wait');
    expect(dropped).toBe(1);
    const closed = log.close();
    for (let i = 0; i < 3; i++) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await clock.advance(200);
    }
    await closed;
    await Promise.all(first);
    expect(dropped).toBe(3);
  });
});
