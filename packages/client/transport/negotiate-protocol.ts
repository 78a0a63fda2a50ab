/** Asks a TLS server once which protocol it speaks. */
import type { ConnectionOptions } from 'node:tls';
import { connect } from 'node:tls';

export function negotiateProtocol(base: URL, tls: ConnectionOptions): Promise<'h2' | 'http/1.1'> {
  return new Promise((resolve, reject) => {
    const host = base.hostname.replace(/^\[|\]$/g, '');
    const socket = connect({ host, port: Number(base.port || 443), ALPNProtocols: ['h2', 'http/1.1'], ...serverName(host), ...tls }, () => {
      resolve(socket.alpnProtocol === 'h2' ? 'h2' : 'http/1.1');
      socket.end();
    });
    socket.setTimeout(30_000, () => socket.destroy(new Error(`no answer from ${base.host} within 30 s`)));
    socket.once('error', reject);
  });
}

/** Server names are for names, not for addresses. */
function serverName(host: string): { servername?: string } {
  return /^[0-9.]+$|:/.test(host) ? {} : { servername: host };
}
