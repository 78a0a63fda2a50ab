import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { formatFieldError } from '../../errors/field-error.ts';
import type { KubeObject } from '../../meta/object.ts';
import { createErrors, updateErrors } from '../validate-object.ts';
import { configMap } from './configmap.ts';
import { namespace } from './namespace.ts';
import { secret } from './secret.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

function object(kind: string, fields: Record<string, unknown>, metadata: Record<string, unknown> = {}): KubeObject {
  return { apiVersion: 'v1', kind, metadata: { name: 'a', namespace: 'n', uid: 'u', resourceVersion: '1', ...metadata }, ...fields };
}

const texts = (errors: ReturnType<typeof createErrors>): string[] => errors.map(formatFieldError);

describe('ConfigMap', () => {
  const create = (fields: Record<string, unknown>, metadata = {}) => texts(createErrors(configMap, object('ConfigMap', fields, metadata)));

  it('refuses a key in both maps', () => {
    expect(create({ data: { k: 'v' }, binaryData: { k: 'AA==' } })).toEqual([
      'data[k]: Invalid value: "k": duplicate of key present in binaryData',
    ]);
  });
  it('allows exactly 1 MiB over all values, counted in bytes', () => {
    expect(create({ data: { k: 'x'.repeat(1024 * 1024) } })).toEqual([]);
    expect(create({ data: { k: 'é'.repeat(512 * 1024), l: 'x' } })).toEqual(['[]: Too long: may not be more than 1048576 bytes']);
    expect(create({ data: { a: 'x'.repeat(1024 * 1024 - 3) }, binaryData: { b: base64('1234') } })).toHaveLength(1);
  });
  it('names the largest keys, not their values', () => {
    const big = object('ConfigMap', { data: { large: 'secret-'.repeat(150_000), small: 'x' } });
    expect(configMap.refusalWarnings?.(big)).toEqual([
      'the data is 1050001 bytes, 1425 more than the limit of 1048576; largest keys: "large" (1050000 bytes), "small" (1 bytes)',
    ]);
  });
  it('treats prototype names as keys', () => {
    const data = JSON.parse('{"__proto__":"p","constructor":"c","toString":"t"}');
    expect(create({ data })).toEqual([]);
    expect(configMap.table.cells(object('ConfigMap', { data }), 0)[1]).toBe(3);
  });
  it('requires a name once when it is missing', () => {
    expect(create({}, { name: '' })).toEqual(['metadata.name: Required value: name or generateName is required']);
  });
  it('keeps an immutable object as it is', () => {
    const old = object('ConfigMap', { data: { k: 'v' }, immutable: true });
    const change = (fields: Record<string, unknown>) => texts(updateErrors(configMap, object('ConfigMap', fields), old));
    expect(change({ data: { k: 'w' }, immutable: true })).toEqual(['data: Forbidden: field is immutable when `immutable` is set']);
    expect(change({ data: { k: 'v' } })).toEqual(['immutable: Forbidden: field is immutable when `immutable` is set']);
    expect(change({ data: { k: 'v' }, binaryData: {}, immutable: true })).toEqual([]);
  });
  it('reports a bad label on update from every level', () => {
    const bad = object('ConfigMap', {}, { labels: { a: '-' } });
    expect(updateErrors(configMap, bad, object('ConfigMap', {}))).toHaveLength(4);
  });
  it('refuses new finalizers on an object that is being deleted', () => {
    const deleted = { deletionTimestamp: '2024-01-01T00:00:00Z', finalizers: ['x.io/hold'] };
    const change = object('ConfigMap', {}, { ...deleted, finalizers: ['x.io/other'] });
    const want =
      'metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{"x.io/other"}';
    expect(texts(updateErrors(configMap, change, object('ConfigMap', {}, deleted)))).toEqual([want, want]);
  });
});

describe('Secret', () => {
  const create = (fields: Record<string, unknown>, metadata = {}) => {
    const created = object('Secret', fields, metadata);
    secret.applyDefaults(created);
    secret.normalize?.(created, undefined);
    return texts(createErrors(secret, created));
  };

  it('moves stringData over data', () => {
    const created = object('Secret', { data: { x: base64('1') }, stringData: { y: 'two', x: 'over' } });
    secret.applyDefaults(created);
    secret.normalize?.(created, undefined);
    expect(created.data).toEqual({ x: 'b3Zlcg==', y: 'dHdv' });
    expect(created.type).toBe('Opaque');
    expect('stringData' in created).toBe(false);
  });

  it.each([
    ['dockercfg without its key', 'kubernetes.io/dockercfg', {}, ['data[.dockercfg]: Required value']],
    [
      'dockerconfigjson that is no JSON',
      'kubernetes.io/dockerconfigjson',
      { '.dockerconfigjson': base64('nope') },
      ["data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": invalid character 'o' in literal null (expecting 'u')"],
    ],
    ['basic-auth with one of two', 'kubernetes.io/basic-auth', { password: '' }, []],
    ['basic-auth with none', 'kubernetes.io/basic-auth', {}, ['data[username]: Required value', 'data[password]: Required value']],
    ['ssh-auth, empty', 'kubernetes.io/ssh-auth', { 'ssh-privatekey': '' }, ['data[ssh-privatekey]: Required value']],
    ['tls without key', 'kubernetes.io/tls', { 'tls.crt': '' }, ['data[tls.key]: Required value']],
    [
      'token without account',
      'kubernetes.io/service-account-token',
      {},
      ['metadata.annotations[kubernetes.io/service-account.name]: Required value'],
    ],
    ['any other type', 'tls', {}, []],
  ])('%s', (_name, type, data, want) => expect(create({ type, data })).toEqual(want));

  it('never changes its type', () => {
    const errors = updateErrors(secret, object('Secret', { type: 'other' }), object('Secret', { type: 'Opaque' }));
    expect(texts(errors)).toEqual(['type: Invalid value: "other": field is immutable']);
  });

  it('warns of a TLS pair that cannot work, without showing it', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    const warn = (crt: string, pem: string) =>
      secret.warnings(object('Secret', { type: 'kubernetes.io/tls', data: { 'tls.crt': base64(crt), 'tls.key': base64(pem) } }), undefined);
    expect(warn('x', key)).toEqual(['tls: failed to find any PEM data in certificate input']);
    expect(warn(key, 'x')).toEqual([
      'tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched',
    ]);
  });
});

describe('Namespace', () => {
  it('labels itself and becomes active', () => {
    const created: KubeObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } };
    namespace.applyDefaults(created);
    expect(created).toEqual({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'x', labels: { 'kubernetes.io/metadata.name': 'x' } },
      spec: {},
      status: { phase: 'Active' },
    });
    expect(namespace.selectableFields(created)).toEqual({ name: 'x', 'status.phase': 'Active' });
  });
  it('wants a DNS label', () => {
    const [error] = createErrors(namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'a.b' } });
    expect(error?.message).toBe('Invalid value: "a.b": must not contain dots');
  });
});
