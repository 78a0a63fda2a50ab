import { chmod, mkdir, readFile, rename, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually } from '../support/coffer-process.ts';
import {
  coffer,
  contents,
  createSecrets,
  dataFile,
  EncryptionSession,
  encryption,
  encryptionStatus,
  flipBytes,
  identity,
  keyFile,
  newKey,
  openWatch,
  type SecretItem,
  secretsPath,
  writeConfiguration,
  writeRules,
} from '../support/encryption-session.ts';

// Encryption at rest as its operators see it: the built program, its commands, and the raw bytes of the store's files.

const session = new EncryptionSession();
afterEach(() => session.end());

const keyOne = newKey('one');
const keyTwo = newKey('two');

describe('coffer up without a configuration', () => {
  it('encrypts Secrets with a key of its own, says where it is, and finds nothing in the clear', async () => {
    const server = await session.start(await session.newDirectory());
    await eventually('the ready lines', () => server.output.includes('next: '));
    expect(server.output).toMatch(/secrets are encrypted with the aesgcm key "key-\d{8}-[0-9a-f]{6}": .*\/pki\/encryption-config\.yaml/);
    expect((await stat(keyFile(server))).mode & 0o777).toBe(0o600);
    await createSecrets(server, 50);
    const raw = await readFile(dataFile(server));
    expect(raw.includes('k8s:enc:aesgcm:v1:key-')).toBe(true);
    const verified = await encryption(server, 'verify');
    expect(verified.code).toBe(0);
    expect(verified.json).toMatchObject({
      passed: true,
      foundValues: 0,
      values: 100,
      resources: [{ resource: 'secrets', objects: 50, decrypted: 50 }],
    });
    expect(verified.json.needles).toBeGreaterThan(500);
    expect(verified.json.bytes).toBeGreaterThanOrEqual(raw.length);
    const denied = await server.kubectl(['--as', 'jane', 'get', '--raw', '/coffer/v1/encryption']);
    expect(denied.stderr).toContain('Forbidden');
  });

  it('names the key that is missing or wrong instead of starting, and makes none in its place', async () => {
    const dataDir = await session.newDirectory();
    const server = await session.start(dataDir);
    await createSecrets(server, 3);
    const text = await readFile(keyFile(server), 'utf8');
    const name = /name: "([^"]+)"/.exec(text)?.[1] ?? '';
    await server.stop();

    await unlink(keyFile(server));
    const missing = await coffer('up', '--data-dir', dataDir, '--runtime', 'none', '--secure-port', '0');
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain(`3 secrets were written with the aesgcm key "${name}", which is missing`);
    await expect(stat(keyFile(server))).rejects.toThrow('ENOENT');

    await writeFile(keyFile(server), text.replace(/secret: .*/, `secret: ${keyOne.secret}`));
    const wrong = await coffer('up', '--data-dir', dataDir, '--runtime', 'none', '--secure-port', '0');
    expect(wrong.code).toBe(1);
    expect(wrong.stderr).toContain(`3 secrets cannot be decrypted with the aesgcm key "${name}"`);
    expect(wrong.stderr).not.toContain(keyOne.secret);

    await writeFile(keyFile(server), text);
    const again = await session.start(dataDir);
    expect((await again.call('GET', secretsPath)).body.items).toHaveLength(3);
  });
});

describe('coffer encryption verify', () => {
  for (const provider of ['aesgcm', 'aescbc', 'secretbox']) {
    it(`finds every value with identity, some after a change to ${provider}, none after a rotation`, async () => {
      const file = path.join(await session.newDirectory(), 'config.json');
      await writeConfiguration(file, identity);
      const server = await session.start(await session.newDirectory(), { args: ['--encryption-provider-config', file] });
      await eventually('the warning', () => server.output.includes('secrets are NOT encrypted'));
      await createSecrets(server, 60);
      const open = await encryption(server, 'verify');
      expect(open.code).toBe(1);
      expect(open.json).toMatchObject({ passed: false, values: 120, foundValues: 120 });
      expect((await encryption(server, 'rotate')).stderr).toContain('there is no key to rotate');

      await writeConfiguration(file, { [provider]: { keys: [keyOne] } }, identity);
      await eventually('the new configuration', async () => (await encryptionStatus(server)).resources[0].stale === 60);
      const list = await server.kubectl(['get', 'secrets', '-A', '-o', 'json']);
      const replaced = await server.kubectl(['replace', '-f', '-'], { input: list.stdout });
      expect(replaced.stdout.match(/replaced/g)).toHaveLength(60);
      const status = (await encryption(server, 'status')).json;
      expect(status.resources[0]).toMatchObject({ writesWith: `${provider}/one`, objects: { [`${provider}/one`]: 60 }, stale: 0 });
      expect(status.warnings.some((text: string) => text.includes('no integrity'))).toBe(provider === 'aescbc');
      const between = (await encryption(server, 'verify')).json;
      expect(between.foundValues).toBeGreaterThan(0);

      const rotated = await encryption(server, 'rotate', '--rate', '1000');
      expect(rotated.stderr).toBe('');
      expect(rotated.json).toMatchObject({ step: 'done', written: 60 });
      const closed = await encryption(server, 'verify');
      expect(closed.json).toMatchObject({ passed: true, values: 120, foundValues: 0 });
      const configuration = await readFile(file, 'utf8');
      expect(configuration).not.toContain(keyOne.secret);
      expect(configuration).toContain('identity');
    });
  }
});

