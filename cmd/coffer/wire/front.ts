import { hostname } from 'node:os';
import { HttpsListener, type TlsMaterial } from '@coffer/apiserver/server/https-listener';
import type { Handler } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import { type ApiAddress, advertisedHost, isLoopback } from './api-service.ts';
import type { PodGateway } from './runtime.ts';

export interface FrontOptions {
  readonly bindAddress: string;
  /** What others are told instead of the address to listen on. */
  readonly advertiseAddress?: string;
  readonly securePort: number;
  readonly tls: TlsMaterial;
  /** Where pods reach this machine. */
  readonly podGateway?: PodGateway | undefined;
}

/** The sockets of the API server. */
export interface Front {
  /** The server for programs of this machine; its certificate covers that. */
  readonly url: string;
  /** The server as processes of this machine reach it. */
  readonly local: ApiAddress;
  /** What other machines are told; undefined when the server listens on loopback only. */
  readonly advertised: ApiAddress | undefined;
  /** What pods with a network of their own are told. */
  readonly forPods: ApiAddress | undefined;
  /** For connections to come. */
  replaceTls(tls: TlsMaterial): void;
  close(graceMs: number): Promise<void>;
}

const wildcards = ['0.0.0.0', '::'];

/** Names the serving certificate covers. */
export function serverNames(options: Pick<FrontOptions, 'bindAddress' | 'advertiseAddress' | 'podGateway'>): string[] {
  const { bindAddress, advertiseAddress, podGateway } = options;
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local', '10.96.0.1'];
  const names = new Set(['localhost', '127.0.0.1', '::1', hostname().toLowerCase(), ...service]);
  const own = wildcards.includes(bindAddress) ? undefined : bindAddress;
  for (const name of [own, advertisedHost(bindAddress), advertiseAddress, podGateway?.address]) {
    if (name !== undefined) names.add(name);
  }
  return [...names];
}

/**
 * Listens where the flags say, and on the address that pods of this machine reach. That one is a private bridge which belongs to this
 * server alone, so its port is the one of the `kubernetes` Service.
 */
export async function openFront(options: FrontOptions, handler: Handler, logger: Logger): Promise<Front> {
  const { bindAddress, advertiseAddress, securePort, tls } = options;
  const { address: gateway, onMachine } = options.podGateway ?? {};
  const podGateway = onMachine ? gateway : undefined;
  const main = new HttpsListener({ handler, logger, tls });
  const bound = await main.listen(bindAddress, securePort);
  const local = { host: bound.host === '0.0.0.0' ? '127.0.0.1' : bound.host === '::' ? '::1' : bound.host, port: bound.port };
  const url = `https://${hostAndPort(local)}`;
  if (podGateway === undefined || wildcards.includes(bindAddress)) {
    const host = advertiseAddress ?? podGateway ?? advertisedHost(bindAddress);
    const advertised = host === undefined ? undefined : { host, port: bound.port };
    const forPods = gateway !== undefined && !onMachine && isLoopback(local.host) ? { ...local, host: gateway } : advertised;
    return { url, local, advertised, forPods, replaceTls: (next) => main.replaceTls(next), close: (graceMs) => main.close(graceMs) };
  }
  const inside = new HttpsListener({ handler, logger, tls });
  const reached = await listenForPods(inside, podGateway, bound.port);
  const advertised = advertiseAddress === undefined ? reached : { host: advertiseAddress, port: bound.port };
  return {
    url,
    local,
    advertised,
    forPods: advertised,
    replaceTls(next) {
      for (const listener of [main, inside]) listener.replaceTls(next);
    },
    async close(graceMs) {
      await Promise.all([main.close(graceMs), inside.close(graceMs)]);
    },
  };
}

/** `host:port` that others are told, as far as it is known before the server listens. */
export function externalAddress({
  bindAddress,
  advertiseAddress,
  securePort,
}: Pick<FrontOptions, 'bindAddress' | 'advertiseAddress' | 'securePort'>): string {
  return hostAndPort({ host: advertiseAddress ?? advertisedHost(bindAddress) ?? bindAddress, port: securePort });
}

function hostAndPort({ host, port }: ApiAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Somebody may listen on port 443 of all addresses; then the port is the server's other one. */
async function listenForPods(listener: HttpsListener, gateway: string, port: number): Promise<ApiAddress> {
  try {
    return await listener.listen(gateway, 443);
  } catch {
    return listener.listen(gateway, port);
  }
}
