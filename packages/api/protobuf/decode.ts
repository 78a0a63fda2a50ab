import { JsonSyntaxError, parseJson } from '../codec/json-text.ts';
import { setOwn } from '../meta/safe-object.ts';
import type { TypeSchema } from '../schema/schema.ts';
import type { BuiltInSchemaTable, EmbeddedStruct, GoFieldSchema, GoStructSchema } from '../schema/schema-table.ts';
import { ProtobufError, ProtobufReader, toInt32, toInt64, type Varint, WIRE_64_BIT, WIRE_BYTES, WIRE_VARINT } from './reader.ts';

/**
 * Protobuf bodies of built-in kinds → JSON trees, by the field numbers of the schema table. The tree is what the JSON of the same
 * object would be, before it is made canonical: run `conform` over it. Unknown fields are skipped, as in any protobuf reader.
 */

/** What every protobuf body of the API starts with. */
const protobufPrefix: Uint8Array = Uint8Array.of(0x6b, 0x38, 0x73, 0x00);

/** `runtime.Unknown`: the envelope. */
export interface ProtobufEnvelope {
  readonly apiVersion: string;
  readonly kind: string;
  readonly raw: Uint8Array;
}

/** Deepest nesting of messages; the types themselves nest about 20 deep. */
const maxDepth = 100;

/** Opens the envelope of a body. Throws ProtobufError. */
export function decodeEnvelope(body: Uint8Array): ProtobufEnvelope {
  if (body.length === 0) throw new ProtobufError('empty data');
  if (!protobufPrefix.every((byte, i) => body[i] === byte)) {
    throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]');
  }
  if (body.length === protobufPrefix.length) throw new ProtobufError('empty body');
  const envelope: { apiVersion: string; kind: string; raw: Uint8Array } = { apiVersion: '', kind: '', raw: new Uint8Array() };
  const reader = new ProtobufReader(body.subarray(protobufPrefix.length));
  while (!reader.done) {
    const { number, wireType } = reader.tag('Unknown');
    if (number === 1) Object.assign(envelope, decodeTypeMeta(bytesField(reader, wireType, 'TypeMeta')));
    else if (number === 2) envelope.raw = bytesField(reader, wireType, 'Raw');
    else reader.skip(wireType);
  }
  return envelope;
}

/** Reads one message of a type. Throws ProtobufError. */
export function decodeMessage(raw: Uint8Array, schema: GoStructSchema, table: BuiltInSchemaTable): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  readMessage(raw, schema, table, object, undefined, 0);
  return object;
}

function decodeTypeMeta(bytes: Uint8Array): { apiVersion?: string; kind?: string } {
  const result: { apiVersion?: string; kind?: string } = {};
  const reader = new ProtobufReader(bytes);
  while (!reader.done) {
    const { number, wireType } = reader.tag('TypeMeta');
    if (number === 1) result.apiVersion = text(bytesField(reader, wireType, 'APIVersion'));
    else if (number === 2) result.kind = text(bytesField(reader, wireType, 'Kind'));
    else reader.skip(wireType);
  }
  return result;
}

/** Fields of an embedded Go struct are a message of their own, but land in the same JSON object. */
function readMessage(
  raw: Uint8Array,
  schema: GoStructSchema,
  table: BuiltInSchemaTable,
  target: Record<string, unknown>,
  within: EmbeddedStruct | undefined,
  depth: number,
): void {
  if (depth > maxDepth) throw new ProtobufError('proto: message is nested too deeply');
  const numbers = fieldNumbers(schema, within);
  const reader = new ProtobufReader(raw);
  while (!reader.done) {
    const { number, wireType } = reader.tag(within === undefined ? schema.goName : within.name);
    const found = numbers.get(number);
    if (found === undefined) reader.skip(wireType);
    else if ('struct' in found) readMessage(bytesField(reader, wireType, found.name), schema, table, target, found, depth + 1);
    else readField(reader, wireType, found, table, target, depth);
  }
}

type Numbered = GoFieldSchema | EmbeddedStruct;
const numberTables = new WeakMap<GoStructSchema, Map<EmbeddedStruct | undefined, ReadonlyMap<number, Numbered>>>();

