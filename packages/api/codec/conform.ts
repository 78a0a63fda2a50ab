import { quoteGo } from '../errors/field-error.ts';
import { setOwn } from '../meta/safe-object.ts';
import { canonicalQuantity, QuantityError } from '../quantity/quantity.ts';
import type { TypeSchema } from '../schema/schema.ts';
import type { BuiltInSchemaTable, GoFieldSchema, GoStructSchema } from '../schema/schema-table.ts';
import { converterMessage } from './converter-wording.ts';
import { canonicalizeBase64, canonicalizeMicroTime, canonicalizeTime, ScalarError } from './go-scalars.ts';
import { type KeySequences, NumberLiteral, plainNumbers } from './json-text.ts';

/**
 * Makes a parsed JSON tree conform to a type, in place, as decoding into the Go struct would: unknown fields go away, types are
 * checked, nulls become absent (or zero inside lists and maps), so do zero values that Go cannot tell from absent ones, and times,
 * quantities and base64 take their canonical form. The first wrong type is reported as Go reports it; unknown and repeated fields
 * are collected.
 */
export interface ConformOptions {
  readonly table: BuiltInSchemaTable;
  /** Collect unknown and repeated fields. */
  readonly strict: boolean;
  /** Key sequences of objects that repeat a key, from the exact JSON reader. */
  readonly sequences?: KeySequences;
  /** The tree is not from JSON text but the result of a strategic merge patch: other words, unknown fields in order of their texts. */
  readonly patched?: boolean;
  /** False when the tree surely holds no `NumberLiteral`: free JSON in it is then taken as it is. */
  readonly mayHoldLiterals?: boolean;
}

export interface Conformed {
  /** In document order: `unknown field "spec.foo"`, `duplicate field "data.k"`. */
  readonly strictErrors: readonly string[];
  /** Numbers were read as integers or quantities: how they were written in the text matters. */
  readonly sawExactNumber: boolean;
}

/** The tree does not fit the type. The message is Go's, e.g. `json: cannot unmarshal string into Go struct field …`. */
export class DecodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DecodeError';
  }
}

/** Upstream stops collecting there. */
const maxStrictErrors = 100;

/** `value` must be a JSON object; it is changed. Throws DecodeError. */
export function conform(value: Record<string, unknown>, schema: GoStructSchema, options: ConformOptions): Conformed {
  const walk = new ConformWalk(options);
  walk.struct(value, schema);
  if (walk.firstError !== undefined) throw new DecodeError(walk.firstError);
  const strictErrors = [...walk.strictErrors];
  return { strictErrors: options.patched === true ? strictErrors.sort() : strictErrors, sawExactNumber: walk.sawExactNumber };
}

class ConformWalk {
  readonly #table: BuiltInSchemaTable;
  readonly #strict: boolean;
  readonly #sequences: KeySequences | undefined;
  readonly #mayHoldLiterals: boolean;
  readonly #patched: boolean;
  readonly strictErrors = new Set<string>();
  sawExactNumber = false;
  firstError: string | undefined;
  /** Where the walk is: Go's name of the struct and the fields from the root, for type errors. */
  #structName = '';
  readonly #fields: string[] = [];
  /** The same with indexes and map keys, for strict errors. */
  readonly #path: string[] = [];

  constructor(options: ConformOptions) {
    this.#table = options.table;
    this.#strict = options.strict;
    this.#sequences = options.sequences;
    this.#mayHoldLiterals = options.mayHoldLiterals ?? true;
    this.#patched = options.patched ?? false;
  }

  struct(object: Record<string, unknown>, schema: GoStructSchema): void {
    const sequence = this.#sequences?.get(object);
    if (sequence !== undefined && this.#strict) this.#repetitions(sequence, (key) => schema.fields.has(key), true);
    const outer = this.#structName;
    for (const key of Object.keys(object)) {
      const field = schema.fields.get(key);
      if (field === undefined) {
        if (this.#strict && sequence === undefined) this.#strictError('unknown', key);
        delete object[key];
        continue;
      }
      this.#structName = schema.goName;
      if (field.embeddedIn !== undefined) this.#fields.push(field.embeddedIn.name);
      this.#fields.push(key);
      this.#path.push(this.#path.length === 0 ? key : `.${key}`);
      this.#field(object, field);
      this.#path.pop();
      this.#fields.pop();
      if (field.embeddedIn !== undefined) this.#fields.pop();
    }
    this.#structName = outer;
  }

  #field(object: Record<string, unknown>, field: GoFieldSchema): void {
    const value = object[field.name];
    if (value === null) {
      // JSON null leaves a Go field as it is: absent.
      delete object[field.name];
      return;
    }
    const result = this.#value(value, field.type, field.goType);
    const dropsZero = field.omitEmpty && !field.pointer && field.name !== 'managedFields';
    if (result === undefined || (dropsZero && isZero(result, field.type))) delete object[field.name];
    else if (result !== value) object[field.name] = result;
  }

