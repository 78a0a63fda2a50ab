import { schemaJson } from '../generated/schema.ts';
import type { FieldSchema, SchemaTable, StructSchema, TypeSchema } from './schema.ts';

/**
 * The built-in types as a `SchemaTable`, with what the codecs need in addition: how Go writes a field when it is empty and how
 * Go names its type in error messages. Structs are built on first use; the whole text is parsed once.
 */
export interface GoFieldSchema extends FieldSchema {
  /** Left out of JSON when it is the zero value of its Go type. Struct values are never left out by this. */
  readonly omitEmpty: boolean;
  /** Left out when the value says it is zero, structs and times included. */
  readonly omitZero: boolean;
  /** A Go pointer: absent and zero are different values. */
  readonly pointer: boolean;
  /** As Go's reflection prints it, without the pointer: `[]v1.Container`. */
  readonly goType: string;
  /** The embedded Go struct the field comes from (`VolumeSource` of a Volume); a message of its own in protobuf. */
  readonly embeddedIn: EmbeddedStruct | undefined;
  /** The list type that upstream's OpenAPI document declares; undefined where it is silent (and the list is atomic). */
  readonly declaredListType: 'atomic' | 'set' | 'map' | undefined;
}

export interface EmbeddedStruct {
  /** Go field name. */
  readonly name: string;
  /** Protobuf field number of the embedded message; 0 for TypeMeta, which is not part of the message. */
  readonly number: number;
  /** OpenAPI name of the embedded struct. */
  readonly struct: string;
}

export interface GoStructSchema extends StructSchema {
  /** In the order in which Go writes them. */
  readonly fields: ReadonlyMap<string, GoFieldSchema>;
  /** The same as a list, for walks. */
  readonly fieldList: readonly GoFieldSchema[];
  readonly embedded: readonly EmbeddedStruct[];
  /** Go's bare type name: `PodSpec`. */
  readonly goName: string;
  readonly gvk: { readonly group: string; readonly version: string; readonly kind: string } | undefined;
}

const REQUIRED = 1;
const OMIT_EMPTY = 2;
const OMIT_ZERO = 4;
const POINTER = 8;
const ATOMIC = 16;

interface FieldExtra {
  readonly t?: string;
  readonly l?: 'atomic' | 'set' | 'map';
  readonly k?: readonly string[];
  readonly p?: readonly ('merge' | 'replace' | 'retainKeys')[];
  readonly m?: string;
  readonly v?: number;
}
type FieldRow = readonly [name: string, code: string, number: number, flags: number, extra?: FieldExtra];
interface StructRow {
  readonly f: readonly FieldRow[];
  readonly e?: readonly (readonly [name: string, number: number, struct: string])[];
  readonly a?: 1;
  readonly g?: readonly [group: string, version: string, kind: string];
}

const metaPrefix = 'io.k8s.apimachinery.pkg.apis.meta.v1.';
/** Kinds of meta/v1 that every group version registers. */
const everywhere = new Set(['CreateOptions', 'DeleteOptions', 'GetOptions', 'ListOptions', 'PatchOptions', 'UpdateOptions', 'WatchEvent']);
/** Kinds of meta/v1 that are answered with apiVersion `v1`. */
const unversioned = new Set(['APIGroup', 'APIGroupList', 'APIResourceList', 'APIVersions', 'Status']);

export class BuiltInSchemaTable implements SchemaTable {
  readonly #rows: Readonly<Record<string, StructRow>>;
  readonly #structs = new Map<string, GoStructSchema>();
  readonly #kinds = new Map<string, string>();

  constructor() {
    this.#rows = JSON.parse(schemaJson) as Record<string, StructRow>;
    for (const name in this.#rows) {
      const gvk = this.#rows[name]?.g;
      if (gvk !== undefined) this.#kinds.set(gvk.join('/'), name);
    }
  }

  struct(name: string): GoStructSchema {
    const known = this.#structs.get(name);
    if (known !== undefined) return known;
    const row = Object.hasOwn(this.#rows, name) ? this.#rows[name] : undefined;
    if (row === undefined) throw new Error(`no type ${name} in the schema table`);
    const built = buildStruct(name, row);
    this.#structs.set(name, built);
    return built;
  }

  kind(group: string, version: string, kind: string): GoStructSchema | undefined {
    const name = this.#kinds.get(`${group}/${version}/${kind}`);
    if (name !== undefined) return this.struct(name);
    if (everywhere.has(kind) || (unversioned.has(kind) && group === '' && version === 'v1')) return this.struct(metaPrefix + kind);
    return undefined;
  }

