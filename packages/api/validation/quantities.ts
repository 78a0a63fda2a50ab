/**
 * Comparisons of resource quantities given as text (`250m`, `1Gi`), for validation and defaults. A text that is no quantity
 * cannot come from a decoded object and throws QuantityError.
 */

import * as quantity from '../quantity/quantity.ts';

const { parseQuantity } = quantity;
const nanosPerMilli = 1_000_000n;

/** Negative, zero or positive as `a` is less than, equal to or greater than `b`. */
export function compareQuantities(a: string, b: string): number {
  return quantity.compareQuantities(parseQuantity(a), parseQuantity(b));
}

export function isNegative(text: string): boolean {
  return parseQuantity(text).nanos < 0n;
}

export function isPositive(text: string): boolean {
  return parseQuantity(text).nanos > 0n;
}

export function isZero(text: string): boolean {
  return parseQuantity(text).nanos === 0n;
}

/** True for whole units, looked at in thousandths. */
export function isInteger(text: string): boolean {
  return quantity.quantityMilliValue(parseQuantity(text)) % 1000n === 0n;
}

/** True when `text` is a whole multiple of `unit`. */
export function isMultiple(text: string, unit: string): boolean {
  const divisor = parseQuantity(unit).nanos;
  return divisor !== 0n && parseQuantity(text).nanos % divisor === 0n;
}

export function addQuantities(a: string, b: string): string {
  return quantity.formatQuantity(quantity.addQuantities(parseQuantity(a), parseQuantity(b)));
}

export function maxQuantity(a: string, b: string): string {
  return compareQuantities(a, b) >= 0 ? a : b;
}

/** The one way to write an amount. */
export function canonicalQuantity(text: string): string {
  return quantity.canonicalQuantity(text);
}

/** Thousandths are the finest unit of resource lists; finer amounts are rounded up. */
export function roundUpToMilli(text: string): string {
  const { nanos, format } = parseQuantity(text);
  const rest = nanos % nanosPerMilli;
  if (rest === 0n) return quantity.canonicalQuantity(text);
  return quantity.formatQuantity({ nanos: nanos - rest + (nanos > 0n ? nanosPerMilli : 0n), format });
}
