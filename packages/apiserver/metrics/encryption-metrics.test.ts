import { createHash } from 'node:crypto';
import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { EncryptionMetrics } from './encryption-metrics.ts';

const sha = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

function setup() {
  const metrics = new EncryptionMetrics('server-1', () => 1_700_000_000_000);
  const registry = new Registry();
  metrics.register(registry);
  return { metrics, lines: async () => (await registry.metrics()).split('\n').filter((line) => !line.startsWith('#')) };
}

describe('EncryptionMetrics', () => {
  it('counts transformations by provider and by key, failures by their status', async () => {
    const { metrics, lines } = setup();
    metrics.transformed('to_storage', 'secrets', 'k8s:enc:aesgcm:v1:key1:', 0.00001);
    metrics.transformed('to_storage', 'secrets', 'k8s:enc:aesgcm:v1:key1:', 0.00001);
    metrics.transformed(
      'from_storage',
      'secrets',
      'k8s:enc:kms:v2:vault:',
      0,
      Object.assign(new Error('x', { cause: Object.assign(new Error('y'), { code: 14 }) })),
    );
    metrics.transformed('from_storage', 'secrets', 'unknown', 0, new Error('no provider'));
    const name = 'apiserver_storage_transformation_operations_total';
    expect((await lines()).filter((line) => line.startsWith(name)).sort()).toEqual([
      `${name}{resource="secrets",transformation_type="from_storage",status="Unavailable",transformer_prefix="k8s:enc:kms:v2:vault:"} 1`,
      `${name}{resource="secrets",transformation_type="from_storage",status="unknown-non-grpc",transformer_prefix="unknown"} 1`,
      `${name}{resource="secrets",transformation_type="to_storage",status="OK",transformer_prefix="k8s:enc:aesgcm:v1:"} 2`,
      `${name}{resource="secrets",transformation_type="to_storage",status="OK",transformer_prefix="key1:"} 2`,
    ]);
    const bucket = (await lines()).filter((line) => line.includes('transformation_duration_seconds_bucket') && line.includes('key1:'));
    expect(bucket.map((line) => line.split(' ').at(-1)).slice(0, 3)).toEqual(['0', '2', '2']);
    expect(bucket).toHaveLength(26);
  });

  it('shows keys of plugins as hashes, and forgets the oldest', async () => {
    const { metrics, lines } = setup();
    for (let i = 0; i < 150; i++) metrics.kmsKeyUsed('from_storage', 'vault', `key-${i}`);
    metrics.kmsKeyNamed('vault', 'key-1');
    metrics.kmsKeyNamed('vault', '', 'empty');
    metrics.kmsSourcesKept('vault', 3);
    metrics.kmsCall('vault', 'Encrypt', 0.02, Object.assign(new Error('late'), { code: 4 }));
    const all = await lines();
    expect(all.filter((line) => line.startsWith('apiserver_envelope_encryption_key_id_hash_total'))).toHaveLength(100);
    expect(all.join('\n')).not.toMatch(/key-\d/);
    expect(all).toContain(
      `apiserver_envelope_encryption_key_id_hash_status_last_timestamp_seconds{provider_name="vault",key_id_hash="${sha('key-1')}",apiserver_id_hash="${sha('server-1')}"} 1700000000`,
    );
    expect(all).toContain('apiserver_envelope_encryption_invalid_key_id_from_status_total{provider_name="vault",error="empty"} 1');
    expect(all).toContain('apiserver_envelope_encryption_dek_source_cache_size{provider_name="vault"} 3');
    expect(all).toContain(
      'apiserver_envelope_encryption_kms_operations_latency_seconds_count{provider_name="vault",method_name="/v2.KeyManagementService/Encrypt",grpc_status_code="DeadlineExceeded"} 1',
    );
  });

  it('says which configuration is in use and how reloads ended', async () => {
    const { metrics, lines } = setup();
    metrics.configurationUsed('ab12');
    metrics.reloaded('failure');
    const server = `apiserver_id_hash="${sha('server-1')}"`;
    expect(await lines()).toEqual(
      expect.arrayContaining([
        `apiserver_encryption_config_controller_last_config_info{${server},hash="sha256:ab12"} 1`,
        `apiserver_encryption_config_controller_automatic_reloads_total{status="failure",${server}} 1`,
        `apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{status="failure",${server}} 1700000000`,
      ]),
    );
  });
});