  /** The value to keep; undefined for one that is to be absent. */
  #value(value: unknown, type: TypeSchema, goType: string): unknown {
    switch (type.kind) {
      case 'scalar':
        return this.#scalar(value, type, goType);
      case 'special':
        return this.#special(value, type.type);
      case 'struct': {
        if (!isObject(value)) return this.#wrongType(value, type, goType);
        this.struct(value, this.#table.struct(type.name));
        return value;
      }
      case 'list':
        return this.#list(value, type, goType);
      case 'map':
        return this.#map(value, type, goType);
    }
  }

  #scalar(value: unknown, type: TypeSchema & { kind: 'scalar' }, goType: string): unknown {
    switch (type.type) {
      case 'string':
        if (type.format === 'byte') return this.#bytes(value, type, goType);
        return typeof value === 'string' ? value : this.#wrongType(value, type, goType);
      case 'boolean':
        return typeof value === 'boolean' ? value : this.#wrongType(value, type, goType);
      case 'integer':
        return this.#integer(value, type, goType);
      case 'number':
        if (value instanceof NumberLiteral) return Number(value.text);
        return typeof value === 'number' ? value : this.#wrongType(value, type, goType);
    }
  }

  #integer(value: unknown, type: TypeSchema & { kind: 'scalar' }, goType: string): unknown {
    const is32Bit = type.format === 'int32';
    if (value instanceof NumberLiteral) {
      const large = /^-?\d+$/.test(value.text) ? BigInt(value.text) : undefined;
      if (large === undefined || is32Bit || large < -(2n ** 63n) || large >= 2n ** 63n) return this.#wrongNumber(value.text, goType);
      return Number(large);
    }
    if (typeof value !== 'number') return this.#wrongType(value, type, goType);
    this.sawExactNumber = true;
    if (this.#patched) return Number.isInteger(value) ? (is32Bit ? value | 0 : value) : this.#wrongType(value, type, goType);
    if (!Number.isInteger(value) || (is32Bit && value !== (value | 0))) return this.#wrongNumber(String(value), goType);
    return value;
  }

