/**
 * One step of a field path in the form that FieldsV1 uses as a key: `f:name` (member of an object), `k:{"name":"a"}` (list item
 * by its keys), `v:"a"` (member of a set), `i:0` (position). Canonical: equal elements are equal strings.
 */
import { quoteGo } from '../errors/field-error.ts';
import { isRecord } from '../meta/safe-object.ts';

export type PathElement = string;

/** Member of an object or map. */
export function fieldElement(name: string): PathElement {
  return `f:${name}`;
}

/** Item of a list that is a map by keys. `fields` may come in any order. */
export function keyElement(fields: readonly (readonly [name: string, value: unknown])[]): PathElement {
  const [only] = fields;
  if (fields.length === 1 && only !== undefined) return `k:{${goJsonString(only[0])}:${goJson(only[1])}}`;
  const sorted = [...fields].sort(([a], [b]) => compareText(a, b));
  return `k:{${sorted.map(([name, value]) => `${goJsonString(name)}:${goJson(value)}`).join(',')}}`;
}

/** Member of a list that is a set. */
export function valueElement(value: unknown): PathElement {
  return `v:${goJson(value)}`;
}

/**
 * The canonical form of a key that a client sent; undefined for a kind of element that is not known, which is ignored. Throws
 * an Error when the key is malformed.
 */
export function canonicalElement(key: string): PathElement | undefined {
  if (key.startsWith('f:')) return key;
  if (key.length < 2) throw new Error('key must be 2 characters long:');
  if (key[1] !== ':') throw new Error(`missing colon: ${key}`);
  const rest = key.slice(2);
  switch (key[0]) {
    case 'v':
      return valueElement(JSON.parse(rest));
    case 'k': {
      const fields: unknown = JSON.parse(rest);
      if (!isRecord(fields)) throw new Error(`not an object: ${rest}`);
      return keyElement(Object.entries(fields));
    }
    case 'i':
      if (!/^-?\d+$/.test(rest)) throw new Error(`not a number: ${rest}`);
      return `i:${Number(rest)}`;
    default:
      return undefined;
  }
}

/** Order of elements in FieldsV1: members, then keyed items, then set members, then positions. Numbers order as numbers. */
export function compareElements(a: PathElement, b: PathElement): number {
  if (a === b) return 0;
  const kind = a[0] ?? '';
  if (kind !== b[0]) return RANK.indexOf(kind) - RANK.indexOf(b[0] ?? '');
  switch (kind) {
    case 'k':
      return compareKeys(a, b);
    case 'v':
      return compareValues(JSON.parse(a.slice(2)), JSON.parse(b.slice(2)));
    case 'i':
      return Number(a.slice(2)) - Number(b.slice(2));
    default:
      return compareText(a, b);
  }
}

/** As error messages write it: `.name`, `[name="a"]`, `[="a"]`, `[0]`. */
export function formatElement(element: PathElement): string {
  const rest = element.slice(2);
  switch (element[0]) {
    case 'f':
      return `.${rest}`;
    case 'k': {
      const fields: unknown = JSON.parse(rest);
      const parts = Object.entries(isRecord(fields) ? fields : {}).map(([name, value]) => `${name}=${formatScalar(value)}`);
      return `[${parts.join(',')}]`;
    }
    case 'v':
      return `[=${formatScalar(JSON.parse(rest))}]`;
    default:
      return `[${rest}]`;
  }
}

/** A path as error messages write it: `.spec.containers[name="a"].image`. */
export function formatPath(path: readonly PathElement[]): string {
  return path.map(formatElement).join('');
}

/** JSON as Go writes it: keys sorted, and `<`, `>`, `&` and the two line separators escaped. */
export function goJson(value: unknown): string {
  if (typeof value === 'string') return goJsonString(value);
  if (Array.isArray(value)) return `[${value.map(goJson).join(',')}]`;
  if (!isRecord(value)) return JSON.stringify(value) ?? 'null';
  const members = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort(compareText)
    .map((key) => `${goJsonString(key)}:${goJson(value[key])}`);
  return `{${members.join(',')}}`;
}

const RANK = 'fkvi';
const ESCAPED = /[<>&\u2028\u2029]/g;
const NEEDS_ESCAPE = /[<>&\u2028\u2029]/;

function goJsonString(text: string): string {
  const quoted = JSON.stringify(text);
  if (!NEEDS_ESCAPE.test(quoted)) return quoted;
  return quoted.replace(ESCAPED, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function formatScalar(value: unknown): string {
  return typeof value === 'string' ? quoteGo(value) : goJson(value);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `k:{"name":"a"}` with one string and nothing escaped: its value can be compared without parsing. */
const SIMPLE_KEY = /^k:\{"([^"\\]+)":"([^"\\]*)"\}$/;

function compareKeys(a: PathElement, b: PathElement): number {
  const left = SIMPLE_KEY.exec(a);
  const right = SIMPLE_KEY.exec(b);
  if (left !== null && right !== null) return compareText(left[1] ?? '', right[1] ?? '') || compareText(left[2] ?? '', right[2] ?? '');
  const leftFields = Object.entries(JSON.parse(a.slice(2)) as Record<string, unknown>);
  const rightFields = Object.entries(JSON.parse(b.slice(2)) as Record<string, unknown>);
  for (let i = 0; i < leftFields.length && i < rightFields.length; i += 1) {
    const [leftName, leftValue] = leftFields[i] ?? ['', undefined];
    const [rightName, rightValue] = rightFields[i] ?? ['', undefined];
    const order = compareText(leftName, rightName) || compareValues(leftValue, rightValue);
    if (order !== 0) return order;
  }
  return leftFields.length - rightFields.length;
}

function compareValues(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b);
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b);
  const rank = valueRank(a) - valueRank(b);
  return rank !== 0 ? rank : compareText(goJson(a), goJson(b));
}

function valueRank(value: unknown): number {
  if (typeof value === 'number') return 0;
  if (typeof value === 'string') return 1;
  if (typeof value === 'boolean') return 2;
  if (Array.isArray(value)) return 3;
  return value === null ? 5 : 4;
}
