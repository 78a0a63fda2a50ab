import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import { toYaml } from '@coffer/api/codec/yaml';
import type { Status } from '@coffer/api/errors/status-error';
import type { HttpHeaders, HttpResponse } from '@coffer/base/http/handler';
import type { RequestContext } from '../request/context.ts';
import { acceptsGzip, jsonOutput, negotiateErrorOutput, type OutputFormat } from './negotiation.ts';

/** Finished answers: bytes that exist already, or an object to be written as JSON or YAML; warnings and compression included. */

const jsonHeaders: HttpHeaders = { 'content-type': 'application/json' };
const yamlHeaders: HttpHeaders = { 'content-type': 'application/yaml' };

/** Smaller answers are not worth compressing. */
const minGzipBytes = 128 * 1024;
const maxWarningRunes = 256;
const maxAllWarningsRunes = 4096;

const gzipAsync = promisify(gzip);

/** Bytes that are ready to be sent, JSON unless `contentHeaders` says otherwise; compressed when large. */
export async function respondBytes(
  context: RequestContext,
  status: number,
  body: Uint8Array,
  contentHeaders: HttpHeaders = jsonHeaders,
): Promise<HttpResponse> {
  const headers = withWarnings(contentHeaders, context);
  if (body.byteLength <= minGzipBytes || !acceptsGzip(context.http) || context.http.method !== 'GET') {
    return { kind: 'full', status, headers, body };
  }
  const packed = await gzipAsync(body, { level: constants.Z_BEST_SPEED });
  const vary = headers.vary === undefined ? 'Accept-Encoding' : `${String(headers.vary)}, Accept-Encoding`;
  return { kind: 'full', status, headers: { ...headers, 'content-encoding': 'gzip', vary }, body: packed };
}

/** Like `respondBytes` for what is known to be small: no promise on the hot path. */
export function respondSmallBytes(context: RequestContext, status: number, body: Uint8Array): HttpResponse {
  return { kind: 'full', status, headers: withWarnings(jsonHeaders, context), body };
}

export function respondObject(context: RequestContext, status: number, object: unknown, format: OutputFormat): Promise<HttpResponse> {
  if (format.type === 'yaml') {
    return Promise.resolve({ kind: 'full', status, headers: withWarnings(yamlHeaders, context), body: toYaml(object) });
  }
  return respondBytes(context, status, Buffer.from(stringify(object, format)));
}

export function respondStatus(status: Status, context: RequestContext | undefined): HttpResponse {
  const format = context === undefined ? jsonOutput : negotiateErrorOutput(context.http, context.query);
  const headers = withWarnings(format.type === 'yaml' ? yamlHeaders : jsonHeaders, context);
  const retryAfter = status.details?.retryAfterSeconds;
  return {
    kind: 'full',
    status: status.code ?? 500,
    headers: retryAfter === undefined || retryAfter === 0 ? headers : { ...headers, 'retry-after': retryAfter },
    body: format.type === 'yaml' ? toYaml(status) : stringify(status, format),
  };
}

/** Plain text, as the parts of the server answer that know nothing of API objects. */
export function respondText(status: number, text: string): HttpResponse {
  return {
    kind: 'full',
    status,
    headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' },
    body: text,
  };
}

function stringify(object: unknown, format: OutputFormat): string {
  return format.pretty ? JSON.stringify(object, undefined, 2) : `${JSON.stringify(object)}\n`;
}

/** Adds one `Warning: 299 - "…"` header per text; overlong texts are cut, as upstream. */
function withWarnings(headers: HttpHeaders, context: RequestContext | undefined): HttpHeaders {
  const texts = context?.warnings.texts;
  if (texts === undefined || texts.length === 0) return headers;
  let budget = maxAllWarningsRunes;
  const total = texts.reduce((sum, text) => sum + text.length, 0);
  const values: string[] = [];
  for (const text of texts) {
    const runes = Array.from(text);
    const cut = total > maxAllWarningsRunes && runes.length > maxWarningRunes ? runes.slice(0, maxWarningRunes) : runes;
    if (cut.length > budget) break;
    budget -= cut.length;
    values.push(`299 - ${quoteHeader(cut.join(''))}`);
  }
  return { ...headers, warning: values };
}

/** A quoted-string of RFC 9110. Control characters would break the header: they become blanks. Bytes beyond ASCII stay UTF-8. */
function quoteHeader(text: string): string {
  const clean = text.replace(/[\x00-\x1f\x7f]/g, ' ').replace(/[\\"]/g, '\\$&');
  return `"${Buffer.from(clean, 'utf8').toString('latin1')}"`;
}
