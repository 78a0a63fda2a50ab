/**
 * Everything needed to talk to one API server: address, TLS material, headers. Made from a kubeconfig, or from what a pod finds mounted.
 * Reads files once, but for a token file, which is read again as it changes on disk.
 */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path';
import type { Clock } from '@coffer/base/time/clock';
import type { Kubeconfig, KubeconfigUser } from './kubeconfig.ts';
import { KubeconfigError, mergeKubeconfigs, parseKubeconfig } from './kubeconfig.ts';

export interface Connection {
  /** `https://host:port`, possibly with a path prefix; no slash at the end. */
  readonly server: string;
  readonly tls: TlsMaterial;
  /** Where the client certificate and its key were read; absent for those that stand in the kubeconfig. */
  readonly clientCertificateFiles?: { readonly certificate: string; readonly key: string };
  /** Headers that carry the credentials, asked for with every request. */
  credentials(): Promise<Readonly<Record<string, string | readonly string[]>>>;
  /** The context's namespace. */
  readonly namespace: string | undefined;
}

export interface TlsMaterial {
  /** PEM; undefined means the system's authorities. */
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly key: string | undefined;
  readonly serverName: string | undefined;
  readonly skipVerification: boolean;
}

export interface ConnectionOverrides {
  readonly context?: string;
  readonly cluster?: string;
  readonly user?: string;
  readonly server?: string;
}

const TOKEN_REREAD_MS = 10_000;

/** Loads `path`, or the files of `KUBECONFIG`, or `~/.kube/config`. Missing files count as empty unless named by `path`. */
export function loadKubeconfig(path: string | undefined, environment: NodeJS.ProcessEnv = process.env): Kubeconfig {
  if (path !== undefined) return readKubeconfig(path);
  const listed = (environment.KUBECONFIG ?? '').split(delimiter).filter((file) => file !== '');
  const files = listed.length > 0 ? listed : [join(homedir(), '.kube', 'config')];
  const found: Kubeconfig[] = [];
  for (const file of files) {
    try {
      found.push(readKubeconfig(file));
    } catch (error) {
      if (!(error instanceof KubeconfigError) || (error.cause as NodeJS.ErrnoException | undefined)?.code !== 'ENOENT') throw error;
    }
  }
  return mergeKubeconfigs(found);
}

function readKubeconfig(path: string): Kubeconfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new KubeconfigError(`the kubeconfig ${path} cannot be read`, { cause: error });
  }
  return parseKubeconfig(text, dirname(resolve(path)));
}

/** The connection of a context. Says what is missing or not supported; never falls back to weaker credentials. */
export function resolveConnection(config: Kubeconfig, clock: Clock, overrides: ConnectionOverrides = {}): Connection {
  const contextName = overrides.context ?? config.currentContext;
  const context = config.contexts.find((entry) => entry.name === contextName);
  if (overrides.context !== undefined && context === undefined) throw new KubeconfigError(`context "${overrides.context}" does not exist`);
  const clusterName = overrides.cluster ?? context?.cluster;
  const cluster = config.clusters.find((entry) => entry.name === clusterName);
  const server = overrides.server ?? cluster?.server ?? '';
  if (server === '') {
    throw new KubeconfigError(
      contextName === undefined ? 'the kubeconfig has no current context' : `the context "${contextName}" names no server`,
    );
  }
  const userName = overrides.user ?? context?.user;
  const user = config.users.find((entry) => entry.name === userName);
  if (userName !== undefined && userName !== '' && user === undefined) throw new KubeconfigError(`user "${userName}" does not exist`);
  if (user?.helper !== undefined) {
    throw new KubeconfigError(`user "${user.name}" gets its credentials from a helper program (${user.helper}), which is not supported`);
  }
  if (cluster?.proxyUrl !== undefined)
    throw new KubeconfigError(`cluster "${cluster.name}" is reached through a proxy (proxy-url), which is not supported`);
  return {
    server: server.replace(/\/+$/, ''),
    tls: {
      ca: cluster?.certificateAuthorityData ?? fileText(cluster?.certificateAuthority, cluster?.folder),
      cert: user?.clientCertificateData ?? fileText(user?.clientCertificate, user?.folder),
      key: user?.clientKeyData ?? fileText(user?.clientKey, user?.folder),
      serverName: cluster?.tlsServerName,
      skipVerification: cluster?.insecureSkipTlsVerify ?? false,
    },
    ...clientCertificateFiles(user),
    credentials: credentialsOf(user, clock),
    namespace: context?.namespace,
  };
}

