import { quoteGo } from '@coffer/api/errors/field-error';
import { badRequest } from '@coffer/api/errors/status-error';

/** Query parameters as Go converts them: the first value counts, booleans accept anything, numbers do not. */

/** undefined when absent; only `false` and `0` are false. */
export function boolParameter(query: URLSearchParams, name: string): boolean | undefined {
  const value = query.get(name);
  return value === null ? undefined : value !== '0' && value.toLowerCase() !== 'false';
}

/** undefined when absent; throws StatusError 400 for anything that is not a decimal 64-bit integer. */
export function intParameter(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name);
  if (value === null) return undefined;
  if (!/^[+-]?\d+$/.test(value)) throw badRequest(`strconv.ParseInt: parsing ${quoteGo(value)}: invalid syntax`);
  const number = BigInt(value);
  if (number < -(2n ** 63n) || number >= 2n ** 63n) throw badRequest(`strconv.ParseInt: parsing ${quoteGo(value)}: value out of range`);
  return Number(number);
}
