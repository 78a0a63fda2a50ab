import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestKmsPlugin } from '../../../testing/kms-plugin.ts';
import { loadEncryptionConfig } from '../encryption.ts';

describe('KMS v2', () => {
  const context = { key: '/registry/secrets/ns/db' };
  const plain = Buffer.from('{"kind":"Secret"}');
  let directory: string;
  let plugin: TestKmsPlugin;
  let clock: FakeClock;
  const open: { close(): Promise<void> }[] = [];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'coffer-kms-'));
    plugin = new TestKmsPlugin(join(directory, 'plugin.sock'));
    clock = new FakeClock();
    await plugin.start();
  });
  afterEach(async () => {
    await Promise.all(open.splice(0).map((encryption) => encryption.close()));
    plugin.stop();
    rmSync(directory, { recursive: true });
  });

  function load() {
    const kms = { apiVersion: 'v2', name: 'vault', endpoint: `unix://${join(directory, 'plugin.sock')}`, timeout: '2s' };
    const text = JSON.stringify({
      apiVersion: 'apiserver.config.k8s.io/v1',
      kind: 'EncryptionConfiguration',
      resources: [{ resources: ['secrets'], providers: [{ kms }, { identity: {} }] }],
    });
    const encryption = loadEncryptionConfig(text, { clock, logger: silentLogger });
    open.push(encryption);
    const [health] = encryption.healthChecks;
    if (health === undefined) throw new Error('no health check');
    return { transformer: encryption.transformerFor('', 'secrets'), health };
  }

  it('encrypts every value with a key of its own and asks the plugin once', async () => {
    const { transformer, health } = load();
    await health.check();
    const values = [];
    for (let i = 0; i < 20; i++) values.push(await transformer.toStorage(plain, context));
    expect(new Set(values.map((value) => Buffer.from(value).toString('hex'))).size).toBe(20);
    for (const value of values) {
      expect(Buffer.from(value).toString('latin1')).toMatch(/^k8s:enc:kms:v2:vault:/);
      expect(await transformer.fromStorage(value, context)).toEqual({ plain, stale: false });
    }
    expect(plugin.calls.filter((call) => call !== 'Status')).toEqual(['Encrypt']);
  });

  it('is synchronous once it knows the plugin', async () => {
    const { transformer, health } = load();
    await health.check();
    const value = transformer.toStorage(plain, context);
    expect(value).not.toBeInstanceOf(Promise);
    expect(transformer.fromStorage(value as Uint8Array, context)).not.toBeInstanceOf(Promise);
  });

  it('lets the plugin decrypt seeds of earlier runs, once each', async () => {
    const before = load();
    const values = await Promise.all([before.transformer.toStorage(plain, context), before.transformer.toStorage(plain, context)]);
    plugin.calls.length = 0;
    const after = load();
    const results = await Promise.all(values.map(async (value) => after.transformer.fromStorage(value, context)));
    expect(results.map((result) => Buffer.from(result.plain).toString())).toEqual([plain.toString(), plain.toString()]);
    expect(plugin.calls.filter((call) => call === 'Decrypt')).toHaveLength(1);
  });

  it('refuses a moved value', async () => {
    const { transformer } = load();
    const value = await transformer.toStorage(plain, context);
    await expect((async () => transformer.fromStorage(value, { key: '/registry/secrets/ns/other' }))()).rejects.toThrow('was moved');
  });

  it('makes a new seed when the plugin names another key, and calls the old values stale', async () => {
    const { transformer, health } = load();
    const old = await transformer.toStorage(plain, context);
    const writeId = transformer.writeId;
    plugin.keyId = 'key-2';
    await clock.advance(60_000);
    await expect.poll(() => transformer.writeId).not.toBe(writeId);
    await health.check();
    expect(await transformer.fromStorage(old, context)).toEqual({ plain, stale: true });
    expect(await transformer.fromStorage(await transformer.toStorage(plain, context), context)).toEqual({ plain, stale: false });
  });

  it('goes on writing for three minutes after the plugin was last well, and reading for ever', async () => {
    const { transformer, health } = load();
    const value = await transformer.toStorage(plain, context);
    plugin.failing = true;
    await clock.advance(170_000);
    const late = await transformer.toStorage(plain, context);
    await clock.advance(20_000);
    await expect((async () => transformer.toStorage(plain, context))()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('the key store does not answer') as string,
    });
    await expect(health.check()).rejects.toThrow('the KMS provider vault is not healthy');
    expect(await transformer.fromStorage(value, context)).toEqual({ plain, stale: false });
    expect(await transformer.fromStorage(late, context)).toEqual({ plain, stale: false });
    plugin.failing = false;
    await health.check();
    await transformer.toStorage(plain, context);
  });

  const unhealthy: readonly { readonly name: string; readonly set: () => void; readonly message: string }[] = [
    {
      name: 'says it is not well',
      set: () => {
        plugin.healthz = 'sick';
      },
      message: 'got unexpected healthz status: sick',
    },
    {
      name: 'speaks another version',
      set: () => {
        plugin.version = 'v3';
      },
      message: 'expected KMSv2 API version v2, got v3',
    },
    {
      name: 'names no key',
      set: () => {
        plugin.keyId = '';
      },
      message: 'keyID is empty',
    },
    {
      name: 'names different keys',
      set: () => {
        plugin.encryptKeyId = 'other';
      },
      message: 'name different keys',
    },
  ];
  for (const { name, set, message } of unhealthy) {
    it(`is not used when it ${name}`, async () => {
      set();
      const { transformer, health } = load();
      await expect(health.check()).rejects.toThrow(message);
      await expect((async () => transformer.toStorage(plain, context))()).rejects.toMatchObject({ code: 'unavailable' });
    });
  }

  it('waits for a plugin that is down, and uses it when it comes back', async () => {
    plugin.stop();
    const { transformer, health } = load();
    await expect(health.check()).rejects.toThrow('not healthy');
    plugin = new TestKmsPlugin(join(directory, 'plugin.sock'));
    await plugin.start();
    await expect
      .poll(
        () =>
          health.check().then(
            () => 'well',
            () => 'down',
          ),
        { timeout: 5000 },
      )
      .toBe('well');
    expect(await transformer.fromStorage(await transformer.toStorage(plain, context), context)).toEqual({ plain, stale: false });
  });
});
