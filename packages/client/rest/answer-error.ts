/** Turns an answer that is not a success into the StatusError the server meant. */
import type { Status } from '@coffer/api/errors/status-error';
import { StatusError } from '@coffer/api/errors/status-error';
import { isRecord } from '@coffer/api/meta/safe-object';

const decoder = new TextDecoder();

/** The error in an answer's body; an answer of something else than an API server (a proxy, say) gets a generic reason. */
export function errorFromAnswer(code: number, body: Uint8Array): StatusError {
  const text = decoder.decode(body);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    parsed = undefined;
  }
  if (isStatus(parsed)) return errorFromStatus(parsed, code);
  return new StatusError(code, genericReason(code), genericMessage(code, text.trim().slice(0, 2048)));
}

/** The error a Status object stands for (also the object of a watch's ERROR event). */
export function errorFromStatus(status: Status, code = 500): StatusError {
  return new StatusError(
    status.code ?? code,
    status.reason ?? genericReason(status.code ?? code),
    status.message ?? 'unknown error',
    status.details,
  );
}

export function isStatus(value: unknown): value is Status {
  return isRecord(value) && value.kind === 'Status' && value.apiVersion === 'v1';
}

function genericReason(code: number): string {
  switch (code) {
    case 400:
      return 'BadRequest';
    case 401:
      return 'Unauthorized';
    case 403:
      return 'Forbidden';
    case 404:
      return 'NotFound';
    case 405:
      return 'MethodNotAllowed';
    case 406:
      return 'NotAcceptable';
    case 409:
      return 'Conflict';
    case 410:
      return 'Gone';
    case 413:
      return 'RequestEntityTooLarge';
    case 415:
      return 'UnsupportedMediaType';
    case 422:
      return 'Invalid';
    case 429:
      return 'TooManyRequests';
    case 500:
      return 'InternalError';
    case 503:
      return 'ServiceUnavailable';
    case 504:
      return 'Timeout';
    default:
      return 'Unknown';
  }
}

function genericMessage(code: number, text: string): string {
  if (text !== '') return text;
  if (code === 404) return 'the server could not find the requested resource';
  if (code === 401) return 'the server has asked for the client to provide credentials';
  return `the server answered with status code ${code}`;
}
