import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { TestKmsPlugin } from '@coffer/storage/testing/kms-plugin';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bundle, CofferProcess, eventually, runCommand } from '../support/coffer-process.ts';

// Secrets whose keys a KMS v2 plugin protects: the built program against a real gRPC server.

const secretsPath = '/api/v1/namespaces/default/secrets';
let directory: string;
let plugin: TestKmsPlugin;
let server: CofferProcess | undefined;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'coffer-kms-'));
  plugin = new TestKmsPlugin(path.join(directory, 'kms.sock'));
  await plugin.start();
  const kms = { apiVersion: 'v2', name: 'vault', endpoint: `unix://${plugin.socket}`, timeout: '1s' };
  const resources = [{ resources: ['secrets'], providers: [{ kms }] }];
  const document = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration', resources };
  await writeFile(path.join(directory, 'config.json'), JSON.stringify(document));
});

afterEach(async () => {
  await server?.stop('SIGKILL');
  plugin.stop();
  await rm(directory, { recursive: true, force: true });
});

async function start(options: { readonly ready?: boolean } = {}): Promise<CofferProcess> {
  const dataDir = path.join(directory, 'data');
  await mkdir(dataDir, { recursive: true });
  const args = ['--runtime', 'none', '--encryption-provider-config', path.join(directory, 'config.json')];
  server = await CofferProcess.start({ ...options, dataDir, args });
  return server;
}

const create = (coffer: CofferProcess, name: string) =>
  coffer.call('POST', secretsPath, { metadata: { name }, stringData: { password: `password-of-${name}` } });

it('encrypts with keys of the plugin, asks it once for all, and reads everything after a restart', async () => {
  let coffer = await start();
  for (let i = 0; i < 10; i++) expect((await create(coffer, `s${i}`)).status).toBe(201);
  expect(plugin.calls.filter((call) => call === 'Encrypt')).toHaveLength(1);
  const raw = await readFile(path.join(directory, 'data', 'db', 'data.mdb'));
  expect(raw.includes('k8s:enc:kms:v2:vault:')).toBe(true);
  expect(raw.includes(Buffer.from('password-of-s3').toString('base64'))).toBe(false);
  expect((await coffer.call('GET', '/healthz/kms-providers')).text).toBe('ok');
  expect((await coffer.call('GET', '/readyz?verbose')).text).toContain('[+]kms-providers ok');
  await coffer.stop();
  coffer = await start();
  expect((await coffer.call('GET', secretsPath)).body.items).toHaveLength(10);
  expect(plugin.calls.filter((call) => call === 'Decrypt')).toHaveLength(1);
});

it('rewrites objects when the plugin has another key, with coffer encryption rotate', async () => {
  let coffer = await start();
  for (let i = 0; i < 5; i++) await create(coffer, `s${i}`);
  await coffer.stop();
  plugin.keyId = 'key-2';
  coffer = await start();
  const rotated = await runCommand(process.execPath, [bundle, 'encryption', 'rotate', '--data-dir', coffer.dataDir, '-o', 'json']);
  expect(rotated.stderr).toBe('');
  expect(JSON.parse(rotated.stdout)).toMatchObject({ step: 'done', written: 5, newKeys: [] });
  const raw = await readFile(path.join(directory, 'data', 'db', 'data.mdb'));
  expect(raw.includes('key-2')).toBe(true);
  expect(raw.includes('key-1')).toBe(false);
});

