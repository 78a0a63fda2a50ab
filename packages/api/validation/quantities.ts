/**
 * Comparisons of resource quantities (`250m`, `1Gi`) for validation and defaults. Exact: amounts are whole billionths. A text
 * that is no quantity cannot come from a decoded object and throws.
 */

const nano = 1_000_000_000n;
const decimal = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];
const binary = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];

interface Parsed {
  readonly nano: bigint;
  readonly format: 'decimal' | 'binary' | 'exponent';
}

/** Negative, zero or positive as `a` is less than, equal to or greater than `b`. */
export function compareQuantities(a: string, b: string): number {
  const difference = parse(a).nano - parse(b).nano;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

export function isNegative(quantity: string): boolean {
  return parse(quantity).nano < 0n;
}

export function isPositive(quantity: string): boolean {
  return parse(quantity).nano > 0n;
}

export function isZero(quantity: string): boolean {
  return parse(quantity).nano === 0n;
}

/** True for whole units. */
export function isInteger(quantity: string): boolean {
  return ceilDivide(parse(quantity).nano, nano / 1000n) % 1000n === 0n;
}

/** True when `quantity` is a whole multiple of `unit`. */
export function isMultiple(quantity: string, unit: string): boolean {
  const divisor = parse(unit).nano;
  return divisor !== 0n && parse(quantity).nano % divisor === 0n;
}

export function addQuantities(a: string, b: string): string {
  const left = parse(a);
  const right = parse(b);
  return format({ nano: left.nano + right.nano, format: left.nano === 0n ? right.format : left.format });
}

export function maxQuantity(a: string, b: string): string {
  return compareQuantities(a, b) >= 0 ? a : b;
}

/** The one way to write an amount: the largest suffix without a fraction. */
export function canonicalQuantity(quantity: string): string {
  return format(parse(quantity));
}

/** Thousandths are the finest unit of resource lists; finer amounts are rounded up. */
export function roundUpToMilli(quantity: string): string {
  const parsed = parse(quantity);
  const milli = nano / 1000n;
  return format({ nano: ceilDivide(parsed.nano, milli) * milli, format: parsed.format });
}

function parse(text: string): Parsed {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$/.exec(text);
  const [, sign = '', whole = '', fraction = '', exponent, suffix = ''] = match ?? [];
  if (match === null || whole + fraction === '') throw new Error(`not a quantity: ${JSON.stringify(text)}`);
  let scale = nano;
  let divisor = 10n ** BigInt(fraction.length);
  if (exponent !== undefined) {
    const power = Number(exponent);
    if (power >= 0) scale *= 10n ** BigInt(power);
    else divisor *= 10n ** BigInt(-power);
  } else if (suffix.endsWith('i')) {
    scale *= 1024n ** BigInt(binary.indexOf(suffix));
  } else {
    scale = 1000n ** BigInt(decimal.indexOf(suffix));
  }
  const amount = ceilDivide(BigInt(whole + fraction) * scale, divisor);
  const kind = exponent !== undefined ? 'exponent' : suffix.endsWith('i') ? 'binary' : 'decimal';
  return { nano: sign === '-' ? -amount : amount, format: kind };
}

function format(parsed: Parsed): string {
  const negative = parsed.nano < 0n;
  let rest = negative ? -parsed.nano : parsed.nano;
  if (rest === 0n) return '0';
  const sign = negative ? '-' : '';
  if (parsed.format === 'binary' && rest >= 1024n * nano) {
    rest = ceilDivide(rest, nano);
    let step = 0;
    while (rest % 1024n === 0n && step < binary.length - 1) {
      rest /= 1024n;
      step++;
    }
    return `${sign}${rest}${binary[step] ?? ''}`;
  }
  let step = 0;
  while (rest % 1000n === 0n && (step < decimal.length - 1 || parsed.format === 'exponent')) {
    rest /= 1000n;
    step++;
  }
  if (parsed.format !== 'exponent') return `${sign}${rest}${decimal[step] ?? ''}`;
  const power = (step - 3) * 3;
  return power === 0 ? `${sign}${rest}` : `${sign}${rest}e${power}`;
}

function ceilDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b !== 0n && a > 0n ? quotient + 1n : quotient;
}
