/** A kubelet that cannot be reached, told to the client in upstream's words: status 500 without a reason. */
import { StatusError } from '@coffer/api/errors/status-error';
import type { KubeletAddress } from './kubelet-client.ts';

const causes: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
};

/** How a connection to that address failed, in Go's words where they are known. */
export function dialText({ host, port }: KubeletAddress, error: Error): string {
  const cause = causes['code' in error ? String(error.code) : ''];
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  return cause === undefined ? error.message : `dial tcp ${address}: ${cause}`;
}

/** `what` is what was tried, e.g. `error dialing backend`. */
export function dialError(what: string, address: KubeletAddress, error: Error): StatusError {
  return new StatusError(500, '', `${what}: ${dialText(address, error)}`, undefined, { cause: error });
}