function fieldNumbers(schema: GoStructSchema, within: EmbeddedStruct | undefined): ReadonlyMap<number, Numbered> {
  const tables = numberTables.get(schema) ?? new Map<EmbeddedStruct | undefined, ReadonlyMap<number, Numbered>>();
  numberTables.set(schema, tables);
  let table = tables.get(within);
  if (table === undefined) {
    const built = new Map<number, Numbered>();
    for (const field of schema.fieldList) if (field.embeddedIn === within && field.number !== undefined) built.set(field.number, field);
    if (within === undefined) for (const embedded of schema.embedded) if (embedded.number > 0) built.set(embedded.number, embedded);
    table = built;
    tables.set(within, table);
  }
  return table;
}

function readField(
  reader: ProtobufReader,
  wireType: number,
  field: GoFieldSchema,
  table: BuiltInSchemaTable,
  target: Record<string, unknown>,
  depth: number,
): void {
  const { name, type } = field;
  if (type.kind === 'list') {
    target[name] ??= [];
    const list = target[name] as unknown[];
    // A list type with a name of its own is a message with the items in it.
    if (!field.goType.startsWith('[]')) list.push(...readItems(bytesField(reader, wireType, name), type.element, table, depth));
    else readElement(reader, wireType, type.element, table, list, name, depth);
  } else if (type.kind === 'map') {
    target[name] ??= {};
    readEntry(bytesField(reader, wireType, name), type.value, table, target[name] as Record<string, unknown>, depth);
  } else if (type.kind === 'struct') {
    target[name] ??= {};
    const object = target[name] as Record<string, unknown>;
    readMessage(bytesField(reader, wireType, name), table.struct(type.name), table, object, undefined, depth + 1);
  } else {
    target[name] = readValue(reader, wireType, type, table, name, depth);
  }
}

/** One element of a repeated field, or several numbers packed into one. */
function readElement(
  reader: ProtobufReader,
  wireType: number,
  element: TypeSchema,
  table: BuiltInSchemaTable,
  list: unknown[],
  name: string,
  depth: number,
): void {
  const isNumber = element.kind === 'scalar' && element.type !== 'string';
  if (!isNumber || wireType !== WIRE_BYTES) {
    list.push(readValue(reader, wireType, element, table, name, depth));
    return;
  }
  const packed = new ProtobufReader(reader.bytes());
  const packedType = element.type === 'number' ? WIRE_64_BIT : WIRE_VARINT;
  while (!packed.done) list.push(readValue(packed, packedType, element, table, name, depth));
}

function readItems(bytes: Uint8Array, element: TypeSchema, table: BuiltInSchemaTable, depth: number): unknown[] {
  const items: unknown[] = [];
  const reader = new ProtobufReader(bytes);
  while (!reader.done) {
    const { number, wireType } = reader.tag('Items');
    if (number === 1) readElement(reader, wireType, element, table, items, 'Items', depth + 1);
    else reader.skip(wireType);
  }
  return items;
}

function readEntry(bytes: Uint8Array, type: TypeSchema, table: BuiltInSchemaTable, map: Record<string, unknown>, depth: number): void {
  let key = '';
  let value: unknown =
    type.kind === 'list' ? [] : type.kind === 'struct' ? {} : type.kind === 'scalar' && type.type === 'string' ? '' : null;
  const reader = new ProtobufReader(bytes);
  while (!reader.done) {
    const { number, wireType } = reader.tag('MapEntry');
    if (number === 1) key = text(bytesField(reader, wireType, 'Key'));
    else if (number !== 2) reader.skip(wireType);
    else if (type.kind === 'list') value = readItems(bytesField(reader, wireType, 'Value'), type.element, table, depth);
    else value = readValue(reader, wireType, type, table, 'Value', depth);
  }
  setOwn(map, key, value);
}

function readValue(
  reader: ProtobufReader,
  wireType: number,
  type: TypeSchema,
  table: BuiltInSchemaTable,
  name: string,
  depth: number,
): unknown {
  switch (type.kind) {
    case 'scalar':
      return readScalar(reader, wireType, type, name);
    case 'special':
      return readSpecial(bytesField(reader, wireType, name), type.type);
    case 'struct': {
      const object: Record<string, unknown> = {};
      readMessage(bytesField(reader, wireType, name), table.struct(type.name), table, object, undefined, depth + 1);
      return object;
    }
    case 'list':
      return readItems(bytesField(reader, wireType, name), type.element, table, depth);
    case 'map':
      throw new ProtobufError(`proto: wrong wireType = ${wireType} for field ${name}`);
  }
}

