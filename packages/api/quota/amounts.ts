/** Arithmetic of resource lists as quotas need it. Lists are maps of names that users choose; arguments are not changed. */

import { getOwn, setOwn } from '../meta/safe-object.ts';
import { formatQuantity, parseQuantity, subtractQuantities } from '../quantity/quantity.ts';
import { addQuantities, compareQuantities, isNegative, isZero } from '../validation/quantities.ts';

export type Amounts = Readonly<Record<string, string>>;

/** The amounts of both lists, added where they have the same name. */
export function addAmounts(a: Amounts, b: Amounts): Amounts {
  const sum: Record<string, string> = { ...a };
  for (const name of Object.keys(b)) {
    const other = getOwn(b, name) ?? '0';
    const own = getOwn(sum, name);
    setOwn(sum, name, own === undefined ? other : addQuantities(own, other));
  }
  return sum;
}

/** What is more in `a` than in `b`; never less than nothing. */
export function increase(a: Amounts, b: Amounts): Amounts {
  const result: Record<string, string> = {};
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const difference = subtractQuantities(parseQuantity(getOwn(a, name) ?? '0'), parseQuantity(getOwn(b, name) ?? '0'));
    setOwn(result, name, difference.nanos > 0n ? formatQuantity(difference) : '0');
  }
  return result;
}

/** Only the amounts with these names. */
export function maskAmounts(list: Amounts, names: readonly string[]): Amounts {
  const result: Record<string, string> = {};
  for (const name of names) {
    const amount = getOwn(list, name);
    if (amount !== undefined) setOwn(result, name, amount);
  }
  return result;
}

export function withoutZeros(list: Amounts): Amounts {
  return maskAmounts(
    list,
    Object.keys(list).filter((name) => !isZero(getOwn(list, name) ?? '0')),
  );
}

/** Names of amounts that are greater than the limit of that name, where there is one. */
export function exceeding(list: Amounts, limits: Amounts): string[] {
  return Object.keys(list).filter((name) => {
    const limit = getOwn(limits, name);
    return limit !== undefined && compareQuantities(getOwn(list, name) ?? '0', limit) > 0;
  });
}

export function negativeNames(list: Amounts): string[] {
  return Object.keys(list).filter((name) => isNegative(getOwn(list, name) ?? '0'));
}

/** The same names with amounts of the same value, however they are written. */
export function sameAmounts(a: Amounts, b: Amounts): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => {
    const other = getOwn(b, name);
    return other !== undefined && compareQuantities(getOwn(a, name) ?? '0', other) === 0;
  });
}
