import { NumberLiteral } from './json-text.ts';

/**
 * What a plain YAML scalar means to kubectl and the API server, which read YAML 1.1 as the Go library does: `yes` and `on` are
 * true, `0777` and `0o777` are octal, dates stay strings. The writer uses the same rules to decide what needs quotes.
 */
export type PlainScalar = string | number | boolean | null | NumberLiteral;

const booleans: ReadonlyMap<string, boolean> = new Map([
  ...['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'].map((text): [string, boolean] => [text, true]),
  ...['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'].map((text): [string, boolean] => [text, false]),
]);
const nulls = new Set(['', '~', 'null', 'Null', 'NULL']);
const specialFloats: ReadonlyMap<string, number> = new Map([
  ...['.nan', '.NaN', '.NAN'].map((text): [string, number] => [text, Number.NaN]),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map((text): [string, number] => [text, Number.POSITIVE_INFINITY]),
  ...['-.inf', '-.Inf', '-.INF'].map((text): [string, number] => [text, Number.NEGATIVE_INFINITY]),
]);
const timestamp =
  /^\d{4}-\d{1,2}-\d{1,2}(?:[Tt]\d{1,2}:\d{1,2}:\d{1,2}(?:[.,]\d+)?(?:Z|[-+]\d\d:\d\d)| \d{1,2}:\d{1,2}:\d{1,2}(?:[.,]\d+)?)?$/;
const float = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
const base60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;
const decimalDigits = /^[0-9]+$/;
const octalDigits = /^[0-7]+$/;

/** The value of an unquoted scalar. Integers beyond JavaScript's exact range come as they were written, in decimal. */
export function resolvePlainScalar(text: string): PlainScalar {
  const boolean = booleans.get(text);
  if (boolean !== undefined) return boolean;
  if (nulls.has(text)) return null;
  const special = specialFloats.get(text);
  if (special !== undefined) return special;
  const first = text[0] ?? '';
  if (!(first === '.' || first === '+' || first === '-' || (first >= '0' && first <= '9'))) return text;
  if (timestamp.test(text)) return text;
  const plain = text.replaceAll('_', '');
  const integer = first === '.' ? undefined : readInteger(plain);
  if (integer !== undefined) return integer;
  return float.test(plain) ? Number(plain) : text;
}

/** True when an unquoted `text` would not be read back as that string. */
export function needsQuotes(text: string): boolean {
  return typeof resolvePlainScalar(text) !== 'string' || timestamp.test(text) || text === '<<' || base60.test(text);
}

/** Go's ParseInt with base 0: 0x, 0o, 0b and plain 0 prefixes, an optional sign, 64 bits. */
function readInteger(text: string): number | NumberLiteral | undefined {
  const negative = text.startsWith('-');
  const digits = negative || text.startsWith('+') ? text.slice(1) : text;
  const value = readUnsigned(digits);
  if (value === undefined) return undefined;
  const signed = negative ? -value : value;
  // Negative numbers have 63 bits, positive ones may use all 64.
  if (signed < -(2n ** 63n) || signed >= 2n ** 64n) return undefined;
  const number = Number(signed);
  return Number.isSafeInteger(number) ? number + 0 : new NumberLiteral(String(signed));
}

function readUnsigned(digits: string): bigint | undefined {
  if (/^0[xX][0-9a-fA-F]+$/.test(digits) || /^0[bB][01]+$/.test(digits)) return BigInt(digits.toLowerCase());
  if (/^0[oO][0-7]+$/.test(digits)) return BigInt(`0o${digits.slice(2)}`);
  if (!decimalDigits.test(digits)) return undefined;
  if (!digits.startsWith('0') || digits === '0') return BigInt(digits);
  return octalDigits.test(digits) ? BigInt(`0o${digits}`) : undefined;
}
