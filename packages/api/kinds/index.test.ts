import { describe, expect, it } from 'vitest';
import { builtInResources } from '../catalog/built-in-resources.ts';
import { canonicalize } from '../codec/canonicalize.ts';
import { formatFieldError } from '../errors/field-error.ts';
import type { KubeObject } from '../meta/object.ts';
import type { TypeSchema } from '../schema/schema.ts';
import { builtInSchemaTable } from '../schema/schema-table.ts';
import { builtInKind, builtInKinds } from './index.ts';
import type { KindDefinition } from './kind.ts';
import { createErrors, statusErrors, updateErrors } from './validate-object.ts';

const table = builtInSchemaTable();
const samples = 60;
const maxDepth = 9;

type Random = () => number;

/** Deterministic numbers in [0, 1). */
function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function pick<T>(random: Random, values: readonly T[]): T | undefined {
  return values[Math.floor(random() * values.length)];
}

const strings = [
  '',
  'a',
  'a',
  'kubernetes.io/x',
  'Always',
  'TCP',
  'In',
  'User',
  '10.0.0.1',
  'fd00::/8',
  '/etc/x',
  'A B',
  '..',
  'é',
  '-1',
  'Exists',
];

/** Any value of the type that a decoder could hand over: absent and empty parts, null, nonsense. */
function anyValue(type: TypeSchema, random: Random, depth: number): unknown {
  switch (type.kind) {
    case 'scalar':
      if (type.type === 'string') return type.format === 'byte' ? pick(random, ['', 'YQ==', 'AAEC']) : pick(random, strings);
      return type.type === 'boolean' ? random() < 0.5 : pick(random, [0, 1, -1, 80, 65_536, 2_147_483_647]);
    case 'special':
      if (type.type === 'quantity') return pick(random, ['0', '1', '100m', '1Gi', '-1', '1e3']);
      if (type.type === 'int-or-string') return pick(random, [0, 80, -1, '25%', 'http', '']);
      if (type.type === 'fields-v1' || type.type === 'any') return {};
      return type.type === 'duration' ? '1s' : type.type === 'time' ? '2026-01-02T03:04:05Z' : '2026-01-02T03:04:05.000000Z';
    case 'struct':
      return anyStruct(type.name, random, depth + 1);
    case 'list':
      return Array.from({ length: Math.floor(random() * 3) }, () => anyValue(type.element, random, depth));
    case 'map':
      return random() < 0.3 ? {} : { [pick(random, strings.slice(1)) ?? '']: anyValue(type.value, random, depth) };
  }
}

function anyStruct(name: string, random: Random, depth: number): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const field of table.struct(name).fieldList) {
    // The deeper, the emptier: objects stay small.
    if (depth > maxDepth || random() < 0.25 + depth * 0.08) continue;
    if (field.pointer && random() < 0.05) result[field.name] = null;
    else result[field.name] = anyValue(field.type, random, depth);
  }
  return result;
}

function anyObject(kind: KindDefinition, random: Random): KubeObject {
  const object = anyStruct(kind.schema, random, 0);
  const metadata: KubeObject['metadata'] = { ...(object.metadata as object), name: 'x', uid: 'u', resourceVersion: '1' };
  if (kind.resource.namespaced) metadata.namespace = 'n';
  return { ...object, apiVersion: 'v1', kind: 'X', metadata };
}

function complete(kind: KindDefinition, object: KubeObject): KubeObject {
  kind.applyDefaults(object);
  kind.normalize?.(object, undefined);
  return canonicalize(object, table.struct(kind.schema), table);
}

describe('kinds', () => {
  it('are there for every resource of the catalogue, once', () => {
    const names = builtInKinds().map(({ resource }) => `${resource.group}/${resource.resource}`);
    const served = builtInResources.map(({ group, resource }) => `${group}/${resource}`);
    expect(names.toSorted()).toEqual(served.toSorted());
    expect(builtInKind('apps', 'deployments')?.resource.kind).toBe('Deployment');
    expect(builtInKind('', 'deployments')).toBeUndefined();
  });

  const rows = builtInKinds().map((kind): [string, KindDefinition] => [kind.resource.kind, kind]);

  it.each(rows)('%s describes its columns', (kind, { table: { columns } }) => {
    expect(columns[0]?.name).toBe(kind === 'Event' ? 'Last Seen' : 'Name');
    for (const column of columns) expect(column.description).not.toBe('');
  });

  it.each(rows)('%s copes with anything the decoder lets through', (_name, kind) => {
    const random = randomFrom(7);
    for (let i = 0; i < samples; i++) {
      const old = complete(kind, anyObject(kind, random));
      const object = complete(kind, anyObject(kind, random));
      const before = JSON.stringify(object);
      const errors = [...createErrors(kind, object), ...updateErrors(kind, object, old), ...statusErrors(kind, object, old)];
      for (const error of errors) expect(formatFieldError(error)).not.toMatch(/undefined|\[object/);
      for (const text of kind.warnings(object, old)) expect(text).not.toMatch(/undefined|\[object/);
      const cells = kind.table.cells(object, Date.now());
      expect(cells).toHaveLength(kind.table.columns.length);
      for (const cell of cells) expect(['string', 'number', 'boolean']).toContain(typeof cell);
      for (const value of Object.values(kind.selectableFields(object))) expect(typeof value).toBe('string');
      expect(JSON.stringify(object)).toBe(before);
    }
  });

  it.each(rows)('%s has the same defaults the second time', (_name, kind) => {
    const random = randomFrom(11);
    for (let i = 0; i < samples; i++) {
      // The canonical form does not tell empty from absent, so what was written once is the first thing to be the same.
      const once = complete(kind, complete(kind, anyObject(kind, random)));
      expect(complete(kind, structuredClone(once))).toEqual(once);
    }
  });
});
