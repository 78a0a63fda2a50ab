import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { SpdySession } from './session.ts';

/** The HTTP/1.1 upgrade to SPDY/3.1 with which exec, attach and port-forward begin. */

/** What is spoken on the streams: the only version that tells exit codes, and the only one there is. */
export const spdyProtocols = { command: 'v4.channel.k8s.io', portForward: 'portforward.k8s.io' } as const;
export type SpdyProtocol = (typeof spdyProtocols)[keyof typeof spdyProtocols];

/** Headers of a request that asks for the upgrade. */
export function upgradeHeaders(protocol: SpdyProtocol): Readonly<Record<string, string | number>> {
  return { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol, 'content-length': 0 };
}

/** Sends the request; resolves to the session, or to the answer of a server that refuses. Rejects when there is no answer. */
export function requestUpgrade(outgoing: ClientRequest): Promise<SpdySession | IncomingMessage> {
  return new Promise((resolve, reject) => {
    outgoing.once('upgrade', (_answer: IncomingMessage, socket: Duplex, head: Buffer) => {
      outgoing.setTimeout(0);
      if (head.length > 0) socket.unshift(head);
      resolve(new SpdySession(socket, { role: 'client' }));
    });
    outgoing.once('response', resolve);
    outgoing.once('error', reject);
    outgoing.end();
  });
}

/** The server's side: answers 101. What was read behind the request's head is put back. */
export function acceptUpgrade(socket: Duplex, head: Uint8Array, protocol: SpdyProtocol): void {
  if (head.byteLength > 0) socket.unshift(head);
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
}
