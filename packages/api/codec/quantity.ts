import { ScalarError } from './go-scalars.ts';

/**
 * Amounts of resources (`500m`, `1.5Gi`, `1e3`) as Kubernetes reads and writes them. Exact: amounts are integers of nano-units.
 * Anything finer than a nano-unit is rounded up, as upstream does.
 */
export interface Quantity {
  /** The amount times 10⁹. */
  readonly nanos: bigint;
  /** As the API writes it. */
  readonly text: string;
}

type Format = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';

const decimalSuffixes: ReadonlyMap<string, number> = new Map([
  ['n', -9],
  ['u', -6],
  ['m', -3],
  ['', 0],
  ['k', 3],
  ['M', 6],
  ['G', 9],
  ['T', 12],
  ['P', 15],
  ['E', 18],
]);
const binarySuffixes: readonly string[] = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const decimalSuffixOf: ReadonlyMap<number, string> = new Map([...decimalSuffixes].map(([suffix, exponent]) => [exponent, suffix]));

const syntax = /^([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]*[-+]?\d*)$/;
const wrongFormat = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const nano = 1_000_000_000n;
const maxBinary = (2n ** 63n - 1n) * nano;
/** Decimal digits that surely fit an int64. */
const maxInt64Digits = 18;
/** Exponents beyond this cannot be told from zero or infinity by any client; the bound keeps the integers small. */
const maxExponent = 400;

/** Reads a quantity. Throws ScalarError with upstream's message. */
export function parseQuantity(input: string): Quantity {
  const source = input.trim();
  const match = syntax.exec(source);
  if (source === '' || match === null) throw new ScalarError(wrongFormat);
  const [, sign = '', integer = '', fraction = '', suffix = ''] = match;
  const digits = integer.replace(/^0+/, '');
  if (digits === '' && integer !== '' && integer.length + sign.length === source.length) return { nanos: 0n, text: '0' };
  const { base, exponent, format } = interpretSuffix(suffix);
  if (digits === '' && integer === '' && fraction === '') throw new ScalarError('unable to parse numeric part of quantity');
  if (Math.abs(exponent) > maxExponent) throw new ScalarError("unable to parse quantity's suffix");

  const unscaled = BigInt(digits + fraction || '0');
  const binary = base === 2 ? 2n ** BigInt(exponent) : 1n;
  const scale = (base === 10 ? exponent : 0) - fraction.length;
  const magnitude = scaleToNanos(unscaled * binary, scale);
  const capped = format === 'BinarySI' && magnitude > maxBinary ? maxBinary : magnitude;
  const nanos = sign === '-' ? -capped : capped;
  if (isCanonical(digits, fraction, unscaled, base, scale)) return { nanos, text: source };
  return { nanos, text: format === 'BinarySI' && capped < nano && capped > 0n ? writeDecimal(nanos, 'DecimalSI') : write(nanos, format) };
}

/** The canonical text of a quantity; throws ScalarError. */
export function canonicalizeQuantity(input: string): string {
  return parseQuantity(input).text;
}

/** Upstream keeps the text of small numbers that are already in canonical form, signs and leading zeros included. */
function isCanonical(digits: string, fraction: string, unscaled: bigint, base: number, scale: number): boolean {
  const numerator = digits === '' ? '0' : digits;
  if (numerator.length + fraction.length > maxInt64Digits || scale < -9) return false;
  if (base === 2) return fraction === '' && (unscaled & 7n) !== 0n;
  const shifted = numerator + fraction;
  return scale % 3 === 0 && !shifted.endsWith('000') && shifted[0] !== '0';
}

function interpretSuffix(suffix: string): { base: 2 | 10; exponent: number; format: Format } {
  const decimal = decimalSuffixes.get(suffix);
  if (decimal !== undefined) return { base: 10, exponent: decimal, format: 'DecimalSI' };
  const binary = binarySuffixes.indexOf(suffix);
  if (binary > 0) return { base: 2, exponent: binary * 10, format: 'BinarySI' };
  const exponent = /^[eE]([+-]?\d+)$/.exec(suffix)?.[1];
  if (exponent === undefined) throw new ScalarError("unable to parse quantity's suffix");
  return { base: 10, exponent: Number(exponent), format: 'DecimalExponent' };
}

/** `unscaled × 10^scale` in nano-units, rounded up. */
function scaleToNanos(unscaled: bigint, scale: number): bigint {
  const power = scale + 9;
  if (power >= 0) return unscaled * 10n ** BigInt(power);
  const divisor = 10n ** BigInt(-power);
  return (unscaled + divisor - 1n) / divisor;
}

function write(nanos: bigint, format: Format): string {
  if (nanos === 0n) return '0';
  const magnitude = nanos < 0n ? -nanos : nanos;
  // Small and fractional amounts would lose precision in powers of 1024.
  const asBinary = format === 'BinarySI' && magnitude >= 1024n * nano && magnitude % nano === 0n;
  if (asBinary) return writeBinary(nanos / nano);
  return writeDecimal(nanos, format === 'BinarySI' ? 'DecimalSI' : format);
}

function writeBinary(units: bigint): string {
  let mantissa = units;
  let power = 0;
  while (mantissa % 1024n === 0n && power < binarySuffixes.length - 1) {
    mantissa /= 1024n;
    power++;
  }
  return `${mantissa}${binarySuffixes[power] ?? ''}`;
}

function writeDecimal(nanos: bigint, format: 'DecimalSI' | 'DecimalExponent'): string {
  let mantissa = nanos;
  let exponent = -9;
  while (mantissa % 1000n === 0n && (format === 'DecimalExponent' || exponent < 18)) {
    mantissa /= 1000n;
    exponent += 3;
  }
  if (format === 'DecimalSI') return `${mantissa}${decimalSuffixOf.get(exponent) ?? ''}`;
  return exponent === 0 ? `${mantissa}` : `${mantissa}e${exponent}`;
}
