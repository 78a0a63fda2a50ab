/**
 * Amounts of resources (`500m`, `1.5Gi`, `12e6`) with upstream's syntax, precision and canonical form. Exact: a quantity is a
 * whole number of billionths; what is finer is rounded away from zero, and binary amounts are capped at the largest int64.
 */
export interface Quantity {
  /** The value in units of 10⁻⁹. */
  readonly nanos: bigint;
  /** Which family of suffixes the text had, and the canonical form will have. */
  readonly format: 'DecimalSI' | 'BinarySI' | 'DecimalExponent';
  /** The text as it was read, when upstream considers it canonical and gives it back as it is (`+2`, `1500Ki`). */
  readonly text?: string;
}

/** Says why a text is not a quantity, in upstream's words. */
export class QuantityError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'QuantityError';
  }
}

const WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const WRONG_SUFFIX = "unable to parse quantity's suffix";
const WRONG_NUMBER = 'unable to parse numeric part of quantity';

const NANO = 1_000_000_000n;
const MAX_BINARY = (2n ** 63n - 1n) * NANO;
/** So many decimal digits surely fit an int64. */
const MAX_DIGITS = 18;
/** No client can tell an exponent beyond this from zero or infinity; the bound keeps the integers small. */
const MAX_EXPONENT = 400;

