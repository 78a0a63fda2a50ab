import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { loadEncryptionConfig } from './encryption.ts';
import { newEncryptionConfiguration } from './new-configuration.ts';
import { ReloadableEncryption } from './reloadable-encryption.ts';

const deps = { clock: new FakeClock(), logger: silentLogger };
const secretA = Buffer.alloc(32, 'a').toString('base64');
const secretB = Buffer.alloc(32, 'b').toString('base64');
const context = { key: '/registry/secrets/ns/db' };
const plain = Buffer.from('{"kind":"Secret","data":{"password":"aHVudGVyMg=="}}');

function config(...rules: readonly { readonly resources: readonly string[]; readonly providers: readonly object[] }[]): string {
  return JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration', resources: rules });
}
const secrets = (...providers: object[]) => config({ resources: ['secrets'], providers });
const keys = (...named: [string, string][]) => ({ keys: named.map(([name, secret]) => ({ name, secret })) });
const transformer = (text: string) => loadEncryptionConfig(text, deps).transformerFor('', 'secrets');
const stored = async (text: string) => Buffer.from(await transformer(text).toStorage(plain, context));
const read = async (text: string, value: Uint8Array) => {
  const result = await transformer(text).fromStorage(value, context);
  return { text: Buffer.from(result.plain).toString(), stale: result.stale };
};
const text = plain.toString();