describe('coffer encryption rotate', () => {
  it('takes ConfigMaps along when they are encrypted, and verify searches for their values', async () => {
    const file = path.join(await session.newDirectory(), 'config.json');
    await writeConfiguration(file, { aesgcm: { keys: [keyOne] } });
    const server = await session.start(await session.newDirectory(), { args: ['--encryption-provider-config', file] });
    await createSecrets(server, 3);
    const configMaps = '/api/v1/namespaces/default/configmaps';
    const data = { 'app.properties': 'greeting="gr\u00fc\u00df Gott"\ncolour=ultramarine' };
    expect((await server.call('POST', configMaps, { metadata: { name: 'settings' }, data })).status).toBe(201);
    expect((await encryption(server, 'verify')).json).toMatchObject({ passed: true, resources: [{ resource: 'secrets', objects: 3 }] });

    const secretbox = { secretbox: { keys: [keyTwo] } };
    await writeRules(file, [
      { resources: ['configmaps'], providers: [secretbox, identity] },
      { resources: ['secrets'], providers: [{ aesgcm: { keys: [keyOne] } }] },
    ]);
    const open = await eventually('the new configuration', async () => {
      const { json } = await encryption(server, 'verify');
      return json.resources.length === 2 && json;
    });
    expect(open).toMatchObject({ passed: false });
    expect(open.found.map(({ object }: { object: string }) => object)).toContain('configmaps default/settings');

    expect((await encryption(server, 'rotate', '--rate', '1000')).json).toMatchObject({ step: 'done' });
    expect((await encryption(server, 'verify')).json).toMatchObject({ passed: true, foundValues: 0 });
    expect((await server.call('GET', `${configMaps}/settings`)).body.data).toEqual(data);
    const configuration = await readFile(file, 'utf8');
    for (const key of [keyOne, keyTwo]) expect(configuration).not.toContain(key.secret);
  });

  it('changes nothing of an object but its resourceVersion, with one MODIFIED event each', async () => {
    const server = await session.start(await session.newDirectory());
    await createSecrets(server, 5);
    const list = (await server.call('GET', secretsPath)).body;
    const before = list.items as SecretItem[];
    const watch = await openWatch(server, `${secretsPath}?watch=1&resourceVersion=${list.metadata.resourceVersion}`);
    expect((await encryption(server, 'rotate')).json).toMatchObject({ step: 'done', written: 5 });
    const after = (await server.call('GET', secretsPath)).body.items as SecretItem[];
    const without = (items: SecretItem[]) => items.map((item) => ({ ...item, metadata: { ...item.metadata, resourceVersion: '' } }));
    expect(without(after)).toEqual(without(before));
    expect(new Set([...before, ...after].map((item) => item.metadata.resourceVersion)).size).toBe(10);
    await eventually('the events', () => watch.events.length >= 5);
    watch.close();
    const { events } = watch;
    expect(events.map(({ type }) => type)).toEqual(Array(5).fill('MODIFIED'));
    expect(new Set(events.map(({ object }) => object.metadata.resourceVersion))).toEqual(
      new Set(after.map((item) => item.metadata.resourceVersion)),
    );
    const expired = await server.call(
      'GET',
      `${secretsPath}?watch=1&timeoutSeconds=1&resourceVersion=${before[0]?.metadata.resourceVersion}`,
    );
    expect(expired.text).toContain('"code":410');
  });
});

