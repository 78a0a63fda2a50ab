/** Reads resource quantities (`250m`, `1Gi`, `1e3`) exactly, in billionths, and rounds up as upstream's Value and MilliValue do. Pure. */

const suffixes: Readonly<Record<string, bigint>> = {
  n: 1n,
  u: 1_000n,
  m: 1_000_000n,
  '': 1_000_000_000n,
  k: 1_000_000_000_000n,
  M: 10n ** 15n,
  G: 10n ** 18n,
  T: 10n ** 21n,
  P: 10n ** 24n,
  E: 10n ** 27n,
  Ki: 1024n * 10n ** 9n,
  Mi: 1024n ** 2n * 10n ** 9n,
  Gi: 1024n ** 3n * 10n ** 9n,
  Ti: 1024n ** 4n * 10n ** 9n,
  Pi: 1024n ** 5n * 10n ** 9n,
  Ei: 1024n ** 6n * 10n ** 9n,
};

/** The quantity in billionths. Throws for text the API would have refused. */
export function parseQuantity(text: string): bigint {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+)|([numkMGTPE]|[KMGTPE]i)?)$/.exec(text.trim());
  if (match === null) throw new Error(`not a quantity: ${JSON.stringify(text)}`);
  const [, sign, whole = '', fraction = '', exponent, suffix = ''] = match;
  if (whole === '' && fraction === '') throw new Error(`not a quantity: ${JSON.stringify(text)}`);
  const digits = BigInt(`${whole}${fraction}` || '0');
  let scale = suffixes[suffix] ?? 10n ** 9n;
  let divisor = 10n ** BigInt(fraction.length);
  if (exponent !== undefined) {
    const power = Number(exponent);
    if (power >= 0) scale *= 10n ** BigInt(power);
    else divisor *= 10n ** BigInt(-power);
  }
  const value = ceilDivide(digits * scale, divisor);
  return sign === '-' ? -value : value;
}

/** Whole units, rounded up. */
export function quantityValue(text: string): number {
  return Number(ceilDivide(parseQuantity(text), 10n ** 9n));
}

/** Thousandths, rounded up. */
export function quantityMilliValue(text: string): number {
  return Number(ceilDivide(parseQuantity(text), 10n ** 6n));
}

export function ceilDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b !== 0n && a > 0n === b > 0n ? quotient + 1n : quotient;
}
