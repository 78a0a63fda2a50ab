import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as tlsConnect } from 'node:tls';
import { badRequest, StatusError } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import type { ForwardPort } from '@coffer/api/node/node-api';
import type { HttpHeaders, HttpRequest, HttpResponse, StreamSink } from '@coffer/base/http/handler';
import type { RequestContext } from '../../request/context.ts';
import { ForwardedStream } from '../streaming/forwarded-stream.ts';
import { rewriteLinks } from './html-links.ts';
import { nodeOf, podRefOf } from './pod-container.ts';
import { type ConnectDeps, reachNode } from './reach-node.ts';

export const maxBodyBytes = 3 * 1024 * 1024;
const maxPageBytes = 3 * 1024 * 1024;

export interface ProxyTarget {
  readonly secure: boolean;
  readonly name: string;
  /** What is behind the last colon; may be empty. */
  readonly port: string;
}

/** `name`, `name:port`, `scheme:name:port`; the last two may be empty. Undefined for anything else. */
export function parseTarget(text: string): ProxyTarget | undefined {
  const parts = text.split(':');
  const [scheme, name = '', port = ''] = parts.length === 3 ? parts : ['', ...parts];
  const isScheme = scheme === '' || scheme === 'http' || scheme === 'https';
  return parts.length > 3 || !isScheme || name === '' ? undefined : { secure: scheme === 'https', name, port };
}

export function portNumber(text: string): number | undefined {
  const port = Number(text);
  return /^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535 ? port : undefined;
}

/** A page at the end of the path needs a slash: relative links count from there. Undefined when there is one, or no page is asked for. */
export function redirectToSlash({ http, info }: RequestContext): HttpResponse | undefined {
  const { path, query, base } = splitUrl(http.url, info.resource, info.name);
  if (path !== '' || (http.method !== 'GET' && http.method !== 'HEAD')) return undefined;
  return { kind: 'full', status: 301, headers: { location: `${base}/${query}` }, body: '' };
}

/** Carries the request to a port of the pod by way of its node. */
export async function carryToPod(
  { http, info }: RequestContext,
  deps: ConnectDeps,
  pod: KubeObject,
  to: { readonly port: number; readonly secure: boolean },
): Promise<HttpResponse> {
  if (http.upgrade !== undefined) throw badRequest('the proxy does not upgrade connections');
  const node = await reachNode(deps, nodeOf(pod));
  const body = await http.readBody(maxBodyBytes);
  const { path, query, base } = splitUrl(http.url, info.resource, info.name);
  const address = ((pod.status as { readonly podIP?: string } | undefined)?.podIP ?? '') || (pod.metadata.name ?? '');
  try {
    const forward = await node.portForward(podRefOf(pod), http.signal);
    return await exchange(http, { ...to, forward, address, path: `${path || '/'}${query}`, body, base });
  } catch (error) {
    if (http.signal.aborted) throw error;
    throw unreachable(error);
  }
}

export function unreachable(error: unknown): StatusError {
  const message = `error trying to reach service: ${error instanceof Error ? error.message : String(error)}`;
  return new StatusError(503, 'ServiceUnavailable', message);
}

/** The part of the URL behind `proxy`, just as it came; `base` is what is before it, `proxy` included. */
export function splitUrl(
  url: string,
  resource: string,
  name: string,
): { readonly base: string; readonly path: string; readonly query: string } {
  const at = url.indexOf('?');
  const whole = at < 0 ? url : url.slice(0, at);
  const marks = [name, encodeURIComponent(name)].map((text) => `/${resource}/${text}/proxy`);
  const mark = marks.find((text) => whole.includes(text));
  if (mark === undefined) throw badRequest('the path of the proxy cannot be read');
  const end = whole.indexOf(mark) + mark.length;
  return { base: whole.slice(0, end), path: whole.slice(end), query: at < 0 ? '' : url.slice(at) };
}

interface Exchange {
  readonly forward: ForwardPort;
  readonly port: number;
  readonly secure: boolean;
  readonly address: string;
  readonly path: string;
  readonly body: Uint8Array;
  readonly base: string;
}

