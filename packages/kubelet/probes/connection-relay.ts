/**
 * A socket of this machine that leads to a connection which only a function can make, for libraries that connect by themselves. It is in a
 * directory of its own that nobody else may enter, and gone after `close`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, pipeline } from 'node:stream';

export interface ConnectionRelay {
  /** Of the socket. */
  readonly path: string;
  /** Ends what is open. */
  close(): Promise<void>;
}

export async function openRelay(dial: (signal: AbortSignal) => Promise<Duplex>): Promise<ConnectionRelay> {
  const directory = await mkdtemp(join(tmpdir(), 'coffer-relay-'));
  const path = join(directory, 'socket');
  const ending = new AbortController();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    dial(ending.signal).then(
      (connection) => {
        const ended = () => {};
        pipeline(socket, connection, ended);
        pipeline(connection, socket, ended);
        ending.signal.addEventListener('abort', () => socket.destroy(), { once: true });
      },
      // Whoever connects sees a connection that ends, and tries again or gives up.
      () => socket.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(path, resolve);
  });
  return {
    path,
    async close() {
      ending.abort(new Error('the relay is closed'));
      server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
