import type { UserInfo } from '@coffer/base/http/handler';
import { systemClock } from '@coffer/base/time/clock';
import { type Connection, loadKubeconfig, resolveConnection } from '@coffer/client/kubeconfig/connection';
import { httpsTransport } from '@coffer/client/transport/https';
import type { Transport } from '@coffer/client/transport/transport';

/** The API server that a kubeconfig names, with its credentials. Without a file as kubectl: `KUBECONFIG`, or the one of the home directory. */
export function connectionOf(kubeconfig: string | undefined): Connection {
  return resolveConnection(loadKubeconfig(kubeconfig), systemClock);
}

/** A transport with the credentials of the connection. */
export function remoteTransport(connection: Connection, userAgent: string): Transport {
  return httpsTransport({ connection, clock: systemClock, userAgent });
}

/** A transport that acts as somebody else, which the connection's own user must be allowed to. */
export function impersonatingTransport(connection: Connection, identity: UserInfo, userAgent: string): Transport {
  const headers = {
    'impersonate-user': identity.name,
    'impersonate-group': identity.groups.filter((group) => group !== 'system:authenticated'),
  };
  const credentials = async () => ({ ...(await connection.credentials()), ...headers });
  return httpsTransport({ connection: { ...connection, credentials }, clock: systemClock, userAgent });
}
