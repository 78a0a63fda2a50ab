/**
 * The schema as merging sees it: what is owned field by field, what is owned as one, and how list items are told apart.
 * Built from the schema table on first use and kept, because every write walks it.
 */
import { isRecord } from '../meta/safe-object.ts';
import type { FieldSchema, SchemaTable, StructSchema, TypeSchema } from '../schema/schema.ts';
import type { GoFieldSchema } from '../schema/schema-table.ts';
import type { PathElement } from './path-element.ts';
import { fieldElement, keyElement, valueElement } from './path-element.ts';

export type MergeType = ScalarType | StructType | MapType | ListType | DeducedType;

export interface ScalarType {
  readonly kind: 'scalar';
  /** `untyped` takes any scalar: quantities, times, int-or-string. */
  readonly scalar: 'string' | 'numeric' | 'boolean' | 'untyped';
}

export interface MapType {
  readonly kind: 'map';
  /** Owned as one. */
  readonly atomic: boolean;
  readonly value: MergeType;
}

export interface ListType {
  readonly kind: 'list';
  /** `atomic` is owned as one; items of a `set` are told apart by value, of a `map` by `keys`. */
  readonly relationship: 'atomic' | 'set' | 'map';
  readonly keys: readonly string[];
  readonly element: MergeType;
}

/** Free JSON: objects are owned member by member, lists as one. */
export interface DeducedType {
  readonly kind: 'deduced';
}

/** A field of a struct. `zero` is what Go has in a new object: nothing, null, an empty struct or the zero of a scalar. */
export interface StructField {
  readonly element: PathElement;
  readonly type: MergeType;
  readonly zero: 'absent' | 'null' | 'struct' | '' | 0 | false;
}

export const DEDUCED: DeducedType = { kind: 'deduced' };

/** A struct whose fields are looked up by JSON name; compiled lazily because types may contain themselves. */
export class StructType {
  readonly kind = 'struct';
  readonly atomic: boolean;
  readonly #schema: StructSchema;
  readonly #table: SchemaTable;
  readonly #fields = new Map<string, StructField | undefined>();

  constructor(schema: StructSchema, table: SchemaTable, atomic: boolean) {
    this.#schema = schema;
    this.#table = table;
    this.atomic = atomic;
  }

  /** The field of that name; undefined when the schema has none. */
  field(name: string): StructField | undefined {
    const known = this.#fields.get(name);
    if (known !== undefined) return known;
    const schema = this.#schema.fields.get(name);
    if (schema === undefined) return undefined;
    const field: StructField = {
      element: fieldElement(name),
      type: compileType(schema.type, this.#table, schema.atomic),
      zero: zeroOf(schema),
    };
    this.#fields.set(name, field);
    return field;
  }
}

/** The merge type of a kind's struct; the same object for the same schema. */
export function mergeTypeOf(schema: StructSchema, table: SchemaTable): StructType {
  let type = compiled.get(schema);
  if (type === undefined) {
    type = new StructType(schema, table, false);
    compiled.set(schema, type);
  }
  return type;
}

/** How an item of an associative list is named; an Error says why it cannot be. */
export function itemElement(list: ListType, item: unknown): PathElement | Error {
  if (list.relationship === 'set') {
    if (isRecord(item)) return new Error("associative list without keys has an element that's a map type");
    if (Array.isArray(item)) return new Error('not supported: associative list with lists as elements');
    if (item === null || item === undefined) return new Error("associative list without keys has an element that's an explicit null");
    return valueElement(item);
  }
  if (item === null || item === undefined) return new Error('associative list with keys may not have a null element');
  if (!isRecord(item)) return new Error('associative list with keys may not have non-map elements');
  const fields: [string, unknown][] = [];
  for (const key of list.keys) {
    const value = Object.hasOwn(item, key) ? item[key] : undefined;
    const actual = value === undefined ? KEY_DEFAULTS.get(key) : value;
    if (actual === undefined) {
      return new Error(
        `associative list with keys has an element that omits key field ${JSON.stringify(key)} (and doesn't have default value)`,
      );
    }
    fields.push([key, actual]);
  }
  return keyElement(fields);
}

/** Keys of lists that have a default: `protocol` of container and service ports. */
const KEY_DEFAULTS: ReadonlyMap<string, unknown> = new Map([['protocol', 'TCP']]);

const compiled = new WeakMap<StructSchema, StructType>();
const compiledAtomic = new WeakMap<StructSchema, StructType>();

function compileType(type: TypeSchema, table: SchemaTable, atomic: boolean): MergeType {
  switch (type.kind) {
    case 'scalar':
      if (type.type === 'boolean') return { kind: 'scalar', scalar: 'boolean' };
      if (type.type === 'string') return { kind: 'scalar', scalar: type.format === undefined ? 'string' : 'untyped' };
      return { kind: 'scalar', scalar: 'numeric' };
    case 'special':
      return type.type === 'any' || type.type === 'fields-v1' ? DEDUCED : { kind: 'scalar', scalar: 'untyped' };
    case 'struct': {
      const schema = table.struct(type.name);
      return atomic || schema.atomic ? atomicStruct(schema, table) : mergeTypeOf(schema, table);
    }
    case 'list':
      return {
        kind: 'list',
        relationship: atomic ? 'atomic' : type.listType,
        keys: type.mapKeys,
        element: compileType(type.element, table, false),
      };
    case 'map':
      return { kind: 'map', atomic: atomic || type.mapType === 'atomic', value: compileType(type.value, table, false) };
  }
}

function atomicStruct(schema: StructSchema, table: SchemaTable): StructType {
  let type = compiledAtomic.get(schema);
  if (type === undefined) {
    type = new StructType(schema, table, true);
    compiledAtomic.set(schema, type);
  }
  return type;
}

/** Without Go's facts about a field, required fields count as written and all others as omitted when empty. */
function zeroOf(schema: FieldSchema & Partial<GoFieldSchema>): StructField['zero'] {
  const { type } = schema;
  const omitEmpty = schema.omitEmpty ?? !schema.required;
  if (schema.omitZero === true) return 'absent';
  if (schema.pointer === true) return omitEmpty ? 'absent' : 'null';
  if (type.kind === 'struct') return schema.omitEmpty === undefined && omitEmpty ? 'absent' : 'struct';
  if (type.kind === 'special') return type.type === 'time' || type.type === 'micro-time' || !omitEmpty ? 'null' : 'absent';
  if (omitEmpty) return 'absent';
  if (type.kind === 'scalar') return type.type === 'boolean' ? false : type.type === 'string' ? '' : 0;
  return 'null';
}
