import { describe, expect, it } from 'vitest';
import { StatusError } from '../errors/status-error.ts';
import type { KubeObject } from '../meta/object.ts';
import { builtInSchemaTable } from '../schema/schema-table.ts';
import { applyStrategicMergePatch } from './strategic-merge-patch.ts';

const table = builtInSchemaTable();

function pod(spec: Record<string, unknown>, metadata: Record<string, unknown> = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', ...metadata }, spec };
}

function patched(original: KubeObject, patch: unknown): KubeObject {
  const [group, version] = original.apiVersion.includes('/') ? original.apiVersion.split('/') : ['', original.apiVersion];
  const schema = table.kind(group ?? '', version ?? '', original.kind);
  if (schema === undefined) throw new Error('no such kind');
  return applyStrategicMergePatch(original, patch, schema, table);
}

function patchedSpec(spec: Record<string, unknown>, patch: unknown): unknown {
  const original = pod(spec);
  const before = structuredClone(original);
  const result = patched(original, { spec: patch }).spec;
  expect(original).toEqual(before);
  return result;
}

function failure(run: () => unknown): { code: number; message: string; reason: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError) return { code: error.code, message: error.message, reason: error.reason };
    throw error;
  }
  throw new Error('nothing was thrown');
}

const two = {
  containers: [
    {
      name: 'one',
      image: 'i1',
      env: [
        { name: 'A', value: '1' },
        { name: 'B', value: '2' },
      ],
      ports: [{ containerPort: 80 }],
    },
    { name: 'two', image: 'i2' },
  ],
};

describe('applyStrategicMergePatch on lists of objects', () => {
  it('merges by key; new items come before live ones that follow the last merged item', () => {
    expect(
      patchedSpec(two, {
        containers: [
          {
            name: 'one',
            env: [
              { name: 'B', value: 'two' },
              { name: 'C', value: '3' },
            ],
          },
          { name: 'three', image: 'i3' },
        ],
      }),
    ).toEqual({
      containers: [
        {
          name: 'one',
          image: 'i1',
          env: [
            { name: 'A', value: '1' },
            { name: 'B', value: 'two' },
            { name: 'C', value: '3' },
          ],
          ports: [{ containerPort: 80 }],
        },
        { name: 'three', image: 'i3' },
        { name: 'two', image: 'i2' },
      ],
    });
  });

  it('deletes items', () => {
    expect(
      patchedSpec(two, {
        containers: [
          { name: 'two', $patch: 'delete' },
          { name: 'one', env: [{ name: 'A', $patch: 'delete' }] },
        ],
      }),
    ).toEqual({
      containers: [{ name: 'one', image: 'i1', env: [{ name: 'B', value: '2' }], ports: [{ containerPort: 80 }] }],
    });
    expect(patchedSpec(two, { containers: [{ name: 'gone', $patch: 'delete' }] })).toEqual(two);
  });

  it('replaces the list', () => {
    expect(patchedSpec(two, { containers: [{ $patch: 'replace' }, { name: 'only', image: 'i9' }] })).toEqual({
      containers: [{ name: 'only', image: 'i9' }],
    });
  });

  it('merges ports by number', () => {
    expect(
      patchedSpec(two, { containers: [{ name: 'one', ports: [{ containerPort: 80, name: 'http' }, { containerPort: 81 }] }] }),
    ).toMatchObject({
      containers: [{ ports: [{ containerPort: 80, name: 'http' }, { containerPort: 81 }] }, { name: 'two' }],
    });
  });

  it('orders by $setElementOrder, live items keeping their place', () => {
    expect(
      patchedSpec(
        { containers: [{ name: 'a' }, { name: 'x' }, { name: 'b' }] },
        { '$setElementOrder/containers': [{ name: 'b' }, { name: 'n' }, { name: 'a' }], containers: [{ name: 'n', image: 'i' }] },
      ),
    ).toEqual({ containers: [{ name: 'x' }, { name: 'b' }, { name: 'n', image: 'i' }, { name: 'a' }] });
    expect(
      patchedSpec({ containers: [{ name: 'a' }, { name: 'b' }] }, { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] }),
    ).toEqual({ containers: [{ name: 'b' }, { name: 'a' }] });
  });

  it('adds a list that was not there, without directives and nulls', () => {
    expect(
      patchedSpec(
        {},
        {
          containers: [
            { name: 'a', image: null },
            { name: 'b', $patch: 'delete' },
          ],
        },
      ),
    ).toEqual({
      containers: [{ name: 'a' }],
    });
    expect(patchedSpec({}, { '$setElementOrder/containers': [{ name: 'a' }], containers: [{ name: 'a' }] })).toEqual({
      containers: [{ name: 'a' }],
    });
  });

  it('replaces lists that have no merge key', () => {
    expect(patchedSpec({ containers: [{ name: 'a', command: ['x', 'y'] }] }, { containers: [{ name: 'a', command: ['z'] }] })).toEqual({
      containers: [{ name: 'a', command: ['z'] }],
    });
  });
});

