import { readFile, realpath } from 'node:fs/promises';
import type { StorageAdmin } from '@coffer/apiserver/server/storage-endpoints';
import { writeFileAtomic } from '@coffer/base/files/atomic-file';
import { systemClock } from '@coffer/base/time/clock';
import { LmdbBackend } from '@coffer/storage/backend/lmdb';
import { writeBackup } from '@coffer/storage/rotation/backup-file';
import { encryptionStatus } from '@coffer/storage/rotation/encryption-status';
import { keysInUse } from '@coffer/storage/rotation/keys-in-use';
import { Rotation, type RotationRecord } from '@coffer/storage/rotation/rotation';
import type { ServerRegistry } from '@coffer/storage/rotation/server-registry';
import { verify } from '@coffer/storage/rotation/verify';
import type { DataPaths } from '../config/paths.ts';
import type { ServerEncryption } from './encryption.ts';
import type { OpenStore } from './store.ts';

/** What `coffer encryption` and `coffer backup` ask of the server. */
export interface WiredStorageAdmin extends StorageAdmin {
  /** Stops a running rotation between two of its writes. */
  close(): Promise<void>;
}

export function wireStorageAdmin(
  encryption: ServerEncryption,
  { storage, backend }: OpenStore,
  paths: DataPaths,
  registry: ServerRegistry | undefined,
): WiredStorageAdmin {
  const { configuration, usage, resources } = encryption;
  const lmdb = backend instanceof LmdbBackend ? backend : undefined;
  const prefixes = () => [...new Set([...resources.map(({ prefix }) => prefix), ...storage.stores.map((store) => store.config.prefix)])];
  const rotation = new Rotation({
    storage,
    backend,
    clock: systemClock,
    configuration: {
      read: () => readFile(configuration.file, 'utf8'),
      // Behind a symbolic link the file itself is changed.
      write: async (text) => writeFileAtomic(await realpath(configuration.file), text),
    },
    acknowledged: async () => {
      await configuration.reload();
      await registry?.acknowledged();
    },
    records: rotationRecords(paths.encryptionRotation),
    prefixes,
    hasPluginKeys: () => configuration.current.healthChecks.length > 0,
    ...(lmdb === undefined ? {} : { exchangeFile: (reached) => lmdb.exchangeFile(reached) }),
    failpoint: failpoints(process.env.COFFER_FAILPOINT),
  });
  return {
    async status() {
      const unfinished = await rotation.unfinished();
      return {
        ...(await encryptionStatus({ backend, storage, configuration, usage, resources, prefixes: prefixes() })),
        ...(rotation.progress === undefined ? {} : { rotation: rotation.progress }),
        ...(unfinished === undefined ? {} : { unfinishedRotation: unfinished }),
      };
    },
    rotate: (rate) => rotation.start(rate),
    rotation: () => rotation.progress,
    verify: () => {
      const encrypted = (group: string, resource: string) => configuration.current.prefixesFor(group, resource)[0] !== '';
      const known = storage.stores.flatMap((store) => {
        const row = resources.find(({ prefix }) => prefix === store.config.prefix);
        return row === undefined ? [] : [{ store, ...row, transformer: configuration.transformerFor(row.group, row.resource) }];
      });
      const hasValues = (prefix: string) => prefix === 'secrets' || prefix === 'configmaps';
      const isConfidential = ({ prefix, group, resource }: (typeof known)[number]) =>
        prefix === 'secrets' || (hasValues(prefix) && encrypted(group, resource));
      const deps = {
        backend,
        directory: lmdb === undefined ? undefined : paths.store,
        confidential: known.filter(isConfidential),
        open: known.filter((row) => !isConfidential(row) && !encrypted(row.group, row.resource)).map(({ store }) => store),
      };
      return verify(deps, () => systemClock.monotonicMs());
    },
    ...(lmdb === undefined
      ? {}
      : {
          async backup(write: (chunk: Uint8Array) => Promise<void>) {
            const keys = [...(await keysInUse(backend, prefixes()))].filter((head) => head !== '');
            const createdAt = new Date(systemClock.now()).toISOString();
            await writeBackup(lmdb, paths.store, { createdAt, revision: await backend.currentRevision(), keys }, write);
          },
        }),
    close: () => rotation.close(),
  };
}

function rotationRecords(file: string) {
  return {
    async load(): Promise<RotationRecord | undefined> {
      try {
        return JSON.parse(await readFile(file, 'utf8')) as RotationRecord;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw new Error(`the record of the rotation cannot be read: ${file}`, { cause: error });
      }
    },
    save: (record: RotationRecord) => writeFileAtomic(file, `${JSON.stringify(record, null, 2)}\n`),
  };
}

/** `COFFER_FAILPOINT=name` or `name:N` ends the process as a crash would, the first or the Nth time it gets there. */
function failpoints(setting: string | undefined): (name: string) => void {
  const [wanted, count = '1'] = (setting ?? '').split(':');
  let left = Number(count);
  return (name) => {
    if (name === wanted && --left === 0) process.kill(process.pid, 'SIGKILL');
  };
}