describe('reload of the configuration', () => {
  it('follows edits, renames and symbolic links, and keeps what works when a file does not', async () => {
    const directory = await session.newDirectory();
    const file = path.join(directory, 'link');
    await mkdir(path.join(directory, 'a'));
    await writeConfiguration(path.join(directory, 'a', 'config'), { aesgcm: { keys: [keyOne] } });
    await symlink('a/config', file);
    const server = await session.start(await session.newDirectory(), { args: ['--encryption-provider-config', file] });
    await createSecrets(server, 3);
    const writesWith = async () => (await encryptionStatus(server)).resources[0].writesWith as string;

    await mkdir(path.join(directory, 'b'));
    await writeConfiguration(path.join(directory, 'b', 'config'), { aesgcm: { keys: [keyTwo, keyOne] } });
    await symlink('b/config', `${file}.new`);
    await rename(`${file}.new`, file);
    await eventually('the new target', async () => (await writesWith()) === 'aesgcm/two');

    await writeFile(path.join(directory, 'b', 'config'), 'kind: [broken');
    const error = await eventually('the refusal', async () => (await encryptionStatus(server)).configurationError as string | undefined);
    expect(error).toContain('is not valid YAML');
    expect((await server.call('GET', secretsPath)).body.items).toHaveLength(3);
    await createSecrets(server, 1, 3);

    await writeConfiguration(path.join(directory, 'b', 'config'), { aesgcm: { keys: [{ ...keyTwo, name: 'three' }] } });
    await eventually('another refusal', async () =>
      ((await encryptionStatus(server)).configurationError ?? '').includes('"one", which is missing'),
    );
    expect(await writesWith()).toBe('aesgcm/two');
    const metrics = (await server.call('GET', '/metrics')).text;
    expect(metrics).toMatch(
      /apiserver_encryption_config_controller_automatic_reloads_total\{status="success",apiserver_id_hash="sha256:[0-9a-f]{64}"\} 1/,
    );
    expect(metrics).toMatch(
      /apiserver_encryption_config_controller_automatic_reloads_total\{status="failure",apiserver_id_hash="sha256:[0-9a-f]{64}"\} [2-9]/,
    );
  });
});

describe('damage', () => {
  const unsafe = 'ignoreStoreReadErrorWithClusterBreakingPotential=true';

  it('is reported by every list that covers it, leaves the rest alone, and can be deleted deliberately', async () => {
    const dataDir = await session.newDirectory();
    const server = await session.start(dataDir);
    await createSecrets(server, 110);
    await server.call('POST', '/api/v1/namespaces', { metadata: { name: 'other' } });
    await server.call('POST', '/api/v1/namespaces/other/secrets', { metadata: { name: 'fine' }, stringData: { a: 'abcdefghij' } });
    await server.stop();
    const names = Array.from({ length: 105 }, (_, i) => `s${i}`);
    await flipBytes(dataFile(server), names);

    const damaged = await session.start(dataDir);
    const list = await damaged.call('GET', secretsPath);
    expect(list.status).toBe(500);
    expect(list.body).toMatchObject({ kind: 'Status', reason: 'StorageReadError' });
    expect(list.body.details.causes).toHaveLength(100);
    const keys = new Set(list.body.details.causes.map((cause: { field: string }) => cause.field));
    expect(keys.size).toBe(100);
    expect(names.map((name) => `/registry/secrets/default/${name}`)).toEqual(expect.arrayContaining([...keys]));
    expect((await damaged.kubectl(['get', 'secrets', '-A'])).stderr).toContain('cannot be read');
    expect((await damaged.kubectl(['get', 'secret', 's2'])).stderr).toContain('/registry/secrets/default/s2');
    expect((await damaged.call('GET', `${secretsPath}?watch=1&timeoutSeconds=1`)).text).toContain('StorageReadError');
    expect((await damaged.kubectl(['get', 'secret', 's107', '-o', 'name'])).stdout).toBe('secret/s107\n');
    expect((await damaged.kubectl(['get', 'secrets', '-n', 'other', '-o', 'name'])).stdout).toBe('secret/fine\n');
    expect((await damaged.call('GET', '/readyz')).status).toBe(200);
    const verified = (await encryption(damaged, 'verify')).json;
    expect(verified).toMatchObject({ passed: false, unreadableCount: 105 });
    expect((await encryption(damaged, 'rotate')).stderr).toContain('cannot be read');

    expect((await damaged.kubectl(['delete', 'secret', 's2'])).code).toBe(1);
    await damaged.kubectl(['create', 'role', 'deleter', '--verb=get,delete', '--resource=secrets']);
    await damaged.kubectl(['create', 'rolebinding', 'jane', '--role=deleter', '--user=jane']);
    const raw = ['--as', 'jane', 'delete', '--raw', `${secretsPath}/s2?${unsafe}`];
    expect((await damaged.kubectl(raw)).stderr).toContain('unsafe-delete-ignore-read-errors');
    await damaged.kubectl(['create', 'role', 'breaker', '--verb=unsafe-delete-ignore-read-errors', '--resource=secrets']);
    await damaged.kubectl(['create', 'rolebinding', 'jane-breaks', '--role=breaker', '--user=jane']);
    expect(await damaged.kubectl(raw)).toMatchObject({ code: 0, stdout: expect.stringContaining('Success') as string });
    expect((await damaged.call('DELETE', `${secretsPath}/s107?${unsafe}`)).status).toBe(422);
    for (const name of names.filter((name) => name !== 's2')) {
      expect((await damaged.call('DELETE', `${secretsPath}/${name}?${unsafe}`)).status).toBe(200);
    }
    expect((await damaged.kubectl(['get', 'secrets', '-o', 'name'])).stdout.trim().split('\n')).toHaveLength(5);
    expect((await encryption(damaged, 'rotate')).json).toMatchObject({ step: 'done', resumed: true });
  });
});

