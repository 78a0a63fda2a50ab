import { type FieldError, forbiddenField, notSupported, required } from '@coffer/api/errors/field-error';
import { invalidObject } from '@coffer/api/errors/status-error';
import { validateFieldManager } from '@coffer/api/validation/object-meta';
import type { HttpRequest } from '@coffer/base/http/handler';
import { headerText } from '../negotiation.ts';
import { boolParameter } from './query.ts';

/** meta/v1 CreateOptions, UpdateOptions and PatchOptions. */
export interface WriteOptions {
  readonly dryRun: boolean;
  /** Who owns the written fields: the parameter, or the client's name from its user agent. */
  readonly fieldManager: string;
  /** Unknown and duplicate fields are dropped silently, with a warning (the default), or refused. */
  readonly fieldValidation: 'Ignore' | 'Warn' | 'Strict';
}

export interface PatchOptions extends WriteOptions {
  /** Server-side apply takes over fields of other managers. */
  readonly force: boolean;
}

const maxManagerBytes = 128;

/** Throws StatusError 422. `kind` names the options in its text. */
export function parseWriteOptions(http: HttpRequest, query: URLSearchParams, kind: 'CreateOptions' | 'UpdateOptions'): WriteOptions {
  if (query.size === 0) return defaultOptions(http);
  refuse(kind, sharedErrors(query));
  return writeOptions(http, query);
}

/** `apply`: the patch is a server-side apply. Throws StatusError 422. */
export function parsePatchOptions(http: HttpRequest, query: URLSearchParams, apply: boolean): PatchOptions {
  if (query.size === 0 && !apply) return { ...defaultOptions(http), force: false };
  const errors: FieldError[] = [];
  const force = boolParameter(query, 'force');
  if (apply) {
    if ((query.get('fieldManager') ?? '') === '') errors.push(required('fieldManager', 'is required for apply patch'));
  } else if (force !== undefined) {
    errors.push(forbiddenField('force', 'may not be specified for non-apply patch'));
  }
  refuse('PatchOptions', [...errors, ...sharedErrors(query)]);
  return { ...writeOptions(http, query), force: force ?? false };
}

/** Errors of the `dryRun` values. */
export function dryRunErrors(values: readonly string[]): FieldError[] {
  return values.every((value) => value === 'All') ? [] : [notSupported('dryRun', values, ['All'])];
}

function defaultOptions(http: HttpRequest): WriteOptions {
  return { dryRun: false, fieldManager: managerOfAgent(http), fieldValidation: 'Warn' };
}

function writeOptions(http: HttpRequest, query: URLSearchParams): WriteOptions {
  const validation = query.get('fieldValidation');
  return {
    dryRun: query.has('dryRun'),
    fieldManager: query.get('fieldManager') || managerOfAgent(http),
    fieldValidation: validation === 'Strict' || validation === 'Ignore' ? validation : 'Warn',
  };
}

function sharedErrors(query: URLSearchParams): FieldError[] {
  const validation = query.get('fieldValidation') ?? '';
  const errors = [...validateFieldManager(query.get('fieldManager') ?? '', 'fieldManager'), ...dryRunErrors(query.getAll('dryRun'))];
  if (validation !== '' && validation !== 'Ignore' && validation !== 'Strict' && validation !== 'Warn') {
    errors.push(notSupported('fieldValidation', validation, ['', 'Ignore', 'Strict', 'Warn']));
  }
  return errors;
}

function refuse(kind: string, errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalidObject({ group: 'meta.k8s.io', kind }, '', errors);
}

/** The user agent up to the first slash, printable characters only, cut to the length a manager may have. */
function managerOfAgent(http: HttpRequest): string {
  const agent = headerText(http, 'user-agent');
  const slash = agent.indexOf('/');
  const name = slash < 0 ? agent : agent.slice(0, slash);
  if (/^[\x20-\x7e]{1,128}$/.test(name)) return name;
  // Headers come as one character for each byte.
  const text = Buffer.from(name, 'latin1').toString();
  let manager = '';
  let bytes = 0;
  for (const char of text) {
    if (!/[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(char)) continue;
    bytes += Buffer.byteLength(char);
    if (bytes > maxManagerBytes) break;
    manager += char;
  }
  return manager === '' ? 'unknown' : manager;
}
