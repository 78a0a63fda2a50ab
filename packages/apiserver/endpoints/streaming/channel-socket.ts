import type { RawData, WebSocket } from 'ws';
import { sendBinary, sendText } from './web-socket.ts';

/**
 * Messages of numbered channels over a WebSocket: the number as first byte before the payload, or, for clients that have only text,
 * as a digit before the payload in base64.
 */
export class ChannelSocket {
  readonly #socket: WebSocket;
  readonly #base64: boolean;

  constructor(socket: WebSocket, protocol: string, receive: (channel: number, payload: Uint8Array) => void) {
    this.#socket = socket;
    this.#base64 = protocol.split('.').includes('base64');
    socket.on('message', (data: RawData) => {
      const message = bytesOf(data);
      const first = message[0];
      if (first === undefined) return;
      const payload = message.subarray(1);
      if (this.#base64) receive(first - digitZero, Buffer.from(payload.toString('latin1'), 'base64'));
      else receive(first, payload);
    });
  }

  /** Resolves when the client keeps up, rejects when it has gone. */
  send(channel: number, payload: Uint8Array): Promise<void> {
    if (this.#base64) return sendText(this.#socket, `${channel}${Buffer.from(payload).toString('base64')}`);
    const message = Buffer.allocUnsafe(payload.byteLength + 1);
    message[0] = channel;
    message.set(payload, 1);
    return sendBinary(this.#socket, message);
  }
}

const digitZero = 0x30;

function bytesOf(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data;
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
}
