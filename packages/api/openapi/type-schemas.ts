import { descriptionsJson } from '../generated/descriptions.ts';
import type { TypeSchema } from '../schema/schema.ts';
import type { BuiltInSchemaTable, GoFieldSchema, GoStructSchema } from '../schema/schema-table.ts';

/**
 * Types of the schema table → OpenAPI schemas, in the dialect of version 2 (`definitions`) or 3 (`components.schemas`), with the
 * `x-kubernetes-*` extensions that clients patch, apply and explain by.
 */
export type Dialect = 'v2' | 'v3';

export interface GroupVersionName {
  readonly group: string;
  readonly version: string;
}

const metaPrefix = 'io.k8s.apimachinery.pkg.apis.meta.v1.';
const specialNames: Readonly<Record<(TypeSchema & { kind: 'special' })['type'], string>> = {
  quantity: 'io.k8s.apimachinery.pkg.api.resource.Quantity',
  'int-or-string': 'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
  time: `${metaPrefix}Time`,
  'micro-time': `${metaPrefix}MicroTime`,
  duration: `${metaPrefix}Duration`,
  'fields-v1': `${metaPrefix}FieldsV1`,
  any: 'io.k8s.apimachinery.pkg.runtime.RawExtension',
};

/** Name of the body of a patch: any object. */
export const patchSchema = `${metaPrefix}Patch`;

type Descriptions = Readonly<Record<string, readonly [type: string, fields: Readonly<Record<string, string>>]>>;
let descriptions: Descriptions | undefined;

function describe(struct: string): readonly [string, Readonly<Record<string, string>>] {
  descriptions ??= JSON.parse(descriptionsJson) as Descriptions;
  return descriptions[struct] ?? ['', {}];
}

/** Collects the schemas that a document refers to. */
export class SchemaCollector {
  readonly #table: BuiltInSchemaTable;
  readonly #dialect: Dialect;
  readonly #groupVersions: readonly GroupVersionName[];
  readonly #schemas = new Map<string, object>();

  /** `groupVersions` are those in which the kinds of meta/v1 (DeleteOptions, …) are registered. */
  constructor(table: BuiltInSchemaTable, dialect: Dialect, groupVersions: readonly GroupVersionName[]) {
    this.#table = table;
    this.#dialect = dialect;
    this.#groupVersions = groupVersions;
  }

  /** `{ $ref }` to a struct, which is then part of the document. */
  reference(name: string): { readonly $ref: string } {
    this.#add(name);
    return { $ref: `#/${this.#dialect === 'v2' ? 'definitions' : 'components/schemas'}/${name}` };
  }

