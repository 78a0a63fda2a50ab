/** For tests: objects as they are when the API server checks them, and what it would answer. */

import { canonicalize } from '../../codec/canonicalize.ts';
import { formatFieldError } from '../../errors/field-error.ts';
import type { KubeObject } from '../../meta/object.ts';
import { builtInSchemaTable } from '../../schema/schema-table.ts';
import type { KindDefinition } from '../kind.ts';
import { createErrors, statusErrors, updateErrors } from '../validate-object.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** With server-set metadata, defaults and in canonical form. */
export function written(kind: KindDefinition, fields: Fields, old?: KubeObject): KubeObject {
  const { group, version, kind: name, namespaced } = kind.resource;
  const given = structuredClone(fields) as Record<string, unknown> & { metadata?: object };
  const metadata = { name: 'x', ...(namespaced ? { namespace: 'n' } : {}), uid: 'u', resourceVersion: '1', ...given.metadata };
  const object: KubeObject = { ...given, apiVersion: group === '' ? version : `${group}/${version}`, kind: name, metadata };
  kind.applyDefaults(object);
  kind.normalize?.(object, old);
  const table = builtInSchemaTable();
  return canonicalize(object, table.struct(kind.schema), table);
}

export function createProblems(kind: KindDefinition, fields: Fields): string[] {
  return createErrors(kind, written(kind, fields)).map(formatFieldError);
}

export function updateProblems(kind: KindDefinition, fields: Fields, oldFields: Fields): string[] {
  const old = written(kind, oldFields);
  return updateErrors(kind, written(kind, fields, old), old).map(formatFieldError);
}

export function statusProblems(kind: KindDefinition, fields: Fields, oldFields: Fields): string[] {
  return statusErrors(kind, written(kind, fields), written(kind, oldFields)).map(formatFieldError);
}

/** The cells of the object by the names of their columns. */
export function cellsOf(kind: KindDefinition, fields: Fields, now: number): Readonly<Record<string, unknown>> {
  const cells = kind.table.cells(written(kind, fields), now);
  return Object.fromEntries(kind.table.columns.map((column, i) => [column.name, cells[i]]));
}
