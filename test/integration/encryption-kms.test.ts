import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bundle, CofferProcess, eventually, runCommand } from '../support/coffer-process.ts';
import { TestKmsPlugin } from '../support/kms-plugin.ts';

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

async function start(): Promise<CofferProcess> {
  const dataDir = path.join(directory, 'data');
  await mkdir(dataDir, { recursive: true });
  server = await CofferProcess.start({
    dataDir,
    args: ['--runtime', 'none', '--encryption-provider-config', path.join(directory, 'config.json')],
  });
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

it('starts without the plugin, is not ready, and loads what it encrypts when the plugin is back', async () => {
  const first = await start();
  await create(first, 'kept');
  await first.stop();
  plugin.stop();
  await rm(plugin.socket, { force: true });
  plugin = new TestKmsPlugin(plugin.socket);
  // Longer than the server waits for it: it starts, and `start` returns when it is ready.
  const back = setTimeout(() => void plugin.start(), 12_000);
  const starting = start();
  const coffer = await starting.finally(() => clearTimeout(back));
  expect(coffer.output).toContain('starting without a KMS plugin');
  await eventually('the Secret', async () => (await coffer.call('GET', `${secretsPath}/kept`)).status === 200);
  expect((await create(coffer, 'new')).status).toBe(201);
});