  /** OpenAPI names of all types, sorted. */
  names(): string[] {
    return Object.keys(this.#rows).sort();
  }
}

let shared: BuiltInSchemaTable | undefined;

/** The table of the built-in types. There is nothing to configure and nothing changes, so one instance serves everybody. */
export function builtInSchemaTable(): BuiltInSchemaTable {
  shared ??= new BuiltInSchemaTable();
  return shared;
}

function buildStruct(name: string, row: StructRow): GoStructSchema {
  const embedded = (row.e ?? []).map(([goField, number, struct]) => ({ name: goField, number, struct }));
  const fieldList = row.f.map((field) => buildField(field, embedded));
  return {
    name,
    goName: name.slice(name.lastIndexOf('.') + 1),
    fields: new Map(fieldList.map((field) => [field.name, field])),
    fieldList,
    embedded,
    atomic: row.a === 1,
    gvk: row.g === undefined ? undefined : { group: row.g[0], version: row.g[1], kind: row.g[2] },
  };
}

function buildField([name, code, number, flags, extra]: FieldRow, embedded: readonly EmbeddedStruct[]): GoFieldSchema {
  const atomic = (flags & ATOMIC) !== 0;
  return {
    name,
    type: buildType(code, extra, atomic),
    required: (flags & REQUIRED) !== 0,
    patchStrategy: extra?.p ?? [],
    patchMergeKey: extra?.m,
    number: number === 0 ? undefined : number,
    atomic,
    omitEmpty: (flags & OMIT_EMPTY) !== 0,
    omitZero: (flags & OMIT_ZERO) !== 0,
    pointer: (flags & POINTER) !== 0,
    goType: extra?.t ?? defaultGoType(code),
    embeddedIn: extra?.v === undefined ? undefined : embedded[extra.v],
    declaredListType: extra?.l,
  };
}

const leafTypes: Readonly<Record<string, TypeSchema>> = {
  s: { kind: 'scalar', type: 'string' },
  i: { kind: 'scalar', type: 'integer', format: 'int32' },
  l: { kind: 'scalar', type: 'integer', format: 'int64' },
  n: { kind: 'scalar', type: 'number', format: 'double' },
  b: { kind: 'scalar', type: 'boolean' },
  y: { kind: 'scalar', type: 'string', format: 'byte' },
  q: { kind: 'special', type: 'quantity' },
  x: { kind: 'special', type: 'int-or-string' },
  t: { kind: 'special', type: 'time' },
  m: { kind: 'special', type: 'micro-time' },
  d: { kind: 'special', type: 'duration' },
  f: { kind: 'special', type: 'fields-v1' },
  r: { kind: 'special', type: 'any' },
  a: { kind: 'special', type: 'any' },
};

/** `[` and `{` open a list and a map of what follows, `#` names a struct, letters are leaves. */
function buildType(code: string, extra: FieldExtra | undefined, atomicMap: boolean): TypeSchema {
  const rest = code.slice(1);
  switch (code[0]) {
    case '[':
      return { kind: 'list', element: buildType(rest, undefined, false), listType: extra?.l ?? 'atomic', mapKeys: extra?.k ?? [] };
    case '{':
      return { kind: 'map', value: buildType(rest, undefined, false), mapType: atomicMap ? 'atomic' : 'granular' };
    case '#':
      return { kind: 'struct', name: rest };
    default: {
      const leaf = leafTypes[code];
      if (leaf === undefined) throw new Error(`unknown type code ${code}`);
      return leaf;
    }
  }
}

const leafGoTypes: Readonly<Record<string, string>> = {
  s: 'string',
  i: 'int32',
  l: 'int64',
  n: 'float64',
  b: 'bool',
  y: '[]uint8',
  q: 'resource.Quantity',
  x: 'intstr.IntOrString',
  t: 'v1.Time',
  m: 'v1.MicroTime',
  d: 'v1.Duration',
  f: 'v1.FieldsV1',
  r: 'runtime.RawExtension',
  a: 'interface {}',
};

function defaultGoType(code: string): string {
  const rest = code.slice(1);
  if (code[0] === '[') return `[]${defaultGoType(rest)}`;
  if (code[0] === '{') return `map[string]${defaultGoType(rest)}`;
  if (code[0] === '#') return `v1.${rest.slice(rest.lastIndexOf('.') + 1)}`;
  return leafGoTypes[code] ?? code;
}
