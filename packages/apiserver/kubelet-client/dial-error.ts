/** A kubelet that cannot be reached, told to the client in upstream's words: status 500 without a reason. */
import { StatusError } from '@coffer/api/errors/status-error';
import type { KubeletAddress } from './kubelet-client.ts';

const causes: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
};

/** `what` is what was tried, e.g. `error dialing backend`. */
export function dialError(what: string, { host, port }: KubeletAddress, error: Error): StatusError {
  const code = 'code' in error ? String(error.code) : '';
  const cause = causes[code];
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return new StatusError(500, '', `${what}: ${cause === undefined ? error.message : `dial tcp ${address}: ${cause}`}`, undefined, {
    cause: error,
  });
}