  #bytes(value: unknown, type: TypeSchema, goType: string): unknown {
    if (Array.isArray(value)) return this.#byteList(value, type, goType);
    if (typeof value !== 'string') return this.#wrongType(value, type, goType);
    try {
      return canonicalizeBase64(value);
    } catch (error) {
      if (!(error instanceof ScalarError)) throw error;
      this.firstError ??= this.#patched ? `error decoding from json: ${error.message}` : error.message;
      return '';
    }
  }

  /** Go reads a list of small whole numbers into bytes; null is zero. */
  #byteList(list: readonly unknown[], type: TypeSchema, goType: string): unknown {
    const bytes = Buffer.alloc(list.length);
    list.forEach((item, i) => {
      if (item === null) return;
      this.sawExactNumber ||= typeof item === 'number';
      if (item instanceof NumberLiteral) this.#wrongNumber(item.text, 'uint8');
      else if (typeof item !== 'number') this.#wrongType(item, type, 'uint8');
      else if (item !== (item & 255)) this.#wrongNumber(String(item), 'uint8');
      else bytes[i] = item;
    });
    return goType === '[]uint8' ? bytes.toString('base64') : this.#wrongType(list, type, goType);
  }

  #special(value: unknown, type: (TypeSchema & { kind: 'special' })['type']): unknown {
    switch (type) {
      case 'any':
      case 'fields-v1':
        return this.#mayHoldLiterals ? plainNumbers(value) : value;
      case 'time':
        return this.#text(value, canonicalizeTime);
      case 'micro-time':
        return this.#text(value, canonicalizeMicroTime);
      case 'duration':
        return this.#text(value, (text) => text);
      case 'quantity':
        return this.#quantity(value);
      case 'int-or-string':
        return typeof value === 'string' ? value : this.#fatalInteger(value);
    }
  }

  #quantity(value: unknown): string {
    this.sawExactNumber ||= typeof value === 'number';
    const text = value instanceof NumberLiteral ? value.text : typeof value === 'string' ? value : JSON.stringify(value);
    return this.#fatal(() => canonicalQuantity(text));
  }

  /** Types that decode themselves stop the whole decoding at their first error. */
  #text(value: unknown, read: (text: string) => string | undefined): string | undefined {
    if (typeof value !== 'string') throw new DecodeError(this.#typeMessage(describe(value), 'string'));
    return this.#fatal(() => read(value));
  }

  #fatalInteger(value: unknown): number {
    this.sawExactNumber = true;
    if (typeof value === 'number' && value === (value | 0)) return value;
    const number = value instanceof NumberLiteral ? value.text : typeof value === 'number' ? String(value) : undefined;
    throw new DecodeError(this.#typeMessage(number === undefined ? describe(value) : `number ${number}`, 'int32'));
  }

  #fatal<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw error instanceof ScalarError || error instanceof QuantityError ? new DecodeError(error.message) : error;
    }
  }

  #list(value: unknown, type: TypeSchema & { kind: 'list' }, goType: string): unknown {
    if (!Array.isArray(value)) return this.#wrongType(value, type, goType);
    const { element } = type;
    const elementGoType = goType.startsWith('[]') ? goType.slice(2) : goTypeOf(element);
    for (let i = 0; i < value.length; i++) {
      this.#path.push(`[${i}]`);
      const item: unknown = value[i];
      value[i] = item === null ? zeroOf(element) : (this.#value(item, element, elementGoType) ?? null);
      this.#path.pop();
    }
    return value;
  }

  #map(value: unknown, map: TypeSchema & { kind: 'map' }, goType: string): unknown {
    if (!isObject(value)) return this.#wrongType(value, map, goType);
    const type = map.value;
    if (this.#strict && this.#sequences !== undefined) {
      const sequence = this.#sequences.get(value);
      if (sequence !== undefined) this.#repetitions(sequence, () => true, false);
    }
    const plainText = type.kind === 'scalar' && type.type === 'string' && type.format === undefined;
    const valueGoType = goType.startsWith('map[') ? goType.slice(goType.indexOf(']') + 1) : goTypeOf(type);
    for (const key of Object.keys(value)) {
      const item = value[key];
      if (plainText && typeof item === 'string') continue;
      this.#path.push(this.#path.length === 0 ? key : `.${key}`);
      const result = item === null ? zeroOf(type) : (this.#value(item, type, valueGoType) ?? null);
      if (result !== item) setOwn(value, key, result);
      this.#path.pop();
    }
    return value;
  }

  /** Reports what a key sequence repeats and, in a struct, what it does not know, in document order. */
  #repetitions(sequence: readonly string[], known: (key: string) => boolean, reportUnknown: boolean): void {
    const seen = new Set<string>();
    for (const key of sequence) {
      if (!known(key)) {
        if (reportUnknown) this.#strictError('unknown', key);
      } else if (seen.has(key)) this.#strictError('duplicate', key);
      seen.add(key);
    }
  }

  #strictError(what: 'unknown' | 'duplicate', key: string): void {
    if (this.strictErrors.size >= maxStrictErrors) return;
    const path = this.#path.length === 0 ? key : `${this.#path.join('')}.${key}`;
    this.strictErrors.add(`${what} field ${quoteGo(path)}`);
  }

  #wrongType(value: unknown, type: TypeSchema, goType: string): undefined {
    this.firstError ??= this.#patched ? converterMessage(value, type, goType) : this.#typeMessage(describe(value), goType);
    return undefined;
  }

  #wrongNumber(text: string, goType: string): undefined {
    this.firstError ??= this.#typeMessage(`number ${text}`, goType);
    return undefined;
  }

  #typeMessage(what: string, goType: string): string {
    // A value that reads itself does not know where it stands when it is not part of a text.
    if (this.#fields.length === 0 || this.#patched) return `json: cannot unmarshal ${what} into Go value of type ${goType}`;
    return `json: cannot unmarshal ${what} into Go struct field ${this.#structName}.${this.#fields.join('.')} of type ${goType}`;
  }
}

/** Zero and absent are one for these fields: nothing tells them apart. (An empty `managedFields` is told from none: it resets them.) */
function isZero(value: unknown, type: TypeSchema): boolean {
  if (type.kind === 'scalar') return value === '' || value === 0 || value === false;
  if (type.kind === 'list') return (value as readonly unknown[]).length === 0;
  if (type.kind !== 'map') return false;
  for (const key in value as object) if (Object.hasOwn(value as object, key)) return false;
  return true;
}

/** What Go calls the kind of a JSON value in type errors. */
export function describe(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number' || value instanceof NumberLiteral) return 'number';
  if (typeof value === 'boolean') return 'bool';
  return typeof value;
}

/** The JSON form of the zero value of a Go type, for null inside a list or map; null where Go writes null. */
function zeroOf(type: TypeSchema): unknown {
  switch (type.kind) {
    case 'scalar':
      return type.type === 'string' ? '' : type.type === 'boolean' ? false : 0;
    case 'special':
      return type.type === 'quantity' ? '0' : type.type === 'int-or-string' ? 0 : null;
    case 'struct':
      return {};
    case 'list':
    case 'map':
      return null;
  }
}

/** How Go prints a type that has no name of its own. */
function goTypeOf(type: TypeSchema): string {
  switch (type.kind) {
    case 'scalar':
      if (type.type === 'string') return type.format === 'byte' ? '[]uint8' : 'string';
      return type.type === 'boolean' ? 'bool' : type.type === 'number' ? 'float64' : (type.format ?? 'int64');
    case 'special':
      return type.type === 'quantity' ? 'resource.Quantity' : 'interface {}';
    case 'struct':
      return `v1.${type.name.slice(type.name.lastIndexOf('.') + 1)}`;
    case 'list':
      return `[]${goTypeOf(type.element)}`;
    case 'map':
      return `map[string]${goTypeOf(type.value)}`;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof NumberLiteral);
}