describe('loadEncryptionConfig', () => {
  it('accepts the example of the documentation in YAML', () => {
    const encryption = loadEncryptionConfig(
      `
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets, configmaps, pandas.awesome.bears.example]
    providers:
      - aescbc: {keys: [{name: key1, secret: ${secretA}}]}
      - identity: {}
  - resources: [events]
    providers: [{identity: {}}]
  - resources: ['*.apps']
    providers:
      - aescbc: {keys: [{name: key2, secret: ${secretB}}]}
  - resources: ['*.*']
    providers:
      - secretbox: {keys: [{name: key3, secret: ${secretA}}]}
`,
      deps,
    );
    const head = (group: string, resource: string) => {
      const value = encryption.transformerFor(group, resource).toStorage(plain, context) as Uint8Array;
      return Buffer.from(value).toString('latin1').slice(0, 29);
    };
    expect(head('', 'secrets')).toMatch(/^k8s:enc:aescbc:v1:key1:/);
    expect(head('awesome.bears.example', 'pandas')).toMatch(/^k8s:enc:aescbc:v1:key1:/);
    expect(head('apps', 'deployments')).toMatch(/^k8s:enc:aescbc:v1:key2:/);
    expect(head('', 'pods')).toMatch(/^k8s:enc:secretbox:v1:key3:/);
    expect(head('', 'events')).toBe(text.slice(0, 29));
    expect(encryption.describe()[0]).toEqual({
      resources: ['secrets', 'configmaps', 'pandas.awesome.bears.example'],
      prefixes: ['k8s:enc:aescbc:v1:key1:', ''],
    });
  });

  const everything: readonly { readonly name: string; readonly provider: object; readonly prefix: string }[] = [
    { name: 'aescbc', provider: { aescbc: keys(['k1', secretA]) }, prefix: 'k8s:enc:aescbc:v1:k1:' },
    { name: 'aesgcm', provider: { aesgcm: keys(['k1', secretA]) }, prefix: 'k8s:enc:aesgcm:v1:k1:' },
    { name: 'secretbox', provider: { secretbox: keys(['k1', secretA]) }, prefix: 'k8s:enc:secretbox:v1:k1:' },
    { name: 'identity', provider: { identity: {} }, prefix: '{"kind"' },
  ];
  for (const { name, provider, prefix } of everything) {
    it(`writes and reads with ${name}`, async () => {
      const value = await stored(secrets(provider));
      expect(value.toString('latin1').startsWith(prefix)).toBe(true);
      expect(await read(secrets(provider), value)).toEqual({ text, stale: false });
    });
  }

  it('reads with every provider, and calls stale what the first would write otherwise', async () => {
    const first = { aesgcm: keys(['new', secretB], ['old', secretA]) };
    const old = await stored(secrets({ aesgcm: keys(['old', secretA]) }));
    const open = await stored(secrets({ identity: {} }));
    expect(await read(secrets(first, { identity: {} }), old)).toEqual({ text, stale: true });
    expect(await read(secrets(first, { identity: {} }), open)).toEqual({ text, stale: true });
    expect(await read(secrets({ identity: {} }, first), old)).toEqual({ text, stale: true });
    expect(await read(secrets({ identity: {} }, first), open)).toEqual({ text, stale: false });
  });

  it('tries every key of the same name', async () => {
    const old = await stored(secrets({ secretbox: keys(['k', secretA]) }));
    const exchanged = secrets({ secretbox: keys(['k', secretB]) }, { secretbox: keys(['k', secretA]) });
    expect(await read(exchanged, old)).toEqual({ text, stale: true });
  });

  it('refuses what it cannot read, and says which key is missing, never what the value is', async () => {
    const value = await stored(secrets({ aesgcm: keys(['lost', secretA]) }));
    await expect(read(secrets({ identity: {} }), value)).rejects.toThrow(
      'no configured provider can read a value written with k8s:enc:aesgcm:v1:lost',
    );
    await expect(read(secrets({ aesgcm: keys(['lost', secretB]) }), value)).rejects.toThrow(
      'k8s:enc:aesgcm:v1:lost: authentication of the stored data failed',
    );
    await expect(read(secrets({ aesgcm: keys(['lost', secretA]) }), plain)).rejects.toThrow(
      'no configured provider can read a value that is not encrypted',
    );
    const { transformerFor } = {
      transformerFor: (group: string, resource: string) =>
        loadEncryptionConfig(secrets({ identity: {} }), deps).transformerFor(group, resource),
    };
    expect(() => transformerFor('', 'configmaps').fromStorage(value, context)).toThrow('is encrypted');
  });

  it('overwrites its keys when it is closed', async () => {
    const encryption = loadEncryptionConfig(secrets({ aesgcm: keys(['k', secretA]) }), deps);
    const value = await encryption.transformerFor('', 'secrets').toStorage(plain, context);
    await encryption.close();
    expect(() => encryption.transformerFor('', 'secrets').fromStorage(value, context)).toThrow('authentication');
  });

  const broken: readonly { readonly name: string; readonly text: string; readonly message: string }[] = [
    { name: 'nothing', text: ' ', message: 'is empty' },
    { name: 'no YAML', text: `{"secret": "${secretA}`, message: 'not valid YAML' },
    { name: 'another kind', text: 'kind: Pod\napiVersion: v1', message: 'got Pod of v1' },
    { name: 'no rules', text: config(), message: 'resources: Required value' },
    {
      name: 'no resources',
      text: config({ resources: [], providers: [{ identity: {} }] }),
      message: 'resources[0].resources: Required value',
    },
    { name: 'no providers', text: config({ resources: ['secrets'], providers: [] }), message: 'resources[0].providers: Required value' },
    {
      name: 'an empty provider',
      text: secrets({}),
      message: 'does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity',
    },
    {
      name: 'two providers in one',
      text: secrets({ identity: {}, aesgcm: keys(['k', secretA]) }),
      message: 'more than one provider specified in a single element',
    },
    {
      name: 'no keys',
      text: secrets({ aesgcm: keys() }),
      message: 'resources[0].providers[0].aesgcm.keys: Required value: at least one keys is required',
    },
    {
      name: 'a key without name',
      text: secrets({ aesgcm: keys(['', secretA]) }),
      message: 'keys[0].name: Required value: name is a mandatory field for a key',
    },
    {
      name: 'a key that is no base64',
      text: secrets({ aesgcm: keys(['k', 'not base64!']) }),
      message: 'Invalid value: "REDACTED": secrets must be base64 encoded',
    },
    {
      name: 'a key of the wrong length',
      text: secrets({ aesgcm: keys(['k', 'c2hvcnQ=']) }),
      message:
        'resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: "REDACTED": secret is not of the expected length, got 5, expected one of [16 24 32]',
    },
    { name: 'a short secretbox key', text: secrets({ secretbox: keys(['k', 'c2hvcnQ=']) }), message: 'got 5, expected one of [32]' },
    {
      name: 'an unknown field',
      text: secrets({ aesgmc: keys(['k', secretA]) }),
      message: 'unknown field "resources[0].providers[0].aesgmc"',
    },
    {
      name: 'a lonely star',
      text: config({ resources: ['*'], providers: [{ identity: {} }] }),
      message: "use '*.' to encrypt all the resources from core API group",
    },
    {
      name: 'capitals',
      text: config({ resources: ['Secrets'], providers: [{ identity: {} }] }),
      message: 'resource name should not contain capital letters',
    },
    {
      name: 'a resource of all groups',
      text: config({ resources: ['secrets.*'], providers: [{ identity: {} }] }),
      message: 'across groups is not supported',
    },
    {
      name: 'overlap',
      text: config({ resources: ['secrets', '*.'], providers: [{ identity: {} }] }),
      message: 'using overlapping resources',
    },
    {
      name: 'duplicates',
      text: config({ resources: ['secrets', 'secrets'], providers: [{ identity: {} }] }),
      message: 'cannot be specified multiple times',
    },
    {
      name: 'a rule that never applies',
      text: config({ resources: ['*.*'], providers: [{ identity: {} }] }, { resources: ['secrets'], providers: [{ identity: {} }] }),
      message: 'resource "secrets" is masked by earlier rule "*.*"',
    },
    { name: 'KMS v1', text: secrets({ kms: { name: 'p', endpoint: 'unix:///x' } }), message: 'KMSv1 is deprecated and not supported' },
    {
      name: 'KMS over TCP',
      text: secrets({ kms: { apiVersion: 'v2', name: 'p', endpoint: 'tcp://x' } }),
      message: 'unsupported scheme "tcp" for KMS provider, only unix is supported',
    },
    {
      name: 'a KMS name with a colon',
      text: secrets({ kms: { apiVersion: 'v2', name: 'p:q', endpoint: 'unix:///x' } }),
      message: "must not contain ':'",
    },
    {
      name: 'a KMS cache size',
      text: secrets({ kms: { apiVersion: 'v2', name: 'p', endpoint: 'unix:///x', cachesize: 10 } }),
      message: 'cachesize is not supported in v2',
    },
    {
      name: 'a KMS timeout of nothing',
      text: secrets({ kms: { apiVersion: 'v2', name: 'p', endpoint: 'unix:///x', timeout: '0s' } }),
      message: 'timeout should be a positive value',
    },
  ];
  for (const { name, text: configuration, message } of broken) {
    it(`refuses ${name}`, () => {
      expect(() => loadEncryptionConfig(configuration, deps)).toThrow(message);
      expect(() => loadEncryptionConfig(configuration, deps)).not.toThrow(secretA);
    });
  }
});