const SERVICE_ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The connection of a process in a pod: service address from the environment, token and CA from the mounted account. */
export function inClusterConnection(
  clock: Clock,
  environment: NodeJS.ProcessEnv = process.env,
  folder = SERVICE_ACCOUNT_FOLDER,
): Connection {
  const host = environment.KUBERNETES_SERVICE_HOST ?? '';
  const port = environment.KUBERNETES_SERVICE_PORT ?? '';
  if (host === '' || port === '') {
    throw new KubeconfigError('not in a cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set');
  }
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    tls: { ca: fileText(join(folder, 'ca.crt'), folder), cert: undefined, key: undefined, serverName: undefined, skipVerification: false },
    credentials: tokenFileCredentials(join(folder, 'token'), clock),
    namespace: fileText(join(folder, 'namespace'), folder)?.trim(),
  };
}

function credentialsOf(user: KubeconfigUser | undefined, clock: Clock): Connection['credentials'] {
  if (user === undefined) return async () => ({});
  const fixed: Record<string, string | readonly string[]> = {};
  if (user.impersonate !== undefined) {
    fixed['impersonate-user'] = user.impersonate.user;
    if (user.impersonate.uid !== undefined) fixed['impersonate-uid'] = user.impersonate.uid;
    if (user.impersonate.groups.length > 0) fixed['impersonate-group'] = user.impersonate.groups;
    for (const [key, values] of Object.entries(user.impersonate.extra)) fixed[`impersonate-extra-${encodeURIComponent(key)}`] = values;
  }
  // As in kubectl a token file wins over a token.
  if (user.tokenFile !== undefined) {
    const fromFile = tokenFileCredentials(inFolder(user.tokenFile, user.folder), clock);
    return async () => ({ ...fixed, ...(await fromFile()) });
  }
  if (user.token !== undefined) fixed.authorization = `Bearer ${user.token}`;
  else if (user.username !== undefined)
    fixed.authorization = `Basic ${Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')}`;
  return async () => fixed;
}

function tokenFileCredentials(path: string, clock: Clock): Connection['credentials'] {
  let known: { readonly header: string; readonly readAtMs: number } | undefined;
  return async () => {
    if (known === undefined || clock.monotonicMs() - known.readAtMs > TOKEN_REREAD_MS) {
      try {
        known = { header: `Bearer ${(await readFile(path, 'utf8')).trim()}`, readAtMs: clock.monotonicMs() };
      } catch (error) {
        // A token that is being replaced is missing for a moment: the last one may still be valid.
        if (known === undefined) throw new KubeconfigError(`the token file ${path} cannot be read`, { cause: error });
      }
    }
    return { authorization: known.header };
  };
}

/** As in kubectl what stands in the kubeconfig wins over a file. */
function clientCertificateFiles(user: KubeconfigUser | undefined): Pick<Connection, 'clientCertificateFiles'> {
  const { clientCertificate, clientKey } = user ?? {};
  const isInline = user?.clientCertificateData !== undefined || user?.clientKeyData !== undefined;
  if (user === undefined || clientCertificate === undefined || clientKey === undefined || isInline) return {};
  return { clientCertificateFiles: { certificate: inFolder(clientCertificate, user.folder), key: inFolder(clientKey, user.folder) } };
}

function fileText(path: string | undefined, folder: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const file = inFolder(path, folder ?? '.');
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new KubeconfigError(`the file ${file} that the kubeconfig names cannot be read`, { cause: error });
  }
}

function inFolder(path: string, folder: string): string {
  return isAbsolute(path) ? path : join(folder, path);
}
