/** Failures of strategic merge patch in upstream's words: 400 for a malformed directive, 422 for a directive that contradicts itself, otherwise 500. */
import { badRequest, StatusError } from '../errors/status-error.ts';
import { formatGoValue, goTypeOf } from './go-format.ts';

export function badSetElementOrder(): StatusError {
  return badRequest('invalid patch format of setElementOrder list');
}

export function badPrimitiveList(): StatusError {
  return badRequest('invalid patch format of primitive list');
}

export function badRetainKeys(): StatusError {
  return badRequest('invalid patch format of retainKeys');
}

export function noListOfLists(): StatusError {
  return new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});
}

export function noMergeKey(item: Readonly<Record<string, unknown>>, mergeKey: string): StatusError {
  return plain(`map: ${formatGoValue(item)} does not contain declared merge key: ${mergeKey}`);
}

export function badArgumentType(expected: 'map' | 'list', actual: unknown): StatusError {
  return plain(`expected a ${expected === 'map' ? 'map[string]interface {}' : '[]interface {}'}, but received a ${goTypeOf(actual)}`);
}

export function badPatchType(directive: unknown, patch: Readonly<Record<string, unknown>>): StatusError {
  const text = typeof directive === 'string' ? directive : `%!s(${goTypeOf(directive)}=${formatGoValue(directive)})`;
  return plain(`unknown patch type: ${text} in map: ${formatGoValue(patch)}`);
}

/** Upstream has no reason for these: a 500 whose message is the bare text. */
export function plain(message: string): StatusError {
  return new StatusError(500, '', message);
}
