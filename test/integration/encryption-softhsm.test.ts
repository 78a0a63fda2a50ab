import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it } from 'vitest';
import { eventually, runCommand } from '../support/coffer-process.ts';
import { createSecrets, dataFile, EncryptionSession, encryption, secretsPath } from '../support/encryption-session.ts';

// The example of a KMS v2 plugin with a PKCS#11 token, as its README says to use it.

const example = fileURLToPath(new URL('../../examples/kms-softhsm/', import.meta.url));
const module = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so'].find((file) => existsSync(file));
const hasTools = ['softhsm2-util', 'pkcs11-tool'].every((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0);
const missing = module === undefined || !hasTools;
if (missing) console.log('skipped: the example kms-softhsm (needs SoftHSM and pkcs11-tool; Debian: softhsm2, opensc)');

const session = new EncryptionSession();
let plugin: ChildProcess | undefined;
afterEach(async () => {
  plugin?.kill('SIGKILL');
  await session.end();
});

it.skipIf(missing)('keeps the keys of Secrets in a token, and lets them be changed', async () => {
  const directory = await session.newDirectory();
  await mkdir(path.join(directory, 'tokens'), { mode: 0o700 });
  const softhsm = path.join(directory, 'softhsm2.conf');
  await writeFile(softhsm, `directories.tokendir = ${path.join(directory, 'tokens')}\n`);
  const socket = path.join(directory, 'plugin.sock');
  const configuration = path.join(directory, 'encryption-config.yaml');
  const text = await readFile(path.join(example, 'encryption-config.yaml'), 'utf8');
  await writeFile(configuration, text.replace('/run/coffer-kms/plugin.sock', socket));
  const env = { SOFTHSM2_CONF: softhsm, PKCS11_MODULE: module ?? '', TOKEN_LABEL: 'coffer', HSM_PIN: '4711-secret-pin' };

  const run = async (command: string, ...args: string[]) => {
    const output = await runCommand(command, args, { env });
    expect(output.code, output.stderr).toBe(0);
    return output.stdout;
  };
  const startPlugin = async (label: string) => {
    plugin?.kill('SIGKILL');
    const child = spawn(process.execPath, [path.join(example, 'plugin.mjs'), socket, label], { env: { ...process.env, ...env } });
    plugin = child;
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    await eventually('the plugin', () => output.includes(`with the keys "${label}"`));
  };

  await run('softhsm2-util', '--init-token', '--free', '--label', 'coffer', '--so-pin', env.HSM_PIN, '--pin', env.HSM_PIN);
  await run(path.join(example, 'create-key.sh'), 'kek-1');
  await startPlugin('kek-1');
  const dataDir = await session.newDirectory();
  let server = await session.start(dataDir, { args: ['--encryption-provider-config', configuration] });
  expect((await server.call('GET', '/readyz?verbose')).text).toContain('[+]kms-providers ok');
  await createSecrets(server, 10);
  expect((await encryption(server, 'verify')).json).toMatchObject({ passed: true, values: 20 });
  const before = (await server.call('GET', secretsPath)).body.items;
  expect((await readFile(dataFile(server))).includes('kek-1')).toBe(true);

  await server.stop();
  await run(path.join(example, 'create-key.sh'), 'kek-2');
  await startPlugin('kek-2');
  server = await session.start(dataDir, { args: ['--encryption-provider-config', configuration] });
  expect((await server.call('GET', secretsPath)).body.items).toEqual(before);
  expect((await encryption(server, 'rotate')).json).toMatchObject({ step: 'done', written: 10 });
  expect((await readFile(dataFile(server))).includes('kek-1')).toBe(false);
  await server.stop();

  const tool = ['--module', env.PKCS11_MODULE, '--token-label', 'coffer', '--login', '--pin', 'env:HSM_PIN'];
  for (const label of ['kek-1', 'kek-1-mac']) await run('pkcs11-tool', ...tool, '--delete-object', '--type', 'secrkey', '--label', label);
  server = await session.start(dataDir, { args: ['--encryption-provider-config', configuration] });
  expect((await server.call('GET', secretsPath)).body.items).toHaveLength(10);
});
