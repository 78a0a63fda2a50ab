import { readFile } from 'node:fs/promises';
import { decodeObject } from '@coffer/api/codec/decode';
import { parseApiVersion } from '@coffer/api/meta/object';
import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import type { Backend } from '@coffer/storage/backend/backend';
import type { ProtobufDecoder } from '@coffer/storage/cacher/object-version';
import { openStorage, type Storage } from '@coffer/storage/store/storage';
import type { Transformer } from '@coffer/storage/value/transformer';
import type { DataPaths } from '../config/paths.ts';
import type { ServerFlags } from '../config/server-flags.ts';
import type { ServerEncryption } from './encryption.ts';

export interface OpenStore {
  readonly storage: Storage;
  readonly backend: Backend;
}

/** Opens the backend the flags ask for, and the storage on top of it. */
export async function openStore(flags: ServerFlags, paths: DataPaths, encryption: ServerEncryption, logger: Logger): Promise<OpenStore> {
  const backend = await openBackend(flags, paths);
  const storage = await openStorage({
    backend,
    clock: systemClock,
    logger,
    transformerFor: transformers(encryption),
    decodeProtobuf: decodeStoredProtobuf,
    historyRetentionMs: flags.historyRetention,
    historyMaxBytes: flags.historyMaxBytes,
  });
  return { storage, backend };
}

/** By storage prefix. Objects of kinds that are not built in are stored below `group/resource`. */
function transformers({ configuration, resources }: ServerEncryption): (prefix: string) => Transformer {
  const builtIn = new Map(resources.map(({ prefix, group, resource }) => [prefix, { group, resource }]));
  return (prefix) => {
    const slash = prefix.indexOf('/');
    const { group, resource } = builtIn.get(prefix) ?? { group: prefix.slice(0, Math.max(0, slash)), resource: prefix.slice(slash + 1) };
    return configuration.transformerFor(group, resource);
  };
}

/** What a kube-apiserver stored in protobuf. */
const decodeStoredProtobuf: ProtobufDecoder = (plain, { apiVersion, kind }) => {
  const defaultGvk = { ...parseApiVersion(apiVersion), kind };
  return decodeObject(plain, { contentType: 'application/vnd.kubernetes.protobuf', defaultGvk, fieldValidation: 'Ignore' }).object;
};

async function openBackend(flags: ServerFlags, paths: DataPaths): Promise<Backend> {
  switch (flags.storageBackend) {
    case 'lmdb': {
      const { openLmdbBackend } = await import('@coffer/storage/backend/lmdb');
      return openLmdbBackend({ directory: paths.store });
    }
    case 'memory': {
      const { openMemoryBackend } = await import('@coffer/storage/backend/memory');
      return openMemoryBackend();
    }
    case 'etcd': {
      const { openEtcdBackend } = await import('@coffer/storage/backend/etcd');
      const read = async (file: string | undefined) => (file === undefined ? undefined : readFile(file));
      const [ca, cert, key] = await Promise.all([read(flags.etcdCafile), read(flags.etcdCertfile), read(flags.etcdKeyfile)]);
      return openEtcdBackend({ endpoints: flags.etcdServers, tls: { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) } });
    }
  }
}