describe('newEncryptionConfiguration', () => {
  for (const provider of ['aesgcm', 'secretbox'] as const) {
    it(`makes a ${provider} key of its own each time`, async () => {
      const make = () => newEncryptionConfiguration({ resources: ['secrets'], provider, keyName: 'key-1' });
      const configuration = make();
      expect(make()).not.toBe(configuration);
      expect((await stored(configuration)).toString('latin1').startsWith(`k8s:enc:${provider}:v1:key-1:`)).toBe(true);
      expect(await read(configuration, await stored(configuration))).toEqual({ text, stale: false });
      expect(await read(configuration, plain)).toEqual({ text, stale: true });
    });
  }
});

describe('ReloadableEncryption', () => {
  it('keeps its transformers across an exchange and changes what they write', async () => {
    const before = loadEncryptionConfig(secrets({ aesgcm: keys(['one', secretA]) }), deps);
    const encryption = new ReloadableEncryption(before);
    const kept = encryption.transformerFor('', 'secrets');
    const old = await kept.toStorage(plain, context);
    const writeId = kept.writeId;
    encryption.replace(loadEncryptionConfig(secrets({ aesgcm: keys(['two', secretB], ['one', secretA]) }), deps));
    expect(kept.writeId).not.toBe(writeId);
    expect(await kept.fromStorage(old, context)).toMatchObject({ stale: true });
    expect(Buffer.from(await kept.toStorage(plain, context)).toString('latin1')).toContain('k8s:enc:aesgcm:v1:two:');
    expect(encryption.current.describe()[0]?.prefixes).toEqual(['k8s:enc:aesgcm:v1:two:', 'k8s:enc:aesgcm:v1:one:']);
  });
});
