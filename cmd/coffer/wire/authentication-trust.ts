import type { ClientAuthorities } from '@coffer/apiserver/authentication/client-authorities';
import type { Handler } from '@coffer/base/http/handler';
import type { ResourceStore } from '@coffer/storage/store/store';
import type { AccessFlags } from '../up/access-flags.ts';
import { writeAsServer } from './write-as-server.ts';

const namespace = 'kube-system';
const name = 'extension-apiserver-authentication';

/** Authorities of clients. */
export interface ClientTrust {
  readonly clients: ClientAuthorities;
  /** Of proxies that speak for others; undefined without such. */
  readonly proxies: ClientAuthorities | undefined;
}

/**
 * Publishes how this server recognises its clients, for servers that extend the API, as ConfigMap `extension-apiserver-authentication`.
 * Authorities that other servers have published stay.
 */
export async function publishAuthenticationTrust(
  handler: Handler,
  configMaps: ResourceStore,
  trust: ClientTrust,
  flags: AccessFlags,
): Promise<void> {
  const existing = configMaps.get(namespace, name)?.peek();
  const data = (existing?.data ?? {}) as Readonly<Record<string, string>>;
  const own = {
    'client-ca-file': joined(data['client-ca-file'], trust.clients.pems),
    ...(trust.proxies === undefined
      ? {}
      : {
          'requestheader-allowed-names': JSON.stringify(flags.requestheaderAllowedNames),
          'requestheader-client-ca-file': joined(data['requestheader-client-ca-file'], trust.proxies.pems),
          'requestheader-extra-headers-prefix': JSON.stringify(flags.requestheaderExtraHeadersPrefix),
          'requestheader-group-headers': JSON.stringify(flags.requestheaderGroupHeaders),
          'requestheader-uid-headers': JSON.stringify(flags.requestheaderUidHeaders),
          'requestheader-username-headers': JSON.stringify(flags.requestheaderUsernameHeaders),
        }),
  };
  if (Object.entries(own).every(([key, value]) => data[key] === value)) return;
  const metadata = existing?.metadata ?? { name, namespace };
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { ...data, ...own } };
  await writeAsServer(handler, `/api/v1/namespaces/${namespace}/configmaps`, object, existing !== undefined);
}

/** The certificates that were there and ours, each once. */
function joined(before: string | undefined, pems: readonly string[]): string {
  const blocks = [before ?? '', ...pems].flatMap((pem) => pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []);
  return [...new Set(blocks)].map((block) => `${block}\n`).join('');
}
