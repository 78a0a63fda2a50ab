import { quoteGo } from '@coffer/api/errors/field-error';
import { StatusError } from '@coffer/api/errors/status-error';

/** Reading resourceVersions. A bad one in an object is, as upstream, an untyped error: 500 without a reason. */

const decimal = /^\d+$/;
const maxUint64 = 18_446_744_073_709_551_615n;

/** Why Go's ParseUint would refuse the text, or undefined. */
export function parseUintProblem(text: string): string | undefined {
  if (!decimal.test(text)) return `strconv.ParseUint: parsing ${quoteGo(text)}: invalid syntax`;
  if (text.length >= 20 && BigInt(text) > maxUint64) return `strconv.ParseUint: parsing ${quoteGo(text)}: value out of range`;
  return undefined;
}

/** The revision of an object that a client sent; absent, empty and `0` are 0: no particular version. */
export function objectRevision(resourceVersion: string | undefined): number {
  if (resourceVersion === undefined || resourceVersion === '' || resourceVersion === '0') return 0;
  const problem = parseUintProblem(resourceVersion);
  if (problem !== undefined) throw new StatusError(500, '', problem);
  return Number(resourceVersion);
}
