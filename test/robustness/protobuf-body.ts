/**
 * Protobuf bodies as kubectl sends them, for tests: `k8s\0`, then `runtime.Unknown` around the message of the kind. What does not
 * fit the type of its field is left out, as a typed client cannot send it; `sent` says what remains.
 */
import type { TypeSchema } from '@coffer/api/schema/schema';
import { type BuiltInSchemaTable, builtInSchemaTable, type GoFieldSchema, type GoStructSchema } from '@coffer/api/schema/schema-table';
import { entriesOf, isRecord, own, put, type Tree } from './json-tree.ts';

export interface ProtobufBody {
  readonly bytes: Uint8Array;
  /** The object the bytes stand for. */
  readonly sent: Tree;
}

const nothing = Buffer.alloc(0);

/** Encodes an object of a built-in kind. */
export function protobufBody(apiVersion: string, kind: string, object: Readonly<Tree>): ProtobufBody {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const table = builtInSchemaTable();
  const schema = table.kind(group ?? '', version ?? '', kind);
  if (schema === undefined) throw new Error(`no such kind: ${apiVersion} ${kind}`);
  const sent: Tree = {};
  const raw = message(object, schema, table, sent);
  const typeMeta = Buffer.concat([field(1, Buffer.from(apiVersion)), field(2, Buffer.from(kind))]);
  const bytes = Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, raw)]);
  return { bytes, sent: { ...sent, apiVersion, kind } };
}

function message(object: Readonly<Tree>, schema: GoStructSchema, table: BuiltInSchemaTable, sent: Tree): Buffer {
  const fieldsOf = (embedded: GoFieldSchema['embeddedIn']): Buffer =>
    Buffer.concat(
      schema.fieldList.filter((f) => f.embeddedIn === embedded && f.number !== undefined).map((f) => fieldBytes(object, f, table, sent)),
    );
  const embedded = schema.embedded.filter((struct) => struct.number > 0);
  return Buffer.concat([fieldsOf(undefined), ...embedded.map((struct) => field(struct.number, fieldsOf(struct)))]);
}

function fieldBytes(object: Readonly<Tree>, schema: GoFieldSchema, table: BuiltInSchemaTable, sent: Tree): Buffer {
  const { name, number = 0, type, goType } = schema;
  const value = own(object, name);
  if (type.kind === 'list') {
    const items = Array.isArray(value) ? value.flatMap((item) => one(item, type.element, table) ?? []) : [];
    if (items.length === 0) return nothing;
    put(
      sent,
      name,
      items.map((item) => item.sent),
    );
    // A list type with a name of its own is a message around its items.
    if (goType.startsWith('[]')) return Buffer.concat(items.map((item) => tagged(number, item)));
    return field(number, Buffer.concat(items.map((item) => tagged(1, item))));
  }
  if (type.kind === 'map') {
    if (!isRecord(value)) return nothing;
    const map: Tree = {};
    const parts = entriesOf(value).flatMap(([key, item]) => {
      const encoded = one(item, type.value, table);
      if (encoded === undefined) return [];
      put(map, key, encoded.sent);
      return [field(number, Buffer.concat([field(1, Buffer.from(key)), tagged(2, encoded)]))];
    });
    if (parts.length > 0) put(sent, name, map);
    return Buffer.concat(parts);
  }
  const encoded = one(value, type, table);
  if (encoded === undefined) return nothing;
  put(sent, name, encoded.sent);
  return tagged(number, encoded);
}

interface Encoded {
  readonly varint?: bigint;
  readonly bytes?: Buffer;
  readonly sent: unknown;
}

/** One value; undefined when a client in a typed language could not hold it. */
function one(value: unknown, type: TypeSchema, table: BuiltInSchemaTable): Encoded | undefined {
  if (type.kind === 'struct') {
    if (!isRecord(value)) return undefined;
    const sent: Tree = {};
    return { bytes: message(value, table.struct(type.name), table, sent), sent };
  }
  if (type.kind === 'special') return special(value, type.type);
  if (type.kind !== 'scalar') return undefined;
  switch (type.type) {
    case 'boolean':
      return typeof value === 'boolean' ? { varint: value ? 1n : 0n, sent: value } : undefined;
    case 'integer': {
      const limit = type.format === 'int32' ? 2 ** 31 : 2 ** 53;
      const fits = typeof value === 'number' && Number.isInteger(value) && value < limit && value >= -limit;
      return fits ? { varint: unsigned(value), sent: value } : undefined;
    }
    case 'string': {
      if (typeof value !== 'string') return undefined;
      if (type.format !== 'byte') return { bytes: Buffer.from(value), sent: value };
      const bytes = Buffer.from(value, 'base64');
      return { bytes, sent: bytes.toString('base64') };
    }
    case 'number':
      return undefined;
  }
}

function special(value: unknown, type: string): Encoded | undefined {
  switch (type) {
    case 'quantity':
      return typeof value === 'string' ? { bytes: field(1, Buffer.from(value)), sent: value } : undefined;
    case 'int-or-string':
      if (typeof value === 'string') return { bytes: Buffer.concat([varintField(1, 1n), field(3, Buffer.from(value))]), sent: value };
      if (typeof value !== 'number' || !Number.isInteger(value) || Math.abs(value) >= 2 ** 31) return undefined;
      return { bytes: varintField(2, unsigned(value)), sent: value };
    case 'time':
    case 'micro-time': {
      const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN;
      return Number.isNaN(ms) ? undefined : { bytes: varintField(1, unsigned(Math.floor(ms / 1000))), sent: value };
    }
    default:
      return undefined;
  }
}

function tagged(number: number, { varint, bytes }: Encoded): Buffer {
  return varint === undefined ? field(number, bytes ?? nothing) : varintField(number, varint);
}

function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([varintBytes(BigInt((number << 3) | 2)), varintBytes(BigInt(bytes.length)), bytes]);
}

function varintField(number: number, value: bigint): Buffer {
  return Buffer.concat([varintBytes(BigInt(number << 3)), varintBytes(value)]);
}

function unsigned(value: number): bigint {
  return value < 0 ? 2n ** 64n + BigInt(value) : BigInt(value);
}

function varintBytes(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}
