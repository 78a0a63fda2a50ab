import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { makePrivateDirectory, syncDirectory } from '@coffer/base/files/atomic-file';
import { openLmdbBackend } from '@coffer/storage/backend/lmdb';
import { extractBackup } from '@coffer/storage/rotation/backup-file';
import { dataPaths } from '../config/paths.ts';
import { printLine } from './server-client.ts';

/** Further than any server can have come since the backup was made. */
const revisionStep = 1_000_000_000;

/**
 * `coffer restore FILE`: makes the store of a new data directory. Its revision is far above everything the lost one has said, and
 * all before it counts as compacted, so that every client lists again instead of missing what it does not know. The store
 * appears in one step, when it is complete.
 */
export async function runRestore(file: string, dataDir: string): Promise<void> {
  const paths = dataPaths(dataDir);
  await makePrivateDirectory(paths.root);
  const workshop = path.join(paths.root, 'restoring');
  const others = (await readdir(paths.root)).filter((name) => name !== path.basename(paths.keys) && name !== path.basename(workshop));
  if (others.length > 0) throw new Error(`the data directory ${paths.root} is not empty: ${others.slice(0, 5).join(', ')}`);
  await rm(workshop, { recursive: true, force: true });
  await mkdir(workshop, { mode: 0o700 });
  try {
    const header = await extractBackup(path.resolve(file), path.join(workshop, 'data.mdb'));
    await chmod(path.join(workshop, 'data.mdb'), 0o600);
    const backend = await openLmdbBackend({ directory: workshop });
    const revision = Math.max(header.revision, await backend.currentRevision()) + revisionStep;
    await backend.raiseRevision(revision);
    await backend.close();
    await rename(workshop, paths.store);
    await syncDirectory(paths.root);
    printLine(`restored to ${paths.root} at revision ${revision} (backup of ${header.createdAt}, revision ${header.revision})`);
    if (header.keys.length > 0) {
      printLine(`needed to start it, and not in the backup: the encryption configuration with ${header.keys.join(' ')}`);
      printLine(`put it at ${paths.encryptionConfiguration}, or start with --encryption-provider-config`);
    }
  } catch (error) {
    await rm(workshop, { recursive: true, force: true });
    throw error;
  }
}
