import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import type { Backend } from '@coffer/storage/backend/backend';
import { openStorage, type Storage } from '@coffer/storage/store/storage';
import { identityTransformer } from '@coffer/storage/value/transformer';
import type { DataPaths } from '../config/paths.ts';
import type { UpFlags } from '../up/command.ts';

/** Opens the backend the flags ask for, and the storage on top of it. */
export async function openStore(flags: UpFlags, paths: DataPaths, logger: Logger): Promise<Storage> {
  return openStorage({
    backend: await openBackend(flags, paths),
    clock: systemClock,
    logger,
    transformerFor: () => identityTransformer,
    historyRetentionMs: flags.historyRetention,
    historyMaxBytes: flags.historyMaxBytes,
  });
}

async function openBackend(flags: UpFlags, paths: DataPaths): Promise<Backend> {
  switch (flags.storageBackend) {
    case 'lmdb': {
      const { openLmdbBackend } = await import('@coffer/storage/backend/lmdb');
      return openLmdbBackend({ directory: paths.store });
    }
    case 'memory': {
      const { openMemoryBackend } = await import('@coffer/storage/backend/memory');
      return openMemoryBackend();
    }
    case 'etcd':
      throw new Error('--storage-backend etcd is not part of this build');
  }
}