async function exchange(http: HttpRequest, to: Exchange): Promise<HttpResponse> {
  const { forward, port, secure, address, path, body, base } = to;
  const stream = new ForwardedStream();
  const host = `${address.includes(':') ? `[${address}]` : address}:${port}`;
  const carried = forward(port, stream.far).then(
    () => stream.finish(),
    (error: unknown) => stream.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  const request = httpRequest({
    method: http.method,
    path,
    host: address,
    port,
    headers: { ...passedOn(http.headers, requestOnly), host, 'x-forwarded-for': http.peer.address, 'x-forwarded-uri': `${base}${path}` },
    // A pod's certificate proves nothing about a pod: it is not looked at.
    createConnection: () => (secure ? tlsConnect({ socket: stream, rejectUnauthorized: false }) : stream),
  });
  const abort = () => request.destroy(new Error('client closed the connection'));
  http.signal.addEventListener('abort', abort, { once: true });
  const done = () => {
    http.signal.removeEventListener('abort', abort);
    stream.destroy();
  };
  try {
    const answer = await answerTo(request, body);
    const headers = passedOn(answer.headers, responseOnly) as Record<string, string | readonly string[]>;
    const { location } = headers;
    if (typeof location === 'string') headers.location = relocated(location, host, base);
    const isPage = String(headers['content-type'] ?? '').startsWith('text/html') && headers['content-encoding'] === undefined;
    if (isPage) delete headers['content-length'];
    return {
      kind: 'stream',
      status: answer.statusCode ?? 502,
      headers: headers as HttpHeaders,
      run: (sink) => (isPage ? copyPage(sink, answer, (link) => relocated(link, host, base)) : copyTo(sink, answer)).finally(done),
    };
  } catch (error) {
    done();
    await carried;
    throw error;
  }
}

function answerTo(request: ClientRequest, body: Uint8Array): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.on('error', reject);
    if (body.byteLength > 0) request.setHeader('content-length', body.byteLength);
    request.end(body);
  });
}

export async function copyTo(sink: StreamSink, answer: AsyncIterable<Uint8Array>): Promise<void> {
  sink.flush();
  for await (const chunk of answer) if (!sink.write(chunk)) await sink.drained();
}

/** As `copyTo`, with the links of a page led through the proxy; a page that is too long goes as it is. */
async function copyPage(sink: StreamSink, answer: IncomingMessage, relocate: (link: string) => string): Promise<void> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).byteLength;
    if (size > maxPageBytes) {
      sink.write(Buffer.concat(chunks));
      return copyTo(sink, answer);
    }
  }
  // As Latin-1: every byte stays what it is, whatever the page's encoding.
  sink.write(Buffer.from(rewriteLinks(Buffer.concat(chunks).toString('latin1'), relocate), 'latin1'));
}

/** Links within the pod lead through the proxy. */
function relocated(location: string, host: string, base: string): string {
  if (location.startsWith('/') && !location.startsWith('//')) return base + location;
  const url = URL.parse(location);
  return url !== null && url.host === host ? `${base}${url.pathname}${url.search}${url.hash}` : location;
}

const everyHop = ['connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade'];
/** Not for whom a request is passed on to. */
export const requestOnly: ReadonlySet<string> = new Set([
  ...everyHop,
  'authorization',
  'host',
  'content-length',
  'expect',
  'x-forwarded-for',
]);
/** Not for whom an answer is passed on to. */
export const responseOnly: ReadonlySet<string> = new Set(everyHop);

/** Headers that are meant for the other end: neither of this hop only, nor what tells this server who calls. */
export function passedOn(headers: HttpRequest['headers'], dropped: ReadonlySet<string>): Record<string, string | readonly string[]> {
  const named = String(headers.connection ?? '')
    .toLowerCase()
    .split(',')
    .map((text) => text.trim());
  const kept: Record<string, string | readonly string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || dropped.has(name) || named.includes(name) || /^(:|impersonate-|x-remote-)/.test(name)) continue;
    kept[name] = value;
  }
  return kept;
}