  /** All schemas by name, sorted. */
  schemas(): Record<string, object> {
    return Object.fromEntries([...this.#schemas].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #add(name: string): void {
    if (this.#schemas.has(name)) return;
    // Types may refer to themselves: the name is taken before the type is read.
    this.#schemas.set(name, {});
    const special = specialSchema(name, this.#dialect);
    this.#schemas.set(name, special ?? this.#struct(this.#table.struct(name)));
  }

  #struct(struct: GoStructSchema): object {
    const [description, fields] = describe(struct.name);
    const properties: Record<string, object> = {};
    const sorted = [...struct.fieldList].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const field of sorted) properties[field.name] = this.#property(field, fields[field.name] ?? '');
    const required = sorted.filter((field) => field.required).map((field) => field.name);
    return {
      ...(description === '' ? {} : { description }),
      type: 'object',
      ...(required.length > 0 ? { required } : {}),
      ...(sorted.length > 0 ? { properties } : {}),
      ...this.#kinds(struct),
      ...(struct.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
    };
  }

  #kinds(struct: GoStructSchema): object {
    const { gvk } = struct;
    if (gvk === undefined) return {};
    const everywhere = struct.name === `${metaPrefix}DeleteOptions` || struct.name === `${metaPrefix}WatchEvent`;
    const group = gvk.group === 'meta.k8s.io' ? '' : gvk.group;
    const list = everywhere
      ? this.#groupVersions.map((gv) => ({ group: gv.group, kind: gvk.kind, version: gv.version }))
      : [{ group, kind: gvk.kind, version: gvk.version }];
    return { 'x-kubernetes-group-version-kind': list };
  }

  #property(field: GoFieldSchema, description: string): object {
    const extensions = {
      ...(field.type.kind === 'list' && field.declaredListType !== undefined
        ? {
            ...(field.type.mapKeys.length > 0 ? { 'x-kubernetes-list-map-keys': field.type.mapKeys } : {}),
            'x-kubernetes-list-type': field.declaredListType,
          }
        : {}),
      ...(field.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
      ...(field.patchMergeKey === undefined ? {} : { 'x-kubernetes-patch-merge-key': field.patchMergeKey }),
      ...(field.patchStrategy.length === 0 ? {} : { 'x-kubernetes-patch-strategy': field.patchStrategy.join(',') }),
    };
    const byDefault = this.#dialect === 'v3' && !field.pointer ? defaultOf(field) : {};
    const described = description === '' ? {} : { description };
    const schema = this.#type(field.type);
    // A reference stands alone in JSON schema; version 3 wraps it so that something may stand beside it.
    const wrapped = '$ref' in schema && this.#dialect === 'v3' ? { allOf: [schema] } : schema;
    return { ...described, ...wrapped, ...byDefault, ...extensions };
  }

  #type(type: TypeSchema): object {
    switch (type.kind) {
      case 'scalar':
        return { type: type.type, ...(type.format === undefined ? {} : { format: type.format }) };
      case 'special':
        return type.type === 'any' ? { type: 'object' } : this.reference(specialNames[type.type]);
      case 'struct':
        return this.reference(type.name);
      case 'list':
        return { type: 'array', items: this.#element(type.element) };
      case 'map':
        return { type: 'object', additionalProperties: this.#element(type.value) };
    }
  }

  #element(type: TypeSchema): object {
    const schema = this.#type(type);
    if (this.#dialect === 'v2') return schema;
    return { ...('$ref' in schema ? { allOf: [schema] } : schema), ...zeroDefault(type) };
  }
}

function defaultOf(field: GoFieldSchema): object {
  if (field.type.kind === 'scalar' && (field.omitEmpty || field.type.format === 'byte')) return {};
  return field.type.kind === 'list' || field.type.kind === 'map' ? {} : zeroDefault(field.type);
}

/** The zero value of a Go type as version 3 documents print it. */
function zeroDefault(type: TypeSchema): object {
  switch (type.kind) {
    case 'scalar':
      if (type.format === 'byte') return {};
      return { default: type.type === 'string' ? '' : type.type === 'boolean' ? false : 0 };
    case 'struct':
      return { default: {} };
    case 'special':
    case 'list':
    case 'map':
      return {};
  }
}

const texts: Readonly<Record<string, string>> = {
  [specialNames.quantity]:
    'Amount of a resource: a number with an optional suffix, decimal (n, u, m, k, M, G, T, P, E), binary (Ki, Mi, Gi, Ti, Pi, Ei) or exponent (e3).',
  [specialNames['int-or-string']]: 'An integer or a string.',
  [specialNames.time]: 'A moment, written in RFC 3339 with seconds.',
  [specialNames['micro-time']]: 'A moment, written in RFC 3339 with microseconds.',
  [specialNames.duration]: 'A span of time such as 1h30m.',
  [specialNames['fields-v1']]:
    'A set of fields as a tree: keys start with f: for a field, k: for a list item by its keys, v: for a list item by its value, i: for an index; the key . stands for the field itself.',
  [specialNames.any]: 'Any JSON object.',
  [patchSchema]: 'A patch of a Kubernetes object, in the form that the content type names.',
};

function specialSchema(name: string, dialect: Dialect): object | undefined {
  const description = texts[name];
  if (description === undefined) return undefined;
  switch (name) {
    case specialNames.quantity:
      return dialect === 'v2' ? { description, type: 'string' } : { description, oneOf: [{ type: 'string' }, { type: 'number' }] };
    case specialNames['int-or-string']:
      return dialect === 'v2'
        ? { description, type: 'string', format: 'int-or-string' }
        : { description, format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] };
    case specialNames.time:
    case specialNames['micro-time']:
      return { description, type: 'string', format: 'date-time' };
    case specialNames.duration:
      return { description, type: 'string' };
    default:
      return { description, type: 'object' };
  }
}
