/**
 * Reads kubeconfig files: clusters, users and contexts in kubectl's format. Pure; paths stay as they are written (relative to the file) and
 * are resolved by `resolveConnection`. Several files merge as kubectl merges them: the first that names something wins.
 */
import { isRecord } from '@coffer/api/meta/safe-object';
import { CORE_SCHEMA, load } from 'js-yaml';

export interface KubeconfigCluster {
  readonly name: string;
  readonly server: string;
  readonly certificateAuthority: string | undefined;
  /** PEM. */
  readonly certificateAuthorityData: string | undefined;
  readonly insecureSkipTlsVerify: boolean;
  readonly tlsServerName: string | undefined;
  readonly proxyUrl: string | undefined;
  /** Folder of the file this came from; relative paths start there. */
  readonly folder: string;
}

export interface KubeconfigUser {
  readonly name: string;
  readonly clientCertificate: string | undefined;
  readonly clientCertificateData: string | undefined;
  readonly clientKey: string | undefined;
  readonly clientKeyData: string | undefined;
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly impersonate:
    | {
        readonly user: string;
        readonly uid: string | undefined;
        readonly groups: readonly string[];
        readonly extra: Readonly<Record<string, readonly string[]>>;
      }
    | undefined;
  /** `exec` or `auth-provider`: credentials that a helper program would have to make. */
  readonly helper: string | undefined;
  readonly folder: string;
}

export interface KubeconfigContext {
  readonly name: string;
  readonly cluster: string;
  readonly user: string;
  readonly namespace: string | undefined;
}

export interface Kubeconfig {
  readonly currentContext: string | undefined;
  readonly clusters: readonly KubeconfigCluster[];
  readonly users: readonly KubeconfigUser[];
  readonly contexts: readonly KubeconfigContext[];
}

export class KubeconfigError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'KubeconfigError';
  }
}

/** Parses one file's text. `folder` is where relative paths in it start. */
export function parseKubeconfig(text: string, folder: string): Kubeconfig {
  let document: unknown;
  try {
    document = load(text, { schema: CORE_SCHEMA });
  } catch (error) {
    throw new KubeconfigError('the kubeconfig is not valid YAML', { cause: error });
  }
  if (document === undefined || document === null) return { currentContext: undefined, clusters: [], users: [], contexts: [] };
  if (!isRecord(document)) throw new KubeconfigError('the kubeconfig is not an object');
  return {
    currentContext: textOf(document['current-context']),
    clusters: named(document.clusters, 'cluster').map(([name, cluster]) => ({
      name,
      server: textOf(cluster.server) ?? '',
      certificateAuthority: textOf(cluster['certificate-authority']),
      certificateAuthorityData: base64(cluster['certificate-authority-data'], `cluster ${name}`, 'certificate-authority-data'),
      insecureSkipTlsVerify: cluster['insecure-skip-tls-verify'] === true,
      tlsServerName: textOf(cluster['tls-server-name']),
      proxyUrl: textOf(cluster['proxy-url']),
      folder,
    })),
    users: named(document.users, 'user').map(([name, user]) => readUser(name, user, folder)),
    contexts: named(document.contexts, 'context').map(([name, context]) => ({
      name,
      cluster: textOf(context.cluster) ?? '',
      user: textOf(context.user) ?? '',
      namespace: textOf(context.namespace),
    })),
  };
}

/** As kubectl merges the files of `KUBECONFIG`: the first value and the first entry of a name count. */
export function mergeKubeconfigs(files: readonly Kubeconfig[]): Kubeconfig {
  return {
    currentContext: files.map((file) => file.currentContext).find((name) => name !== undefined),
    clusters: firstOfName(files.flatMap((file) => file.clusters)),
    users: firstOfName(files.flatMap((file) => file.users)),
    contexts: firstOfName(files.flatMap((file) => file.contexts)),
  };
}

function readUser(name: string, user: Record<string, unknown>, folder: string): KubeconfigUser {
  const as = textOf(user.as);
  const helper = isRecord(user.exec) ? 'exec' : isRecord(user['auth-provider']) ? 'auth-provider' : undefined;
  return {
    name,
    clientCertificate: textOf(user['client-certificate']),
    clientCertificateData: base64(user['client-certificate-data'], `user ${name}`, 'client-certificate-data'),
    clientKey: textOf(user['client-key']),
    clientKeyData: base64(user['client-key-data'], `user ${name}`, 'client-key-data'),
    token: textOf(user.token),
    tokenFile: textOf(user.tokenFile),
    username: textOf(user.username),
    password: textOf(user.password),
    impersonate:
      as === undefined
        ? undefined
        : { user: as, uid: textOf(user['as-uid']), groups: texts(user['as-groups']), extra: textLists(user['as-user-extra']) },
    helper,
    folder,
  };
}

function named(list: unknown, field: string): [string, Record<string, unknown>][] {
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) throw new KubeconfigError(`the kubeconfig's ${field}s are not a list`);
  return list.map((entry: unknown) => {
    const name = isRecord(entry) ? textOf(entry.name) : undefined;
    if (!isRecord(entry) || name === undefined) throw new KubeconfigError(`an entry of the kubeconfig's ${field}s has no name`);
    const value = entry[field];
    return [name, isRecord(value) ? value : {}];
  });
}

function firstOfName<T extends { readonly name: string }>(entries: readonly T[]): T[] {
  const byName = new Map<string, T>();
  for (const entry of entries) if (!byName.has(entry.name)) byName.set(entry.name, entry);
  return [...byName.values()];
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

function textLists(value: unknown): Record<string, string[]> {
  if (!isRecord(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([key, list]) => [key, texts(list)]));
}

function base64(value: unknown, owner: string, field: string): string | undefined {
  const encoded = textOf(value);
  if (encoded === undefined) return undefined;
  const compact = encoded.replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) throw new KubeconfigError(`${field} of ${owner} is not base64`);
  return Buffer.from(compact, 'base64').toString();
}
