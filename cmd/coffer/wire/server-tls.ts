import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createSecureContext } from 'node:tls';
import { ClientAuthorities } from '@coffer/apiserver/authentication/client-authorities';
import type { ClusterKeys } from '@coffer/apiserver/pki/cluster-keys';
import type { TlsMaterial } from '@coffer/apiserver/server/https-listener';
import { followFile } from '@coffer/base/files/followed-file';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { DataPaths } from '../config/paths.ts';
import type { ServerFlags } from '../config/server-flags.ts';
import type { ClientTrust } from './authentication-trust.ts';

type TlsFlags = Pick<ServerFlags, 'clientCaFile' | 'requestheaderClientCaFile' | 'tlsCertFile' | 'tlsPrivateKeyFile'>;

/** Who the server is and whom it trusts on TLS connections, by files that may change while it runs. */
export interface ServerTls {
  /** Counts for the next request, also on connections that are open. */
  readonly trust: ClientTrust;
  /** For connections to come. */
  readonly material: TlsMaterial;
  /** Calls `onChange` when a changed file is in use, until the signal is aborted. One that cannot be used is reported and the old one stays. */
  follow(onChange: () => Promise<void>, signal: AbortSignal): void;
}

/** Reads the files of the flags; without flags for it the serving certificate is the cluster's own. */
export async function openServerTls(
  flags: TlsFlags,
  paths: DataPaths,
  keys: ClusterKeys,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<ServerTls> {
  const { tlsCertFile, tlsPrivateKeyFile, clientCaFile, requestheaderClientCaFile } = flags;
  if ((tlsCertFile === undefined) !== (tlsPrivateKeyFile === undefined))
    throw new Error('--tls-cert-file and --tls-private-key-file go together');
  const certificateFile = tlsCertFile ?? path.join(paths.keys, 'apiserver.crt');
  const keyFile = tlsPrivateKeyFile ?? path.join(paths.keys, 'apiserver.key');
  const text = (file: string) => readFile(file, 'utf8');
  const own = keys.authority.certificatePem;
  const clients = await authorities(clientCaFile, '--client-ca-file', (pem) => [own, ...pem]);
  const proxies = await authorities(requestheaderClientCaFile, '--requestheader-client-ca-file', (pem) => pem);
  const trust = { clients: clients.authorities, proxies: requestheaderClientCaFile === undefined ? undefined : proxies.authorities };
  let serving = await readServing();

  /** Throws when they do not belong together. */
  async function readServing(): Promise<{ readonly keyPem: string; readonly certificatePem: string }> {
    const [keyPem, certificatePem] = await Promise.all([text(keyFile), text(certificateFile)]);
    try {
      createSecureContext({ key: keyPem, cert: certificatePem });
    } catch (error) {
      throw new Error(`${certificateFile} and ${keyFile} are not a certificate and its key`, { cause: error });
    }
    return { keyPem, certificatePem };
  }
  return {
    trust,
    get material() {
      return { ...serving, clientAuthoritiesPem: [...trust.clients.pems, ...(trust.proxies?.pems ?? [])] };
    },
    follow(onChange, signal) {
      const follow = (file: string | undefined, known: string, use: (changed: string) => Promise<void> | void): void => {
        if (file === undefined) return;
        const used = async (changed: string): Promise<void> => {
          await use(changed);
          await onChange();
        };
        void followFile({ file, clock, logger, use: used }, known, signal);
      };
      const useServing = async (): Promise<void> => {
        serving = await readServing();
      };
      follow(certificateFile, serving.certificatePem, useServing);
      follow(keyFile, serving.keyPem, useServing);
      follow(clientCaFile, clients.text, clients.use);
      follow(requestheaderClientCaFile, proxies.text, proxies.use);
    },
  };
}

/** Authorities of a file, together with those that `all` adds. */
async function authorities(file: string | undefined, flag: string, all: (pems: readonly string[]) => readonly string[]) {
  const text = file === undefined ? '' : await readFile(file, 'utf8');
  const made = new ClientAuthorities(all(file === undefined ? [] : [text]), flag);
  return { authorities: made, text, use: (changed: string) => made.replace(all([changed])) };
}
