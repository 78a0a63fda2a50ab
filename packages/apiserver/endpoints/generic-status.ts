import { StatusError } from '@coffer/api/errors/status-error';

/** A status that says no more than its code, as the router of kube-apiserver answers (`details` is empty, not absent). */
export function genericStatus(code: 404 | 405 | 406 | 415 | 422, serverMessage = ''): StatusError {
  switch (code) {
    case 404:
      return new StatusError(404, 'NotFound', 'the server could not find the requested resource', {});
    case 405:
      return new StatusError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});
    case 406:
      return new StatusError(406, 'NotAcceptable', serverMessage, {});
    case 415:
      return new StatusError(415, 'UnsupportedMediaType', serverMessage, {});
    case 422:
      return new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});
  }
}

/** An error without a reason: what upstream answers where its code returns a plain Go error. */
export function untypedError(message: string, options?: { cause?: unknown }): StatusError {
  return new StatusError(500, '', message, undefined, options);
}
