import type { GroupResource } from '../meta/object.ts';
import { qualifiedResource } from '../meta/object.ts';
import type { FieldError } from './field-error.ts';
import { aggregateFieldErrors } from './field-error.ts';

export interface StatusCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}

export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}

/** meta/v1 Status, the body of every error answer. */
export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly status: 'Failure' | 'Success';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
}

/** The only error that reaches a client. One factory per reason below, in upstream's words. */
export class StatusError extends Error {
  readonly status: Status;

  constructor(code: number, reason: string, message: string, details?: StatusDetails, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StatusError';
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason === '' ? {} : { reason }),
      ...(details === undefined ? {} : { details }),
      code,
    };
  }

  get code(): number {
    return this.status.code ?? 500;
  }

  get reason(): string {
    return this.status.reason ?? '';
  }
}

/** True when `error` is a StatusError of that reason (`NotFound`, `Conflict`, …). */
export function isReason(error: unknown, reason: string): error is StatusError {
  return error instanceof StatusError && error.reason === reason;
}

export function notFound(gr: GroupResource, name: string): StatusError {
  return new StatusError(404, 'NotFound', `${qualifiedResource(gr)} ${quote(name)} not found`, named(gr, name));
}

export function alreadyExists(gr: GroupResource, name: string): StatusError {
  return new StatusError(409, 'AlreadyExists', `${qualifiedResource(gr)} ${quote(name)} already exists`, named(gr, name));
}

/** Optimistic concurrency failed. `detail` follows a colon; the default is the text clients know. */
export function conflict(
  gr: GroupResource,
  name: string,
  detail = 'the object has been modified; please apply your changes to the latest version and try again',
): StatusError {
  return new StatusError(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualifiedResource(gr)} ${quote(name)}: ${detail}`,
    named(gr, name),
  );
}

/** Denied by authorization or admission. Without a name the message starts with the bare resource. */
export function forbidden(gr: GroupResource, name: string, detail: string): StatusError {
  const resource = qualifiedResource(gr);
  const message =
    gr.resource === '' && gr.group === ''
      ? `forbidden: ${detail}`
      : name === ''
        ? `${resource} is forbidden: ${detail}`
        : `${resource} ${quote(name)} is forbidden: ${detail}`;
  return new StatusError(403, 'Forbidden', message, named(gr, name));
}

/** Validation failed: every field error becomes a cause. */
export function invalidObject(
  gk: { readonly group: string; readonly kind: string },
  name: string,
  errors: readonly FieldError[],
): StatusError {
  const gkText = gk.group === '' ? gk.kind : `${gk.kind}.${gk.group}`;
  const list = aggregateFieldErrors(errors);
  return new StatusError(422, 'Invalid', `${gkText} ${quote(name)} is invalid: ${list}`, {
    ...(name === '' ? {} : { name }),
    ...(gk.group === '' ? {} : { group: gk.group }),
    kind: gk.kind,
    causes: errors.map((e) => ({ reason: e.reason, message: e.message, field: e.field })),
  });
}

export function badRequest(message: string, options?: { cause?: unknown }): StatusError {
  return new StatusError(400, 'BadRequest', message, undefined, options);
}

export function unauthorized(message = 'Unauthorized', options?: { cause?: unknown }): StatusError {
  return new StatusError(401, 'Unauthorized', message, undefined, options);
}

export function methodNotSupported(gr: GroupResource, action: string): StatusError {
  return new StatusError(
    405,
    'MethodNotAllowed',
    `${action} is not supported on resources of kind ${quote(qualifiedResource(gr))}`,
    named(gr, ''),
  );
}

export function notAcceptable(message: string): StatusError {
  return new StatusError(406, 'NotAcceptable', message);
}

export function unsupportedMediaType(message: string): StatusError {
  return new StatusError(415, 'UnsupportedMediaType', message);
}

export function requestEntityTooLarge(message: string): StatusError {
  return new StatusError(413, 'RequestEntityTooLarge', message);
}

/** The requested resourceVersion or continue token is gone. */
export function resourceExpired(message: string): StatusError {
  return new StatusError(410, 'Expired', message);
}

export function gone(message: string): StatusError {
  return new StatusError(410, 'Gone', message);
}

export function tooManyRequests(message: string, retryAfterSeconds: number): StatusError {
  return new StatusError(429, 'TooManyRequests', message, retryAfterSeconds === 0 ? {} : { retryAfterSeconds });
}

export function timeoutError(message: string, retryAfterSeconds: number): StatusError {
  return new StatusError(504, 'Timeout', `Timeout: ${message}`, { retryAfterSeconds });
}

export function internalError(message: string, options?: { cause?: unknown }): StatusError {
  return new StatusError(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] }, options);
}

export function serviceUnavailable(message: string): StatusError {
  return new StatusError(503, 'ServiceUnavailable', message);
}

function named(gr: GroupResource, name: string): StatusDetails {
  return {
    ...(name === '' ? {} : { name }),
    ...(gr.group === '' ? {} : { group: gr.group }),
    ...(gr.resource === '' ? {} : { kind: gr.resource }),
  };
}

function quote(text: string): string {
  return JSON.stringify(text);
}
