import { createHash } from 'node:crypto';
import type { Catalog } from '@coffer/api/catalog/catalog';
import { discoveryAnswer } from '@coffer/api/openapi/discovery';
import type { HttpHeaders, HttpResponse } from '@coffer/base/http/handler';
import { errorResponse } from '../endpoints/errors.ts';
import { genericStatus } from '../endpoints/generic-status.ts';
import { negotiateOutput, preferredType } from '../endpoints/negotiation.ts';
import { respondBytes, respondObject } from '../endpoints/respond.ts';
import type { RequestContext } from '../request/context.ts';
import type { NonResourceEndpoint } from './non-resource-endpoints.ts';
import { kubernetesVersion } from './version.ts';

/** `/api`, `/apis` and below: which groups, versions and resources there are, in every form kubectl asks for. */
export function discoveryEndpoint(catalog: Catalog, serverAddress: string): NonResourceEndpoint {
  return (context) => {
    const answer = discoveryAnswer(context.info.path, acceptOf(context), { catalog, serverAddress });
    if (!answer) return undefined;
    if (context.http.method !== 'GET') return errorResponse(genericStatus(405), context);
    if (answer.contentType === 'application/json') return names(context, answer.document);
    const body = `${JSON.stringify(answer.document)}\n`;
    // Clients may keep the whole and ask whether it has changed.
    const etag = createHash('sha512').update(body).digest('hex').toUpperCase();
    return document(context, { body, etag }, answer.contentType, { 'cache-control': 'public' });
  };
}

/** The old form, which is negotiated like any object. */
async function names(context: RequestContext, document: object): Promise<HttpResponse> {
  const response = await respondObject(context, 200, document, negotiateOutput(context.http, context.query));
  return response.kind === 'full' ? { ...response, headers: { ...response.headers, vary: 'Accept' } } : response;
}

/**
 * `/openapi/v3` (index and one document per group version, addressed by hash so that clients may keep them) and `/openapi/v2`
 * (JSON, or the protobuf form kubectl asks for). Built when first asked for.
 */
export function openApiEndpoint(catalog: Catalog): NonResourceEndpoint {
  let documents: Promise<import('@coffer/api/openapi/documents').OpenApiDocuments> | undefined;
  return async (context) => {
    const { path } = context.info;
    if (!path.startsWith('/openapi/')) return undefined;
    documents ??= import('@coffer/api/openapi/documents').then(
      ({ OpenApiDocuments }) => new OpenApiDocuments({ catalog, version: kubernetesVersion }),
    );
    const openApi = await documents;
    if (path === '/openapi/v2') {
      const type = preferredType(context.http, ['application/json', protobufV2, protobufV2.replace('v2.v1', 'v2@v1')]);
      if (type === undefined) return notAcceptable;
      return type === 'application/json' ? document(context, openApi.v2(), type) : document(context, openApi.v2Protobuf(), protobufV2);
    }
    if (path === '/openapi/v3' || path === '/openapi/v3/') return document(context, openApi.index(), 'application/json');
    const name = path.slice('/openapi/v3/'.length);
    const found = openApi.v3(name);
    if (!found) return { kind: 'full', status: 404, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '' };
    if (preferredType(context.http, ['application/json']) === undefined) return notAcceptable;
    const hash = context.query.get('hash');
    if (hash !== null && hash !== openApi.hash(name)) {
      return { kind: 'full', status: 301, headers: { location: `/openapi/v3/${name}?hash=${openApi.hash(name)}` }, body: '' };
    }
    return document(context, found, 'application/json', hash === null ? {} : forever(context.receivedAtMs));
  };
}

const protobufV2 = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';
const notAcceptable: HttpResponse = { kind: 'full', status: 406, headers: { vary: 'Accept' }, body: '' };

/** What is addressed by its hash never changes: caches keep it for a year, which is as long as they may. */
function forever(nowMs: number): HttpHeaders {
  const expires = new Date(nowMs);
  expires.setUTCFullYear(expires.getUTCFullYear() + 1);
  return { 'cache-control': 'public, immutable', expires: expires.toUTCString() };
}

function document(
  context: RequestContext,
  { body, etag }: { readonly body: Uint8Array | string; readonly etag: string },
  contentType: string,
  extra: HttpHeaders = {},
): HttpResponse | Promise<HttpResponse> {
  const quoted = `"${etag}"`;
  const headers = { 'content-type': contentType, etag: quoted, vary: 'Accept', ...extra };
  if (context.http.headers['if-none-match'] === quoted) return { kind: 'full', status: 304, headers, body: '' };
  return respondBytes(context, 200, typeof body === 'string' ? Buffer.from(body) : body, headers);
}

function acceptOf(context: RequestContext): string {
  const { accept } = context.http.headers;
  return typeof accept === 'string' ? accept : '';
}
