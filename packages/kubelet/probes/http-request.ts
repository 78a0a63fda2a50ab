/** One HTTP request of a probe or hook. Messages as Go's HTTP client words them. Certificates are not verified, as upstream. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect } from 'node:tls';
import type { V1HTTPGetAction } from '@coffer/api/generated/types';
import type { Container } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';
import { dialFor, type PodReach } from './pod-reach.ts';

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

const maxBodyBytes = 10 * 1024;
const maxRedirects = 10;
const answerInHttp = 'http: server gave HTTP response to HTTPS client';

export interface HttpCall {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** URL and headers of an `httpGet`. Throws for a port that the container does not name. */
export function httpCall(action: V1HTTPGetAction, container: Container, host: string, timeoutMs: number, agent: string): HttpCall {
  const scheme = (action.scheme ?? 'HTTP').toLowerCase();
  const address = action.host !== undefined && action.host !== '' ? action.host : host;
  const authority = `${address.includes(':') ? `[${address}]` : address}:${resolvePort(action.port, container)}`;
  const path = action.path ?? '/';
  const headers: Record<string, string> = { 'user-agent': agent, accept: '*/*' };
  for (const header of action.httpHeaders ?? []) {
    const name = header.name.toLowerCase();
    if ((name === 'accept' || name === 'user-agent') && header.value === '') delete headers[name];
    else headers[name] = header.value;
  }
  return { url: `${scheme}://${authority}${path.startsWith('/') ? path : `/${path}`}`, headers, timeoutMs };
}

export function resolvePort(port: number | string, container: Container): number {
  if (typeof port === 'number') return checked(port);
  if (/^\d+$/.test(port)) return checked(Number(port));
  const named = (container.ports ?? []).find((p) => p.name === port);
  if (named === undefined) throw new Error(`couldn't find port: ${JSON.stringify(port)} in container ${container.name}`);
  return named.containerPort;
}

function checked(port: number): number {
  if (port <= 0 || port > 65_535) throw new Error(`invalid port number: ${port}`);
  return port;
}

/** Follows redirects on the same host. Rejects with Go's words for what kept an answer from coming. */
export async function httpGet(call: HttpCall, reach: PodReach): Promise<HttpAnswer> {
  let url = new URL(call.url);
  const deadline = AbortSignal.timeout(call.timeoutMs);
  for (let redirects = 0; ; redirects++) {
    const answer = await once(url, call, reach, deadline);
    if (answer.status < 300 || answer.status >= 400 || answer.location === undefined) return answer;
    if (redirects >= maxRedirects) throw new Error(`Get "${call.url}": stopped after ${maxRedirects} redirects`);
    const next = new URL(answer.location, url);
    // A redirect elsewhere is not followed: it counts as an answer.
    if (next.hostname !== url.hostname) return answer;
    url = next;
  }
}

async function once(
  url: URL,
  call: HttpCall,
  reach: PodReach,
  deadline: AbortSignal,
): Promise<HttpAnswer & { readonly location: string | undefined }> {
  const secure = url.protocol === 'https:';
  const fail = (error: unknown) => new Error(`Get "${url.href}": ${goError(error, url, deadline)}`, { cause: error });
  const connection = await throughNetwork(url, reach, deadline).catch((error: unknown) => {
    throw fail(error);
  });
  const answer = new Promise<HttpAnswer & { readonly location: string | undefined }>((resolve, reject) => {
    const request = (secure ? httpsRequest : httpRequest)(
      url,
      {
        method: 'GET',
        headers: { ...call.headers },
        signal: deadline,
        ...(connection === undefined ? { agent: false } : { createConnection: () => connection }),
        ...(secure ? { rejectUnauthorized: false } : {}),
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          if (body.length < maxBodyBytes) body += chunk.slice(0, maxBodyBytes - body.length);
        });
        response.on('error', (error) => reject(fail(error)));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body, location: response.headers.location }));
      },
    );
    request.on('error', (error) => reject(fail(error)));
    request.end();
  });
  return answer.finally(() => connection?.destroy());
}

/** A connection for a host that only the pod's network knows; undefined where this machine makes it. */
async function throughNetwork(url: URL, reach: PodReach, signal: AbortSignal): Promise<Duplex | undefined> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const dial = dialFor(reach, host);
  if (dial === undefined) return undefined;
  const secure = url.protocol === 'https:';
  const connection = await dial(host, Number(url.port || (secure ? 443 : 80)), signal);
  return secure ? tlsConnect({ socket: connection, rejectUnauthorized: false }) : connection;
}

/** Whether what `httpGet` rejected with says that the other side speaks HTTP where HTTPS was asked for. */
export function isAnswerInHttp(error: unknown): boolean {
  return error instanceof Error && error.message.endsWith(answerInHttp);
}

function goError(error: unknown, url: URL, deadline: AbortSignal): string {
  // Plain text read as a TLS record: its version or its length make no sense.
  if (url.protocol === 'https:' && /wrong version number|packet length too long/.test(messageOf(error))) return answerInHttp;
  if (deadline.aborted) return 'context deadline exceeded (Client.Timeout exceeded while awaiting headers)';
  const host = `${url.hostname}:${url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port}`;
  return dialError(error, host);
}

/** A connection error in Go's words. */
export function dialError(error: unknown, address: string): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  switch (code) {
    case 'ECONNREFUSED':
      return `dial tcp ${address}: connect: connection refused`;
    case 'EHOSTUNREACH':
      return `dial tcp ${address}: connect: no route to host`;
    case 'ENETUNREACH':
      return `dial tcp ${address}: connect: network is unreachable`;
    case 'ETIMEDOUT':
      return `dial tcp ${address}: i/o timeout`;
    case 'ECONNRESET':
      return `read tcp ${address}: read: connection reset by peer`;
    case 'ENOTFOUND':
      return `dial tcp: lookup ${address.split(':')[0] ?? address}: no such host`;
    default:
      return error instanceof Error ? error.message : String(error);
  }
}
