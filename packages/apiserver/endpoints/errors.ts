import {
  alreadyExists,
  internalError,
  notFound,
  requestEntityTooLarge,
  resourceExpired,
  StatusError,
} from '@coffer/api/errors/status-error';
import { type GroupResource, qualifiedResource } from '@coffer/api/meta/object';
import { BodyTooLargeError, type HttpResponse } from '@coffer/base/http/handler';
import { StorageError, UnreadableError } from '@coffer/storage/errors';
import type { RequestContext } from '../request/context.ts';
import { respondStatus } from './respond.ts';

/**
 * The one place where what was thrown becomes what a client reads. StatusErrors pass, storage errors are translated, anything else
 * is a 500 without detail: the detail belongs in the log.
 */
export function errorResponse(error: unknown, context: RequestContext | undefined): HttpResponse {
  const { group = '', resource = '', name = '' } = context?.info ?? {};
  return respondStatus(toStatusError(error, { group, resource }, name).status, context);
}

/** `gr` and `name` are those of the object concerned, where one is known. */
export function toStatusError(error: unknown, gr: GroupResource = { group: '', resource: '' }, name = ''): StatusError {
  if (error instanceof StatusError) return error;
  if (error instanceof StorageError) return fromStorageError(error, gr, name);
  if (error instanceof BodyTooLargeError) return requestEntityTooLarge(`Request entity too large: limit is ${error.maxBytes}`);
  return internalError('the server could not complete the request', { cause: error });
}

/** Runs a storage operation and rethrows its errors in the words of the API. */
export async function translatingErrors<T>(gr: GroupResource, name: string, operation: () => Promise<T> | T): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw error instanceof StorageError ? fromStorageError(error, gr, name) : error;
  }
}

function fromStorageError(error: StorageError, gr: GroupResource, name: string): StatusError {
  switch (error.code) {
    case 'key-exists':
      return alreadyExists(gr, name);
    case 'key-not-found':
      return notFound(gr, name);
    case 'precondition-failed':
      return new StatusError(409, 'Conflict', error.message, undefined, { cause: error });
    case 'compacted':
      return resourceExpired('The resourceVersion for the provided list is too old.');
    case 'future-revision':
      return tooLargeResourceVersion(error.message);
    case 'value-too-large':
      return new StatusError(500, '', 'etcdserver: request is too large', undefined, { cause: error });
    case 'unavailable':
      return internalError(`the store does not accept writes now: ${error.message}`, { cause: error });
    case 'uncertain':
      return new StatusError(504, 'Timeout', `Timeout: the outcome of the write is unknown: ${error.message}`, undefined, { cause: error });
    case 'unreadable':
      return storageReadError(error, gr);
    case 'closed':
      return new StatusError(503, 'ServiceUnavailable', 'the server is shutting down', undefined, { cause: error });
  }
}

/** The watch cache did not reach the requested revision in time. */
export function tooLargeResourceVersion(detail: string): StatusError {
  return new StatusError(504, 'Timeout', `Timeout: ${detail}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
    retryAfterSeconds: 1,
  });
}

/** A stored object that cannot be read fails whatever covers it, rather than being left out. */
function storageReadError(error: StorageError, gr: GroupResource): StatusError {
  const damaged = error instanceof UnreadableError ? error.damaged : [{ key: error.key ?? '', message: error.message }];
  const causes = damaged.map(({ key, message }) => ({
    reason: 'UnexpectedServerResponse',
    message,
    ...(key === '' ? {} : { field: key }),
  }));
  const details = { ...(gr.group === '' ? {} : { group: gr.group }), ...(gr.resource === '' ? {} : { kind: gr.resource }), causes };
  const what = gr.resource === '' ? 'objects' : qualifiedResource(gr);
  return new StatusError(500, 'StorageReadError', `failed to read one or more ${what} from the storage: ${error.message}`, details, {
    cause: error,
  });
}