function readScalar(reader: ProtobufReader, wireType: number, type: TypeSchema & { kind: 'scalar' }, name: string): unknown {
  if (type.type === 'string') {
    const bytes = bytesField(reader, wireType, name);
    return type.format === 'byte' ? Buffer.from(bytes).toString('base64') : text(bytes);
  }
  if (type.type === 'number') {
    expect(wireType, WIRE_64_BIT, name);
    return reader.double();
  }
  expect(wireType, WIRE_VARINT, name);
  const value = reader.varint();
  if (type.type === 'boolean') return value.low !== 0 || value.high !== 0;
  return type.format === 'int32' ? toInt32(value) : toInt64(value);
}

function readSpecial(bytes: Uint8Array, type: (TypeSchema & { kind: 'special' })['type']): unknown {
  const fields = readSimpleMessage(bytes);
  switch (type) {
    case 'quantity':
      return text(bytesOf(fields, 1)) || '0';
    case 'int-or-string':
      return toInt64(numberOf(fields, 1)) === 1 ? text(bytesOf(fields, 3)) : toInt32(numberOf(fields, 2));
    case 'time':
      return bytes.length === 0 ? null : readTimestamp(fields, false);
    case 'micro-time':
      return bytes.length === 0 ? null : readTimestamp(fields, true);
    case 'duration':
      return `${toInt64(numberOf(fields, 1)) / 1e9}s`;
    case 'fields-v1':
    case 'any':
      return readJson(bytesOf(fields, 1));
  }
}

/** Message fields by number, last one wins: enough for the types that have a JSON form of their own. */
function readSimpleMessage(bytes: Uint8Array): ReadonlyMap<number, Varint | Uint8Array> {
  const fields = new Map<number, Varint | Uint8Array>();
  const reader = new ProtobufReader(bytes);
  while (!reader.done) {
    const { number, wireType } = reader.tag('Message');
    if (wireType === WIRE_VARINT) fields.set(number, reader.varint());
    else if (wireType === WIRE_BYTES) fields.set(number, reader.bytes());
    else reader.skip(wireType);
  }
  return fields;
}

function numberOf(fields: ReadonlyMap<number, Varint | Uint8Array>, number: number): Varint {
  const value = fields.get(number) ?? { low: 0, high: 0 };
  if (value instanceof Uint8Array) throw new ProtobufError(`proto: wrong wireType = ${WIRE_BYTES} for field ${number}`);
  return value;
}

function bytesOf(fields: ReadonlyMap<number, Varint | Uint8Array>, number: number): Uint8Array {
  const value = fields.get(number) ?? new Uint8Array();
  if (!(value instanceof Uint8Array)) throw new ProtobufError(`proto: wrong wireType = ${WIRE_VARINT} for field ${number}`);
  return value;
}

const year1 = -62_135_596_800;
const year10000 = 253_402_300_800;

function readTimestamp(fields: ReadonlyMap<number, Varint | Uint8Array>, micros: boolean): string {
  const seconds = toInt64(numberOf(fields, 1));
  if (seconds < year1 || seconds >= year10000) throw new ProtobufError('Time.MarshalJSON: year outside of range [0,9999]');
  const whole = new Date(seconds * 1000).toISOString().slice(0, -5);
  if (!micros) return `${whole}Z`;
  const nanos = toInt32(numberOf(fields, 2));
  const fraction = Math.max(0, Math.min(999_999, Math.trunc(nanos / 1000)));
  return `${whole}.${String(fraction).padStart(6, '0')}Z`;
}

function readJson(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return null;
  try {
    return parseJson(text(bytes));
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw new ProtobufError(error.message);
    throw error;
  }
}

function bytesField(reader: ProtobufReader, wireType: number, name: string): Uint8Array {
  expect(wireType, WIRE_BYTES, name);
  return reader.bytes();
}

function expect(wireType: number, wanted: number, name: string): void {
  if (wireType !== wanted)
    throw new ProtobufError(`proto: wrong wireType = ${wireType} for field ${name[0]?.toUpperCase()}${name.slice(1)}`);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
