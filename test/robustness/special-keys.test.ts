import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess } from '../support/coffer-process.ts';
import { Session } from '../support/session.ts';
import { own, put, type Tree } from './json-tree.ts';

/** Keys that mean something to JavaScript are plain keys: they survive store, patch, watch, file and process. */
let coffer: CofferProcess;
let session: Session;
const isRoot = process.getuid?.() === 0;
const keys = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'] as const;
// A label or annotation key starts and ends with a letter or digit.
const labelKeys = keys.slice(1);

beforeAll(async () => {
  coffer = await CofferProcess.start(isRoot ? {} : { args: ['--runtime', 'none'] });
  session = await Session.open(coffer, 'keys');
});
afterAll(async () => {
  await session?.close();
  await coffer?.dispose();
});

function map(names: readonly string[], value: (name: string) => string): Tree {
  const object: Tree = {};
  for (const name of names) put(object, name, value(name));
  return object;
}

/** Compared as text pairs: matchers treat `__proto__` specially. */
function pairs(object: Tree): string[] {
  return Object.keys(object)
    .map((key) => `${key}=${String(own(object, key))}`)
    .sort();
}

const expected = (names: readonly string[], value: (name: string) => string): string[] =>
  names.map((name) => `${name}=${value(name)}`).sort();

describe('keys named as inherited members', () => {
  it('survive store, three kinds of patch, apply and watch', async () => {
    const path = `/api/v1/namespaces/${session.namespace}/configmaps`;
    const metadata = { name: 'keys', labels: map(labelKeys, (k) => `l-${k}`), annotations: map(labelKeys, (k) => `a-${k}`) };
    const created = await coffer.call('POST', path, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: map(keys, (k) => `1-${k}`) });
    expect(created.status, created.text).toBe(201);
    const one = `${path}/keys`;
    for (const [round, type] of [
      ['2', 'application/merge-patch+json'],
      ['3', 'application/strategic-merge-patch+json'],
    ] as const) {
      const { body, status, text } = await coffer.call('PATCH', one, { data: map(keys, (k) => `${round}-${k}`) }, { 'content-type': type });
      expect(status, text).toBe(200);
      expect(pairs(body.data)).toEqual(expected(keys, (k) => `${round}-${k}`));
    }
    const operations = keys.map((key) => ({ op: 'replace', path: `/data/${key}`, value: `4-${key}` }));
    const patched = await coffer.call('PATCH', one, operations, { 'content-type': 'application/json-patch+json' });
    // Some implementations of JSON Patch refuse such paths; this one has no reason to.
    expect(patched.status, patched.text).toBe(200);
    expect(pairs(patched.body.data)).toEqual(expected(keys, (k) => `4-${k}`));
    const applied = await coffer.call(
      'PATCH',
      `${one}?fieldManager=test&force=true`,
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'keys' }, data: map(keys, (k) => `5-${k}`) },
      { 'content-type': 'application/apply-patch+yaml' },
    );
    expect(applied.status, applied.text).toBe(200);
    const { body } = await coffer.call('GET', one);
    expect(pairs(body.data)).toEqual(expected(keys, (k) => `5-${k}`));
    expect(pairs(body.metadata.labels)).toEqual(expected(labelKeys, (k) => `l-${k}`));
    expect(pairs(body.metadata.annotations)).toEqual(expected(labelKeys, (k) => `a-${k}`));
    const selected = await coffer.call('GET', `${path}?labelSelector=constructor%3Dl-constructor`);
    expect(selected.body.items).toHaveLength(1);
    const none = await coffer.call('GET', `/api/v1/namespaces/${session.namespace}/secrets?labelSelector=toString`);
    expect(none.body.items).toEqual([]);
    const watched = await coffer.call('GET', `${path}?watch=1&resourceVersion=${created.body.metadata.resourceVersion}&timeoutSeconds=1`);
    const last = JSON.parse(watched.text.trim().split('\n').at(-1) ?? '{}');
    expect(pairs(last.object.data)).toEqual(expected(keys, (k) => `5-${k}`));
    const removal: Tree = {};
    for (const key of keys) put(removal, key, null);
    const removed = await coffer.call('PATCH', one, { data: removal }, { 'content-type': 'application/merge-patch+json' });
    expect(Object.keys(removed.body.data ?? {})).toEqual([]);
    await coffer.call('PATCH', one, { data: map(keys, (k) => `6-${k}`) }, { 'content-type': 'application/merge-patch+json' });
  });

  it('reach files and processes', { skip: !isRoot }, async () => {
    const env = keys.map((key) => ({ name: key, value: `env-${key}` }));
    const container = {
      name: 'main',
      image: 'busybox',
      command: ['sh', '-c', 'while :; do sleep 1; done'],
      env,
      envFrom: [{ prefix: 'FROM_', configMapRef: { name: 'keys' } }],
      volumeMounts: [{ name: 'files', mountPath: '/etc/files' }],
    };
    const spec = { terminationGracePeriodSeconds: 0, containers: [container], volumes: [{ name: 'files', configMap: { name: 'keys' } }] };
    await session.apply(JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'keys' }, spec }));
    await session.succeed(['wait', '--for=condition=Ready', 'pod/keys', '--timeout=60s']);
    const variables = (await session.exec('keys', 'env')).split('\n');
    expect(variables).toEqual(expect.arrayContaining(expected(keys, (k) => `env-${k}`)));
    expect(variables).toEqual(expect.arrayContaining(keys.map((key) => `FROM_${key}=6-${key}`)));
    const listing = await session.exec('keys', 'sh', '-c', 'cd /etc/files && for f in *; do echo "$f=$(cat "$f")"; done');
    expect(listing.split('\n').sort()).toEqual(expected(keys, (k) => `6-${k}`));
  });
});
