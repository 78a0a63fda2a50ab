import { createHash } from 'node:crypto';
import type { EncryptionObserver, TransformDirection } from '@coffer/storage/value/encrypt/encryption-observer';
import { Counter, Gauge, type Registry } from 'prom-client';
import { DurationHistogram, type DurationSeries, exponentialBounds } from './duration-histogram.ts';
import { grpcStatusOf } from './grpc-status.ts';

/**
 * Encryption at rest, with kube-apiserver's names and labels. Counts from the start, also before it is registered. Labels hold names
 * of providers and keys and hashes of key IDs, never a key or a value.
 */
export class EncryptionMetrics implements EncryptionObserver {
  readonly #nowMs: () => number;
  readonly #server: { readonly apiserver_id_hash: string };
  readonly #transforms = new Map<string, Transforms>();
  readonly #kmsCalls = new Map<string, DurationSeries>();
  readonly #keyUses = new RecentKeys();
  readonly #namedKeys = new RecentKeys();
  readonly #invalidKeys = new Map<string, { readonly labels: Labels; count: number }>();
  readonly #sources = new Map<string, number>();
  readonly #reloads = { success: 0, failure: 0 };
  readonly #lastReloadMs = { success: 0, failure: 0 };
  #configuration: string | undefined;
  #missed = 0;
  #failedSeeds = 0;
  readonly #transformDurations = new DurationHistogram(
    'apiserver_storage_transformation_duration_seconds',
    '[ALPHA] Latencies in seconds of value transformation operations.',
    exponentialBounds(5e-6, 2, 25),
  );
  readonly #kmsDurations = new DurationHistogram(
    'apiserver_envelope_encryption_kms_operations_latency_seconds',
    '[ALPHA] KMS operation duration with gRPC error code status total.',
    exponentialBounds(0.0001, 2, 20),
  );
  readonly #seedDurations = new DurationHistogram(
    'apiserver_storage_data_key_generation_duration_seconds',
    '[ALPHA] Latencies in seconds of data encryption key(DEK) generation operations.',
    exponentialBounds(5e-6, 2, 14),
  );
  readonly #seeds = this.#seedDurations.series({});

  /** `serverId` tells this API server from others of the cluster; it is shown as a hash. */
  constructor(serverId: string, nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#server = { apiserver_id_hash: hashOf(serverId) };
  }

  /** An attempt to use a changed configuration has ended. */
  reloaded(outcome: 'success' | 'failure'): void {
    this.#reloads[outcome]++;
    this.#lastReloadMs[outcome] = this.#nowMs();
  }

  /** A configuration whose text has this SHA-256 is in use. */
  configurationUsed(digest: string): void {
    this.#configuration = `sha256:${digest}`;
  }

  transformed(direction: TransformDirection, resource: string, prefix: string, seconds: number, error?: unknown): void {
    const key = `${direction} ${resource} ${prefix}`;
    let known = this.#transforms.get(key);
    if (known === undefined) {
      const labels = { resource, transformation_type: direction };
      known = { labels, prefixes: nestedPrefixes(prefix), durations: [], statuses: new Map() };
      for (const transformer_prefix of known.prefixes)
        known.durations.push(this.#transformDurations.series({ ...labels, transformer_prefix }));
      this.#transforms.set(key, known);
    }
    const status = grpcStatusOf(error);
    known.statuses.set(status, (known.statuses.get(status) ?? 0) + 1);
    if (error === undefined) for (const series of known.durations) series.observe(seconds);
  }

  kmsCall(provider: string, method: string, seconds: number, error?: unknown): void {
    const labels = { provider_name: provider, method_name: `/v2.KeyManagementService/${method}`, grpc_status_code: grpcStatusOf(error) };
    const key = Object.values(labels).join(' ');
    const series = this.#kmsCalls.get(key) ?? this.#kmsDurations.series(labels);
    this.#kmsCalls.set(key, series);
    series.observe(seconds);
  }

  kmsKeyUsed(direction: TransformDirection, provider: string, keyId: string): void {
    this.#keyUses.note(`${direction} ${provider} ${keyId}`, this.#nowMs(), () => ({
      transformation_type: direction,
      provider_name: provider,
      key_id_hash: hashOf(keyId),
      ...this.#server,
    }));
  }

  kmsKeyNamed(provider: string, keyId: string, problem?: 'empty' | 'too_long'): void {
    if (problem === undefined) {
      const labels = () => ({ provider_name: provider, key_id_hash: hashOf(keyId), ...this.#server });
      this.#namedKeys.note(`${provider} ${keyId}`, this.#nowMs(), labels);
      return;
    }
    const key = `${provider} ${problem}`;
    const known = this.#invalidKeys.get(key) ?? { labels: { provider_name: provider, error: problem }, count: 0 };
    known.count++;
    this.#invalidKeys.set(key, known);
  }

  kmsSourcesKept(provider: string, count: number): void {
    this.#sources.set(provider, count);
  }

  kmsSourceMissed(): void {
    this.#missed++;
  }

  seedMade(seconds: number, error?: unknown): void {
    if (error === undefined) this.#seeds.observe(seconds);
    else this.#failedSeeds++;
  }

  register(registry: Registry): void {
    for (const histogram of [this.#transformDurations, this.#kmsDurations, this.#seedDurations]) histogram.register(registry);
    const counter = (name: string, help: string, labelNames: readonly string[], read: () => Iterable<Sample>) =>
      addSampled(Counter, registry, name, help, labelNames, read);
    const gauge = (name: string, help: string, labelNames: readonly string[], read: () => Iterable<Sample>) =>
      addSampled(Gauge, registry, name, help, labelNames, read);

    counter(
      'apiserver_storage_transformation_operations_total',
      'Total number of transformations.',
      ['resource', 'status', 'transformation_type', 'transformer_prefix'],
      () => this.#transformCounts(),
    );
    counter(
      'apiserver_storage_envelope_transformation_cache_misses_total',
      'Total number of cache misses while accessing key decryption key(KEK).',
      [],
      () => [[{}, this.#missed]],
    );
    counter(
      'apiserver_storage_data_key_generation_failures_total',
      'Total number of failed data encryption key(DEK) generation operations.',
      [],
      () => [[{}, this.#failedSeeds]],
    );

    const keyLabels = ['transformation_type', 'provider_name', 'key_id_hash', 'apiserver_id_hash'];
    counter(
      'apiserver_envelope_encryption_key_id_hash_total',
      'Number of times a keyID is used split by transformation type, provider, and apiserver identity.',
      keyLabels,
      () => this.#keyUses.counts(),
    );
    gauge(
      'apiserver_envelope_encryption_key_id_hash_last_timestamp_seconds',
      'The last time in seconds when a keyID was used.',
      keyLabels,
      () => this.#keyUses.lastSeconds(),
    );
    gauge(
      'apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds',
      'The last time in seconds when a keyID was returned by the Status RPC call.',
      ['provider_name', 'key_id_hash', 'apiserver_id_hash'],
      () => this.#namedKeys.lastSeconds(),
    );
    counter(
      'apiserver_envelope_encryption_invalid_key_id_from_status_total',
      'Number of times an invalid keyID is returned by the Status RPC call split by error.',
      ['provider_name', 'error'],
      () => [...this.#invalidKeys.values()].map(({ labels, count }) => [labels, count] as const),
    );
    gauge(
      'apiserver_envelope_encryption_dek_source_cache_size',
      'Number of records in data encryption key (DEK) source cache. On a restart, this value is an approximation of the number of decrypt RPC calls the server will make to the KMS plugin.',
      ['provider_name'],
      () => [...this.#sources].map(([provider_name, size]) => [{ provider_name }, size] as const),
    );

    const outcomes = ['success', 'failure'] as const;
    counter(
      'apiserver_encryption_config_controller_automatic_reloads_total',
      'Total number of reload successes and failures of encryption configuration split by apiserver identity.',
      ['status', 'apiserver_id_hash'],
      () => outcomes.map((status) => [{ status, ...this.#server }, this.#reloads[status]] as const),
    );
    gauge(
      'apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds',
      'Timestamp of the last successful or failed automatic reload of encryption configuration split by apiserver identity.',
      ['status', 'apiserver_id_hash'],
      () =>
        outcomes
          .filter((status) => this.#reloads[status] > 0)
          .map((status) => [{ status, ...this.#server }, this.#lastReloadMs[status] / 1000] as const),
    );
    gauge(
      'apiserver_encryption_config_controller_last_config_info',
      'Information about the last applied encryption configuration with hash as label, split by apiserver identity.',
      ['apiserver_id_hash', 'hash'],
      () => (this.#configuration === undefined ? [] : [[{ ...this.#server, hash: this.#configuration }, 1]]),
    );
  }

  *#transformCounts(): Iterable<Sample> {
    for (const { labels, prefixes, statuses } of this.#transforms.values()) {
      for (const transformer_prefix of prefixes) {
        for (const [status, count] of statuses) yield [{ ...labels, status, transformer_prefix }, count];
      }
    }
  }
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

interface Transforms {
  readonly labels: { readonly resource: string; readonly transformation_type: string };
  readonly prefixes: readonly string[];
  readonly durations: DurationSeries[];
  readonly statuses: Map<string, number>;
}

/** Which keys were seen, how often and when; those seen longest ago are forgotten, so that a plugin cannot grow the metrics. */
class RecentKeys {
  static readonly #limit = 100;
  readonly #keys = new Map<string, { readonly labels: Labels; count: number; lastMs: number }>();

  note(key: string, nowMs: number, labels: () => Labels): void {
    const known = this.#keys.get(key) ?? { labels: labels(), count: 0, lastMs: 0 };
    known.count++;
    known.lastMs = nowMs;
    this.#keys.delete(key);
    this.#keys.set(key, known);
    const [oldest] = this.#keys.keys();
    if (this.#keys.size > RecentKeys.#limit && oldest !== undefined) this.#keys.delete(oldest);
  }

  counts(): Sample[] {
    return [...this.#keys.values()].map(({ labels, count }) => [labels, count]);
  }

  lastSeconds(): Sample[] {
    return [...this.#keys.values()].map(({ labels, lastMs }) => [labels, lastMs / 1000]);
  }
}

/** A local key is counted twice, as kube-apiserver does: by its provider (`k8s:enc:aesgcm:v1:`) and by its name (`key1:`). */
function nestedPrefixes(prefix: string): readonly string[] {
  const match = /^(k8s:enc:(?!kms:)[^:]+:[^:]+:)(.+:)$/.exec(prefix);
  return match === null ? [prefix] : [match[1] ?? '', match[2] ?? ''];
}

function hashOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** A metric that is read when it is asked for. Set anew each time, a gauge grows from zero as a counter does. */
function addSampled(
  Metric: typeof Counter | typeof Gauge,
  registry: Registry,
  name: string,
  help: string,
  labelNames: readonly string[],
  read: () => Iterable<Sample>,
): void {
  new Metric({
    name,
    help: `[ALPHA] ${help}`,
    labelNames,
    registers: [registry],
    collect() {
      this.reset();
      for (const [labels, value] of read()) this.inc(labels, value);
    },
  });
}