describe('applyStrategicMergePatch on lists of scalars', () => {
  const original = pod({}, { finalizers: ['a/1', 'b/2'] });
  const finalizers = (patch: Record<string, unknown>): unknown => patched(original, { metadata: patch }).metadata.finalizers;

  it('joins, without repetition', () => {
    expect(finalizers({ finalizers: ['b/2', 'c/3'] })).toEqual(['a/1', 'b/2', 'c/3']);
  });

  it('deletes with a parallel list', () => {
    expect(finalizers({ '$deleteFromPrimitiveList/finalizers': ['a/1', 'x/9'] })).toEqual(['b/2']);
    expect(patched(pod({}), { metadata: { '$deleteFromPrimitiveList/finalizers': ['a/1'] } }).metadata.finalizers).toBeUndefined();
  });

  it('orders with $setElementOrder', () => {
    expect(finalizers({ '$setElementOrder/finalizers': ['c/3', 'b/2', 'a/1'], finalizers: ['c/3'] })).toEqual(['c/3', 'b/2', 'a/1']);
  });
});

describe('applyStrategicMergePatch on objects', () => {
  it('keeps only what $retainKeys lists', () => {
    expect(
      patchedSpec(
        { volumes: [{ name: 'v', emptyDir: {} }] },
        { volumes: [{ name: 'v', configMap: { name: 'x' }, $retainKeys: ['name', 'configMap'] }] },
      ),
    ).toEqual({ volumes: [{ name: 'v', configMap: { name: 'x' } }] });
  });

  it('replaces or empties an object', () => {
    const spec = { nodeSelector: { a: '1' }, securityContext: { runAsUser: 1 } };
    expect(patchedSpec(spec, { nodeSelector: { $patch: 'replace', b: '2' } })).toMatchObject({ nodeSelector: { b: '2' } });
    expect(patchedSpec(spec, { securityContext: { $patch: 'delete' } })).toMatchObject({ securityContext: {} });
  });

  it('removes members with null and keeps user keys of any name', () => {
    const original: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' }, data: { one: '1', two: '2' } };
    const patch: unknown = JSON.parse('{"data":{"two":null,"__proto__":"p"}}');
    expect(JSON.stringify(patched(original, patch).data)).toBe('{"one":"1","__proto__":"p"}');
  });
});

describe('applyStrategicMergePatch refuses', () => {
  const cases: [string, unknown, number, string][] = [
    [
      'an item without its key',
      { containers: [{ image: 'x', ports: [{ containerPort: 1 }] }] },
      500,
      'map: map[image:x ports:[map[containerPort:1]]] does not contain declared merge key: name',
    ],
    [
      'an unknown directive',
      { securityContext: { $patch: 'explode', a: 1 } },
      500,
      'unknown patch type: explode in map: map[$patch:explode a:1]',
    ],
    ['merge as a list directive', { containers: [{ $patch: 'merge' }] }, 500, 'merging lists cannot yet be specified in the patch'],
    [
      'a member that $retainKeys does not list',
      { securityContext: { $retainKeys: ['a'], b: 1 } },
      400,
      'invalid patch format of retainKeys',
    ],
    ['a $retainKeys that is no list', { securityContext: { $retainKeys: 'a' } }, 400, 'invalid patch format of retainKeys'],
    ['mixed items', { containers: [{ name: 'a' }, 'b'] }, 500, 'list element types are not identical: [[map[name:one]] [map[name:a] b]]'],
    ['a list among objects', { containers: [['a']] }, 500, 'list element types are not identical: [[map[name:one]] [[a]]]'],
    ['an order that is no list', { '$setElementOrder/containers': 'x' }, 500, 'expected a []interface {}, but received a string'],
    [
      'an order that the patch contradicts',
      { '$setElementOrder/containers': [{ name: 'one' }], containers: [{ name: 'b' }] },
      500,
      "The order in patch list:\n[map[name:b]]\n doesn't match $setElementOrder list:\n[map[name:one]]\n",
    ],
    ['a broken delete list', { $deleteFromPrimitiveList: ['x'] }, 400, 'invalid patch format of primitive list'],
  ];
  it.each(cases)('%s', (_, patch, code, message) => {
    const original = pod({ containers: [{ name: 'one' }], securityContext: {} });
    expect(failure(() => patched(original, { spec: patch }))).toMatchObject({ code, message });
  });

  it('a patch that is not an object', () => {
    expect(failure(() => patched(pod({}), []))).toEqual({
      code: 400,
      reason: 'BadRequest',
      message: 'json: cannot unmarshal array into Go value of type map[string]interface {}',
    });
  });
});
