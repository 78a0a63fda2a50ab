import type { Duplex } from 'node:stream';
import { badRequest } from '@coffer/api/errors/status-error';
import type { HttpRequest } from '@coffer/base/http/handler';
import { acceptUpgrade, type SpdyProtocol } from '@coffer/base/spdy/upgrade';
import { headerText } from '../negotiation.ts';

/** The HTTP/1.1 upgrade to SPDY/3.1, as clients before WebSocket ask for it. */

export function isSpdyUpgrade(http: HttpRequest): boolean {
  return http.upgrade !== undefined && headerText(http, 'upgrade').toLowerCase() === 'spdy/3.1';
}

/** Answers 101 with the stream protocol spoken from here on, and hands over the connection. */
export function acceptSpdyUpgrade(http: HttpRequest, protocol: SpdyProtocol): Duplex {
  const connection = http.upgrade?.();
  if (connection === undefined) throw badRequest('Upgrade request required');
  acceptUpgrade(connection.socket, connection.head, protocol);
  return connection.socket;
}
