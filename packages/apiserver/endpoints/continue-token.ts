import { badRequest, StatusError } from '@coffer/api/errors/status-error';
import { isRecord } from '@coffer/api/meta/safe-object';
import { jsonSyntaxError } from '@coffer/api/validation/go-json';

/** Continue tokens of paged lists, in upstream's format, so that a token of either server means the same to the other. */
export interface ListPosition {
  /** The revision the list is pinned to; -1 means: continue with whatever is current. */
  readonly revision: number;
  /** Behind this key, `namespace/name` or `name`. */
  readonly afterKey: string;
}

const version = 'meta.k8s.io/v1';

export function encodeContinue(position: ListPosition): string {
  // The smallest key behind `afterKey` is that key and a NUL.
  const token = { v: version, rv: position.revision, start: `${position.afterKey}\0` };
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

/** Throws StatusError 400. */
export function decodeContinue(token: string): ListPosition {
  const bad = (why: string) => badRequest(`invalid continue token: continue key is not valid: ${why}`);
  const damage = base64Damage(token);
  if (damage !== undefined) throw bad(`illegal base64 data at input byte ${damage}`);
  const data = Buffer.from(token, 'base64url');
  const first = data.at(0) ?? 0;
  if (first >= 0x80) throw bad(`invalid character '${quoteByte(first)}' looking for beginning of value`);
  const text = data.toString('utf8');
  const problem = jsonSyntaxError(text);
  if (problem !== undefined) throw bad(problem);
  const parsed: unknown = JSON.parse(text);
  if (!isRecord(parsed)) throw bad(`json: cannot unmarshal ${goKind(parsed)} into Go value of type storage.continueToken`);
  const { v = '', rv = 0, start = '' } = parsed;
  if (v !== version) throw bad(`server does not recognize this encoded version ${JSON.stringify(v)}`);
  if (typeof rv !== 'number' || rv === 0) throw bad(`incorrect encoded start resourceVersion (version ${version})`);
  if (typeof start !== 'string' || start === '') throw bad(`encoded start key empty (version ${version})`);
  if (!isCleanPath(start)) throw bad(start);
  return { revision: rv, afterKey: start.endsWith('\0') ? start.slice(0, -1) : start };
}

/** The pinned revision is gone: the answer carries a token that continues inconsistently. */
export function expiredContinue(position: ListPosition): StatusError {
  const error = new StatusError(410, 'Expired', inconsistentText);
  return withContinue(error, encodeContinue({ ...position, revision: -1 }));
}

const inconsistentText =
  'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue ' +
  'parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided ' +
  'token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was ' +
  'returned and now may show up in the list.';

function withContinue(error: StatusError, token: string): StatusError {
  Object.assign(error.status.metadata, { continue: token });
  return error;
}

/** Position of the first byte that is not unpadded URL-safe base64. */
function base64Damage(token: string): number | undefined {
  const at = token.search(/[^A-Za-z0-9_-]/);
  if (at >= 0) return at;
  return token.length % 4 === 1 ? token.length : undefined;
}

/** A byte above ASCII as Go quotes the character of that number. */
function quoteByte(byte: number): string {
  const printable = byte >= 0xa1 && byte !== 0xad;
  return printable ? String.fromCharCode(byte) : `\\u00${byte.toString(16)}`;
}

function isCleanPath(key: string): boolean {
  const path = key.startsWith('/') ? key : `/${key}`;
  if (path.length > 1 && path.endsWith('/')) return false;
  return path
    .slice(1)
    .split('/')
    .every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}

function goKind(value: unknown): string {
  if (Array.isArray(value)) return 'array';
  if (value === null) return 'null';
  return typeof value === 'boolean' ? 'bool' : typeof value;
}