describe('the number of values a key has encrypted', () => {
  it('is kept over restarts and crashes, warns at 200 000 and refuses at 2³²', async () => {
    const dataDir = await session.newDirectory();
    let server = await session.start(dataDir);
    await createSecrets(server, 20);
    const writes = async () => (await encryptionStatus(server)).keyWrites[0].writes as number;
    const counted = await writes();
    expect(counted).toBeGreaterThanOrEqual(20);
    await server.stop('SIGKILL');
    server = await session.start(dataDir);
    expect(await writes()).toBeGreaterThanOrEqual(counted);
    const warnings = async () => (await encryptionStatus(server)).warnings as string[];
    expect(await warnings()).toEqual([]);

    const usage = path.join(dataDir, 'pki', 'encryption-usage.json');
    const restartAt = async (count: number) => {
      await server.stop();
      const [writeId = ''] = Object.keys(JSON.parse(await readFile(usage, 'utf8')));
      await writeFile(usage, JSON.stringify({ [writeId]: count }));
      server = await session.start(dataDir);
    };
    await restartAt(199_990);
    expect(await warnings()).toEqual([]);
    await createSecrets(server, 10, 100);
    expect(await warnings()).toEqual([expect.stringMatching(/has encrypted 2000\d\d values: replace it \(coffer encryption rotate\)/)]);

    await restartAt(2 ** 32 - 2);
    await createSecrets(server, 2, 200);
    const refused = await server.call('POST', secretsPath, { metadata: { name: 'one-too-many' } });
    expect(refused.status).toBe(500);
    expect(refused.text).toContain('must be replaced');
    expect((await server.call('GET', secretsPath)).body.items).toHaveLength(32);
    expect((await encryption(server, 'rotate')).json).toMatchObject({ step: 'done', written: 32 });
    await createSecrets(server, 1, 300);
  });
});

describe('coffer backup and coffer restore', () => {
  it('make a server whose clients all list again', async () => {
    const server = await session.start(await session.newDirectory());
    await createSecrets(server, 20);
    const before = await contents(server);
    const listed = Number((await server.call('GET', secretsPath)).body.metadata.resourceVersion);
    const file = path.join(await session.newDirectory(), 'store.backup');
    const made = await coffer('backup', file, '--data-dir', server.dataDir);
    expect(made.stdout).toContain('the keys are not in it');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const bytes = await readFile(file);
    const key = /secret: (\S+)/.exec(await readFile(keyFile(server), 'utf8'))?.[1] ?? '';
    expect(bytes.includes(key) || bytes.includes(Buffer.from(key, 'base64'))).toBe(false);
    await createSecrets(server, 5, 20);
    await server.stop();

    expect((await coffer('restore', file, '--data-dir', server.dataDir)).stderr).toContain('is not empty');
    const target = path.join(await session.newDirectory(), 'new');
    const cut = path.join(path.dirname(file), 'cut');
    await writeFile(cut, bytes.subarray(0, -100));
    expect((await coffer('restore', cut, '--data-dir', target)).stderr).toContain('is not complete');
    bytes[5000] = (bytes[5000] ?? 0) ^ 1;
    await writeFile(cut, bytes);
    expect((await coffer('restore', cut, '--data-dir', target)).stderr).toContain('checksum');
    expect((await coffer('restore', file, '--data-dir', target)).code).toBe(0);

    const keyless = await coffer('up', '--data-dir', target, '--runtime', 'none', '--secure-port', '0');
    expect(keyless.stderr).toContain('which is missing in the configuration');
    await mkdir(path.join(target, 'pki'), { recursive: true, mode: 0o700 });
    await writeFile(path.join(target, 'pki', 'encryption-config.yaml'), await readFile(keyFile(server)), { mode: 0o600 });
    await chmod(target, 0o700);
    const restored = await session.start(target);
    expect(await contents(restored)).toEqual(before);
    const revision = Number((await restored.call('GET', secretsPath)).body.metadata.resourceVersion);
    expect(revision).toBeGreaterThanOrEqual(listed + 1_000_000_000);
    const stale = await restored.call('GET', `${secretsPath}?watch=1&timeoutSeconds=1&resourceVersion=${listed + 7}`);
    expect(stale.text).toContain('"code":410');
    await createSecrets(restored, 1, 100);
  });
});
