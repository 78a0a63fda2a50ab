import type { HttpRequest } from '@coffer/base/http/handler';

const webSocketTokenPrefix = 'base64url.bearer.authorization.k8s.io.';

/** The bearer token of a request: from `Authorization`, or for browsers' WebSockets from the subprotocol upstream defined. */
export function bearerToken(request: HttpRequest): string | undefined {
  const header = request.headers.authorization;
  if (typeof header === 'string') {
    const match = /^bearer +(\S+)\s*$/i.exec(header);
    return match?.[1];
  }
  if (!request.upgrade) return undefined;
  const protocols = request.headers['sec-websocket-protocol'];
  if (typeof protocols !== 'string') return undefined;
  const offered = protocols.split(',').map((protocol) => protocol.trim());
  const encoded = offered.find((protocol) => protocol.startsWith(webSocketTokenPrefix));
  return encoded === undefined ? undefined : Buffer.from(encoded.slice(webSocketTokenPrefix.length), 'base64url').toString('utf8');
}