it('serves what it has while the plugin is slow or down, says so, and takes a new key when it is back', async () => {
  const coffer = await start();
  for (let i = 0; i < 3; i++) await create(coffer, `s${i}`);
  expect((await coffer.call('GET', '/coffer/v1/encryption')).body.resources[0]).toMatchObject({ writesWith: 'kms/vault', stale: 0 });

  // Longer than the configured time-out.
  plugin.delayMs = 60_000;
  const calls = plugin.calls.length;
  for (let i = 0; i < 3; i++) {
    expect((await coffer.call('GET', `${secretsPath}/s${i}`)).status).toBe(200);
    expect((await coffer.call('PUT', `${secretsPath}/s${i}`, { metadata: { name: `s${i}` }, stringData: { n: 'new' } })).status).toBe(200);
  }
  expect((await coffer.call('GET', secretsPath)).body.items).toHaveLength(3);
  expect(plugin.calls.slice(calls)).toEqual([]);

  const unready = async () => (await coffer.call('GET', '/readyz?verbose')).text.includes('[-]kms-providers failed: reason withheld');
  await eventually('the failed check', unready, 40_000);
  expect((await coffer.call('GET', '/healthz/kms-providers')).status).toBe(500);
  expect((await coffer.call('GET', '/livez')).status).toBe(200);
  plugin.stop();
  expect((await coffer.call('GET', `${secretsPath}/s1`)).status).toBe(200);
  expect((await create(coffer, 'while-down')).status).toBe(201);

  plugin = new TestKmsPlugin(plugin.socket);
  plugin.keyId = 'key-2';
  await plugin.start();
  await eventually('the plugin to be well', async () => (await coffer.call('GET', '/healthz/kms-providers')).text === 'ok');
  expect((await coffer.call('GET', '/readyz')).status).toBe(200);
  expect((await coffer.call('GET', '/coffer/v1/encryption')).body.resources[0]).toMatchObject({ objects: { 'kms/vault': 4 }, stale: 4 });
  expect((await create(coffer, 'after')).status).toBe(201);
  expect((await coffer.call('GET', '/coffer/v1/encryption')).body.resources[0]).toMatchObject({ objects: { 'kms/vault': 5 }, stale: 4 });
  const rewritten = await coffer.kubectl(['get', 'secrets', '-o', 'json']);
  expect((await coffer.kubectl(['replace', '-f', '-'], { input: rewritten.stdout })).stdout.match(/replaced/g)).toHaveLength(5);
  expect((await coffer.call('GET', '/coffer/v1/encryption')).body.resources[0]).toMatchObject({ stale: 0 });

  const metrics = (await coffer.call('GET', '/metrics')).text;
  const operations = 'apiserver_storage_transformation_operations_total{resource="secrets",transformation_type="to_storage"';
  expect(metrics).toContain(`${operations},status="OK",transformer_prefix="k8s:enc:kms:v2:vault:"} 12`);
  const latency = 'apiserver_envelope_encryption_kms_operations_latency_seconds_count{provider_name="vault"';
  expect(metrics).toContain(`${latency},method_name="/v2.KeyManagementService/Encrypt",grpc_status_code="OK"} 2`);
  expect(metrics).toMatch(/kms_operations_latency_seconds_count\{.*\/Status",grpc_status_code="DeadlineExceeded"\} [1-9]/);
  expect(
    metrics.match(/apiserver_envelope_encryption_key_id_hash_total\{transformation_type="to_storage",provider_name="vault"/g),
  ).toHaveLength(2);
});

it('starts without the plugin, is not ready while it lies, and loads what it encrypts when it is well', async () => {
  const first = await start();
  await create(first, 'kept');
  await first.stop();
  plugin.stop();
  await rm(plugin.socket, { force: true });

  const coffer = await start({ ready: false });
  // Longer than the server waits for the plugin.
  await eventually('the start', () => coffer.output.includes('starting without a KMS plugin'));
  const health = () => coffer.call('GET', '/readyz/kms-providers').catch(() => undefined);
  await eventually('the failed check', async () => (await health())?.status === 500);
  expect((await coffer.call('GET', `${secretsPath}/kept`)).body.reason).toBe('StorageReadError');
  expect((await coffer.call('POST', '/api/v1/namespaces/default/configmaps', { metadata: { name: 'open' } })).status).toBe(201);
  expect((await create(coffer, 'refused')).text).toContain('the KMS provider vault cannot encrypt');

  // Its Status is well, but names another key than the one it encrypts with.
  plugin = new TestKmsPlugin(plugin.socket);
  plugin.encryptKeyId = 'another';
  await plugin.start();
  await eventually('a question', () => plugin.calls.includes('Encrypt'));
  expect((await health())?.status).toBe(500);
  expect((await create(coffer, 'refused')).text).toContain('Status and Encrypt of the plugin name different keys');

  plugin.encryptKeyId = undefined;
  await coffer.whenReady();
  await eventually('the Secret', async () => (await coffer.call('GET', `${secretsPath}/kept`)).status === 200);
  expect((await create(coffer, 'new')).status).toBe(201);
});