const DECIMAL_SUFFIXES: ReadonlyMap<string, number> = new Map([
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
const BINARY_SUFFIXES: readonly string[] = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

const SYNTAX = /^([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)$/;

/** Throws QuantityError. Surrounding white space is not part of a quantity. */
export function parseQuantity(text: string): Quantity {
  const match = SYNTAX.exec(text);
  if (text === '' || match === null) throw new QuantityError(WRONG_FORMAT);
  const [, sign, whole = '', fraction, suffix = ''] = match;
  const scale = interpretSuffix(suffix);
  if (scale === undefined) throw new QuantityError(WRONG_SUFFIX);
  if (whole === '' && (fraction === undefined || fraction === '')) throw new QuantityError(WRONG_NUMBER);
  const decimals = (fraction ?? '').length;
  const magnitude = scaleToNanos(BigInt(`${whole}${fraction ?? ''}`), scale.base, scale.exponent, decimals);
  const isBinary = scale.format === 'BinarySI';
  const capped = isBinary && magnitude > MAX_BINARY ? MAX_BINARY : magnitude;
  const nanos = sign === '-' ? -capped : capped;
  if (keepsText(whole, fraction ?? '', scale)) return { nanos, format: scale.format, text };
  return { nanos, format: isBinary && capped > 0n && capped < NANO ? 'DecimalSI' : scale.format };
}

/** The canonical text: no fraction, the largest suffix that keeps the number whole. */
export function formatQuantity({ nanos, format, text }: Quantity): string {
  if (text !== undefined) return text;
  if (nanos === 0n) return '0';
  const isWhole = nanos % NANO === 0n;
  const isSmall = nanos > -1024n * NANO && nanos < 1024n * NANO;
  if (format === 'BinarySI' && isWhole && !isSmall) {
    let value = nanos / NANO;
    let step = 0;
    while (value % 1024n === 0n && step < BINARY_SUFFIXES.length - 1) {
      value /= 1024n;
      step += 1;
    }
    return `${value}${BINARY_SUFFIXES[step] ?? ''}`;
  }
  let value = nanos;
  let exponent = -9;
  while (value % 1000n === 0n && (format === 'DecimalExponent' || exponent < 18)) {
    value /= 1000n;
    exponent += 3;
  }
  if (format === 'DecimalExponent') return exponent === 0 ? `${value}` : `${value}e${exponent}`;
  for (const [suffix, power] of DECIMAL_SUFFIXES) if (power === exponent) return `${value}${suffix}`;
  return `${value}e${exponent}`;
}

/** What a client gets back for a quantity it sent. Numbers are read as their decimal text. Throws QuantityError. */
export function canonicalQuantity(value: string | number): string {
  return formatQuantity(parseQuantity(String(value).trim()));
}

/** Negative, zero or positive as `a` is less than, equal to or greater than `b`. */
export function compareQuantities(a: Quantity, b: Quantity): number {
  return a.nanos < b.nanos ? -1 : a.nanos > b.nanos ? 1 : 0;
}

/** The sum, in the format of `a` unless that is zero. */
export function addQuantities(a: Quantity, b: Quantity): Quantity {
  return { nanos: a.nanos + b.nanos, format: a.nanos === 0n ? b.format : a.format };
}

/** The difference, in the format of `a` unless that is zero. */
export function subtractQuantities(a: Quantity, b: Quantity): Quantity {
  return addQuantities(a, { nanos: -b.nanos, format: b.format });
}

/** Whole units, rounded away from zero. */
export function quantityValue({ nanos }: Quantity): bigint {
  return divideAwayFromZero(nanos, NANO);
}

/** Thousandths, rounded away from zero. */
export function quantityMilliValue({ nanos }: Quantity): bigint {
  return divideAwayFromZero(nanos, 1_000_000n);
}

/** How many `divisor`s a CPU amount is, rounded up; both count in thousandths. A divisor of zero counts as one. */
export function cpuInDivisors(cpu: Quantity, divisor: Quantity): bigint {
  return ceilDivide(quantityMilliValue(cpu), divisor.nanos === 0n ? 1000n : quantityMilliValue(divisor));
}

/** How many `divisor`s an amount of bytes is, rounded up; both count in whole units. A divisor of zero counts as one. */
export function bytesInDivisors(bytes: Quantity, divisor: Quantity): bigint {
  return ceilDivide(quantityValue(bytes), divisor.nanos === 0n ? 1n : quantityValue(divisor));
}

interface Scale {
  readonly base: 2n | 10n;
  readonly exponent: number;
  readonly format: Quantity['format'];
}

function interpretSuffix(suffix: string): Scale | undefined {
  const decimal = DECIMAL_SUFFIXES.get(suffix);
  if (decimal !== undefined) return { base: 10n, exponent: decimal, format: 'DecimalSI' };
  const binary = BINARY_SUFFIXES.indexOf(suffix);
  if (binary >= 0) return { base: 2n, exponent: binary * 10, format: 'BinarySI' };
  const exponent = /^[eE]([+-]?[0-9]+)$/.exec(suffix)?.[1];
  if (exponent === undefined) return undefined;
  if (Math.abs(Number(exponent)) > MAX_EXPONENT) return undefined;
  return { base: 10n, exponent: Number(exponent), format: 'DecimalExponent' };
}

/** `digits · base^exponent / 10^decimals` in billionths, rounded up. */
function scaleToNanos(digits: bigint, base: bigint, exponent: number, decimals: number): bigint {
  let numerator = digits * NANO;
  let denominator = 10n ** BigInt(decimals);
  if (exponent >= 0) numerator *= base ** BigInt(exponent);
  else denominator *= base ** BigInt(-exponent);
  return ceilDivide(numerator, denominator);
}

/** Upstream's test for a text that need not be rewritten. It is coarse: signs and decimal points may pass it. */
function keepsText(whole: string, fraction: string, { base, exponent }: Scale): boolean {
  const significant = whole.replace(/^0+/, '') || '0';
  const digits = significant + fraction;
  if (base === 2n) {
    const fits = 15 - significant.length - Math.trunc((exponent * 3) / 10) - 1 >= 0;
    return fraction === '' && fits && (BigInt(digits) & 7n) !== 0n;
  }
  const scale = exponent - fraction.length;
  return digits.length <= MAX_DIGITS && scale >= -9 && scale % 3 === 0 && !digits.endsWith('000') && !digits.startsWith('0');
}

function divideAwayFromZero(value: bigint, divisor: bigint): bigint {
  return value < 0n ? -ceilDivide(-value, divisor) : ceilDivide(value, divisor);
}

/** Rounds towards positive infinity; `divisor` is positive. */
function ceilDivide(value: bigint, divisor: bigint): bigint {
  const quotient = value / divisor;
  return value > 0n && value % divisor !== 0n ? quotient + 1n : quotient;
}
