import { setOwn } from '../meta/safe-object.ts';
import type { TypeSchema } from '../schema/schema.ts';
import type { BuiltInSchemaTable, GoFieldSchema, GoStructSchema } from '../schema/schema-table.ts';

/**
 * The form in which the API server stores and returns an object: what Go's JSON encoding of the struct would be after a round trip
 * through storage. Empty fields that Go leaves out are gone, struct values that Go always writes are there (`resources: {}`,
 * `status: {}`), fields stand in Go's order and the keys of maps are sorted. Scalars are taken as they are: `conform` has made
 * them canonical. The argument is not changed; parts of it may be shared with the result.
 */
export function canonicalize<T extends object>(object: T, schema: GoStructSchema, table: BuiltInSchemaTable): T {
  return writeStruct(object as Readonly<Record<string, unknown>>, schema, table) as T;
}

function writeStruct(source: Readonly<Record<string, unknown>>, schema: GoStructSchema, table: BuiltInSchemaTable): object {
  const out: Record<string, unknown> = {};
  for (const field of schema.fieldList) {
    const value = source[field.name];
    const written = value === undefined || value === null ? writeAbsent(field, table) : writePresent(value, field, table);
    if (written !== undefined) out[field.name] = written;
  }
  return out;
}

/** What Go writes for a field that was never set; undefined for nothing. */
function writeAbsent(field: GoFieldSchema, table: BuiltInSchemaTable): unknown {
  if (field.omitZero) return undefined;
  if (field.pointer) return field.omitEmpty ? undefined : null;
  const { type } = field;
  switch (type.kind) {
    case 'struct':
      return writeStruct({}, table.struct(type.name), table);
    case 'special':
      if (type.type === 'quantity') return '0';
      if (type.type === 'int-or-string') return 0;
      // Times and raw JSON are Go structs: `omitempty` does not apply to them.
      return null;
    case 'list':
    case 'map':
      return field.omitEmpty ? undefined : null;
    case 'scalar':
      if (field.omitEmpty) return undefined;
      if (type.format === 'byte') return null;
      return type.type === 'string' ? '' : type.type === 'boolean' ? false : 0;
  }
}

function writePresent(value: unknown, field: GoFieldSchema, table: BuiltInSchemaTable): unknown {
  const { type } = field;
  if (!field.pointer) {
    // Storage does not tell an empty list or map from none.
    if (type.kind === 'list' && (value as readonly unknown[]).length === 0) return field.omitEmpty ? undefined : null;
    if (type.kind === 'map' && isEmpty(value as object)) return field.omitEmpty ? undefined : null;
    if (type.kind === 'scalar' && field.omitEmpty && (value === '' || value === 0 || value === false)) return undefined;
  }
  return writeValue(value, type, table);
}

function writeValue(value: unknown, type: TypeSchema, table: BuiltInSchemaTable): unknown {
  switch (type.kind) {
    case 'scalar':
    case 'special':
      return value;
    case 'struct':
      return writeStruct(value as Readonly<Record<string, unknown>>, table.struct(type.name), table);
    case 'list':
      return isLeaf(type.element) ? value : (value as readonly unknown[]).map((item) => writeElement(item, type.element, table));
    case 'map':
      return writeMap(value as Readonly<Record<string, unknown>>, type.value, table);
  }
}

function writeElement(value: unknown, type: TypeSchema, table: BuiltInSchemaTable): unknown {
  if (value === null || value === undefined) return type.kind === 'struct' ? writeValue({}, type, table) : null;
  return writeValue(value, type, table);
}

function writeMap(source: Readonly<Record<string, unknown>>, type: TypeSchema, table: BuiltInSchemaTable): object {
  const keys = Object.keys(source);
  const leaf = isLeaf(type);
  if (leaf && isSorted(keys)) return source;
  const out: Record<string, unknown> = {};
  for (const key of keys.sort(compareBytes)) setOwn(out, key, leaf ? source[key] : writeElement(source[key], type, table));
  return out;
}

function isLeaf(type: TypeSchema): boolean {
  return type.kind === 'scalar' || type.kind === 'special';
}

function isEmpty(object: object): boolean {
  for (const key in object) if (Object.hasOwn(object, key)) return false;
  return true;
}

function isSorted(keys: readonly string[]): boolean {
  for (let i = 1; i < keys.length; i++) if (compareBytes(keys[i - 1] ?? '', keys[i] ?? '') > 0) return false;
  return true;
}

/** Go sorts keys by bytes. UTF-16 order differs only beyond the basic plane, which no valid key of a built-in map reaches. */
function compareBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
