import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { followFile } from '@coffer/base/files/followed-file';
import type { UserInfo } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { type Connection, loadKubeconfig, resolveConnection } from '@coffer/client/kubeconfig/connection';
import { httpsTransport } from '@coffer/client/transport/https';
import { replaceableTransport } from '@coffer/client/transport/replaceable';
import type { Transport } from '@coffer/client/transport/transport';

const pollMs = 2_000;

/** The API server that a kubeconfig names, with its credentials. Without a file as kubectl: `KUBECONFIG`, or the one of the home directory. */
export function connectionOf(kubeconfig: string | undefined): Connection {
  return resolveConnection(loadKubeconfig(kubeconfig), systemClock);
}

/**
 * A transport with the credentials of the connection. Files of a client certificate are followed while they change: requests that come after
 * that use the new one.
 */
export function remoteTransport(connection: Connection, userAgent: string, logger: Logger): Transport {
  const open = (current: Connection) => httpsTransport({ connection: current, clock: systemClock, userAgent });
  const { clientCertificateFiles: files, tls } = connection;
  if (files === undefined) return open(connection);
  const transport = replaceableTransport(open(connection), systemClock);
  const closing = new AbortController();
  const use = async (): Promise<void> => {
    const [cert, key] = await Promise.all([readFile(files.certificate, 'utf8'), readFile(files.key, 'utf8')]);
    createSecureContext({ cert, key }); // throws when they do not belong together
    transport.replace(open({ ...connection, tls: { ...tls, cert, key } }));
  };
  const follow = (file: string, known: string | undefined) =>
    void followFile({ file, clock: systemClock, logger, use, pollMs }, known ?? '', closing.signal);
  follow(files.certificate, tls.cert);
  if (files.key !== files.certificate) follow(files.key, tls.key);
  return {
    request: (request) => transport.request(request),
    stream: (request) => transport.stream(request),
    close() {
      closing.abort(new Error('the transport is closed'));
      transport.close();
    },
  };
}

/** A transport that acts as somebody else, which the connection's own user must be allowed to. */
export function impersonatingTransport(connection: Connection, identity: UserInfo, userAgent: string, logger: Logger): Transport {
  const headers = {
    'impersonate-user': identity.name,
    'impersonate-group': identity.groups.filter((group) => group !== 'system:authenticated'),
  };
  const credentials = async () => ({ ...(await connection.credentials()), ...headers });
  return remoteTransport({ ...connection, credentials }, userAgent, logger);
}
