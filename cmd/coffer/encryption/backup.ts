import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '@coffer/base/files/atomic-file';
import { checkBackup } from '@coffer/storage/rotation/backup-file';
import type { ServerFlags } from './command.ts';
import { printJson, printLine, withServer } from './server-client.ts';

/** `coffer backup FILE`: the file appears when it is complete, checked and durable. */
export async function runBackup(file: string, flags: ServerFlags): Promise<void> {
  const target = path.resolve(file);
  if (existsSync(target)) throw new Error(`${target} exists already`);
  const partial = path.join(path.dirname(target), `.${path.basename(target)}.${randomBytes(6).toString('hex')}`);
  try {
    await download(flags, partial);
    const header = await checkBackup(partial);
    await rename(partial, target);
    await syncDirectory(path.dirname(target));
    if (flags.output === 'json') {
      printJson({ file: target, ...header });
      return;
    }
    printLine(`${target}: revision ${header.revision}, ${header.bytes} bytes, encrypted as in the store`);
    printLine(
      `the keys are not in it: keep the encryption configuration in another safe place (${header.keys.join(' ') || 'nothing is encrypted'})`,
    );
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function download(flags: ServerFlags, partial: string): Promise<void> {
  const sink = await open(partial, 'wx', 0o600);
  try {
    await withServer(flags, async (client) => {
      const { chunks } = await client.stream({ method: 'GET', path: '/coffer/v1/backup' });
      for await (const chunk of chunks) await sink.writeFile(chunk);
    });
    await sink.sync();
  } finally {
    await sink.close();
  }
}
