import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { builtInCatalog } from '@coffer/api/catalog/catalog';
import { parseApiVersion } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { HealthCheck } from '@coffer/apiserver/health/health-checks';
import { EncryptionMetrics } from '@coffer/apiserver/metrics/encryption-metrics';
import { writeFileAtomic } from '@coffer/base/files/atomic-file';
import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { type CheckedResource, checkKeys, describeKey } from '@coffer/storage/rotation/check-keys';
import type { Storage } from '@coffer/storage/store/storage';
import { KeyUsage, type KeyUsageFile } from '@coffer/storage/value/encrypt/key-usage';
import { newEncryptionConfiguration, newKeyName } from '@coffer/storage/value/encrypt/new-configuration';
import { WatchedConfiguration } from '@coffer/storage/value/encrypt/watched-configuration';
import type { DataPaths } from '../config/paths.ts';
import type { OpenStore } from './store.ts';

/** Encryption at rest of one server: its configuration file, the counts of its keys, and which resource is which. */
export interface ServerEncryption {
  readonly configuration: WatchedConfiguration;
  readonly usage: KeyUsage;
  readonly metrics: EncryptionMetrics;
  /** Stored resources of the catalogue by storage prefix. */
  readonly resources: readonly CheckedResource[];
  /**
   * To be called when all objects are loaded: rejects with the key that is missing or wrong when the store cannot be read with
   * the configuration. Single values that are damaged do not count.
   */
  accept(store: OpenStore): Promise<void>;
  readonly healthChecks: readonly HealthCheck[];
  /** One line for whoever starts the server. */
  readonly summary: string;
  close(): Promise<void>;
}

export interface EncryptionFlags {
  readonly encryptionProviderConfig?: string;
  readonly encryptionProviderConfigAutomaticReload: boolean;
}

export interface EncryptionEnvironment {
  readonly paths: DataPaths;
  readonly logger: Logger;
  /** Tells this API server from others on the same store. */
  readonly serverId: string;
}

const kmsStartMs = 10_000;
const kmsRetryMs = 200;

/**
 * Loads the configuration the flags name, or the one beside the certificates, which is made on the first start: before anything
 * is stored, and never in the directory of the store.
 */
export async function openEncryption(flags: EncryptionFlags, environment: EncryptionEnvironment): Promise<ServerEncryption> {
  const { paths, logger } = environment;
  const metrics = new EncryptionMetrics(environment.serverId, () => systemClock.now());
  const generated = flags.encryptionProviderConfig === undefined && !existsSync(paths.encryptionConfiguration);
  if (generated) await writeFirstConfiguration(paths);
  const usage = await KeyUsage.open(usageFile(paths.encryptionUsage));
  const configuration = await WatchedConfiguration.open({
    file: flags.encryptionProviderConfig ?? paths.encryptionConfiguration,
    automaticReload: flags.encryptionProviderConfigAutomaticReload,
    clock: systemClock,
    logger,
    usage,
    observer: metrics,
    onUse: (digest) => metrics.configurationUsed(digest),
    onReload: (outcome) => metrics.reloaded(outcome),
  });
  const complete = await waitForKms(configuration, kmsStartMs, logger);
  const stopped = new AbortController();
  const resources = storedResources();
  return {
    configuration,
    usage,
    resources,
    metrics,
    healthChecks: [{ name: 'kms-providers', endpoints: ['healthz', 'readyz'], check: () => checkKms(configuration) }],
    summary: summarise(configuration),
    async accept({ storage, backend }) {
      const { resources: loaded } = await storage.stats();
      const suspects = new Set(loaded.filter(({ unreadable }) => unreadable > 0).map(({ prefix }) => prefix));
      const deps = { backend, knownKeys: usage.known };
      try {
        if (suspects.size > 0) {
          const suspicious = resources.filter(({ prefix }) => suspects.has(prefix));
          await checkKeys(suspicious, configuration.current, deps);
        }
      } catch (error) {
        // The key that was just made fits nothing that is there; a later start must not take it for the store's.
        if (generated) await rm(configuration.file, { force: true });
        const reason = error instanceof Error ? error.message : String(error);
        const which = generated ? 'there is none, and a new one does not fit' : configuration.file;
        throw new Error(`the store cannot be read with its encryption configuration (${which}): ${reason}`);
      }
      await configuration.accept();
      configuration.checkWith((next) => checkKeys(resources, next, deps));
      if (!complete) void loadWhenKmsIsBack(configuration, storage, stopped.signal, logger);
    },
    async close() {
      stopped.abort();
      await configuration.close();
      await usage.close();
    },
  };
}

function summarise(configuration: WatchedConfiguration): string {
  const [first = ''] = configuration.current.prefixesFor('', 'secrets');
  const text = first === '' ? 'secrets are NOT encrypted' : `secrets are encrypted with ${describeKey(first)}`;
  return `${text}: ${configuration.file}`;
}

async function checkKms(configuration: WatchedConfiguration): Promise<void> {
  await Promise.all(configuration.current.healthChecks.map((plugin) => plugin.check()));
}

async function writeFirstConfiguration(paths: DataPaths): Promise<void> {
  await mkdir(path.dirname(paths.encryptionConfiguration), { recursive: true, mode: 0o700 });
  const text = newEncryptionConfiguration({
    resources: ['secrets'],
    provider: 'aesgcm',
    keyName: newKeyName(new Date(systemClock.now())),
    // A store from before there was encryption has values in the clear; in a new one they would have been planted.
    readUnencrypted: existsSync(path.join(paths.store, 'data.mdb')),
  });
  await writeFileAtomic(paths.encryptionConfiguration, text);
}

/** Values that only a plugin can decrypt are loaded at start: gives it a moment. Without it the server starts, but is not ready. */
async function waitForKms(configuration: WatchedConfiguration, patienceMs: number, logger: Logger, signal?: AbortSignal): Promise<boolean> {
  const deadline = systemClock.monotonicMs() + patienceMs;
  for (;;) {
    const results = await Promise.allSettled(configuration.current.healthChecks.map((plugin) => plugin.check()));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed === undefined) return true;
    if (systemClock.monotonicMs() > deadline) {
      logger.error('starting without a KMS plugin: what it encrypts cannot be read or written', { err: failed.reason });
      return false;
    }
    await systemClock.sleep(kmsRetryMs, signal);
  }
}

async function loadWhenKmsIsBack(configuration: WatchedConfiguration, storage: Storage, signal: AbortSignal, logger: Logger) {
  try {
    await waitForKms(configuration, Number.POSITIVE_INFINITY, logger, signal);
    const unreadable = await storage.retryUnreadable();
    logger.warn('the KMS plugin works now: what it encrypts was loaded', { unreadable });
  } catch (error) {
    if (!signal.aborted) logger.error('loading what a KMS plugin encrypts failed', { err: error });
  }
}

function usageFile(file: string): KeyUsageFile {
  return {
    async load() {
      const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return '{}';
        throw error;
      });
      const saved: unknown = JSON.parse(text);
      if (!isRecord(saved)) throw new Error(`${file} is not a JSON object`);
      return Object.fromEntries(Object.entries(saved).filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
    },
    save: (counts) => writeFileAtomic(file, `${JSON.stringify(counts, null, 2)}\n`),
  };
}

function storedResources(): CheckedResource[] {
  return builtInCatalog()
    .resources.filter((row) => {
      const { group, version } = parseApiVersion(row.storageApiVersion);
      return row.storagePrefix !== '' && row.group === group && row.version === version;
    })
    .map(({ storagePrefix, group, resource }) => ({ prefix: storagePrefix, group, resource }));
}
