import { X509Certificate } from 'node:crypto';
import path from 'node:path';
import { writeFileAtomic } from '@coffer/base/files/atomic-file';
import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import type { Connection } from '@coffer/client/kubeconfig/connection';
import { ApiClient } from '@coffer/client/rest/api-client';
import type { Transport } from '@coffer/client/transport/transport';
import type { CertificateAsk } from '@coffer/kubelet/certificates/request-certificate';
import { connectionOf, remoteTransport } from '../wire/remote-transport.ts';

export interface JoinOptions {
  /** The node's own credentials; written when there are none that can be used. */
  readonly kubeconfig: string;
  /** Credentials that may ask for those of the node. */
  readonly bootstrapKubeconfig?: string;
  readonly nodeName: string;
  /** Where the client certificate is kept. */
  readonly directory: string;
  readonly logger: Logger;
}

/** The way of a node to its API server. */
export interface JoinedNode {
  readonly connection: Connection;
  readonly transport: Transport;
  /** Resolves when the certificate is not renewed any more, after `signal` was aborted. */
  readonly done: Promise<void>;
}

const userAgent = 'kubelet/v1.36.0';

/**
 * Connects as the node: with the kubeconfig, or, when that has no client certificate that is still valid, with the bootstrap
 * credentials first, which ask for a client certificate; then the kubeconfig is written. A certificate that was asked for in this way is
 * renewed before it expires, and connections that are made after that use the new one. Undefined when `signal` was aborted first.
 */
export async function joinCluster(options: JoinOptions, signal: AbortSignal): Promise<JoinedNode | undefined> {
  const { kubeconfig, bootstrapKubeconfig, nodeName, directory } = options;
  const { clientCertificateFile } = await import('@coffer/kubelet/certificates/certificate-files');
  if (bootstrapKubeconfig !== undefined && !hasValidCertificate(kubeconfig)) {
    const bootstrap = connectionOf(bootstrapKubeconfig);
    if (!(await obtainCertificate(options, bootstrap, signal))) return undefined;
    await writeNodeKubeconfig(kubeconfig, bootstrap, clientCertificateFile(directory));
  }
  const connection = connectionOf(kubeconfig);
  const transport = remoteTransport(connection, userAgent, options.logger);
  if (connection.clientCertificateFiles?.certificate !== clientCertificateFile(directory)) {
    return { connection, transport, done: Promise.resolve() };
  }
  const { keepCertificate } = await import('@coffer/kubelet/certificates/keep-certificate');
  // The transport follows the file that the certificate is written to.
  const use = () => undefined;
  return { connection, transport, done: keepCertificate(await keeperDeps(options, transport), clientAsk(nodeName), use, signal) };
}

function hasValidCertificate(kubeconfig: string): boolean {
  try {
    const { cert } = connectionOf(kubeconfig).tls;
    return cert !== undefined && systemClock.now() < Date.parse(new X509Certificate(cert).validTo);
  } catch {
    return false; // none yet, or one that cannot be read: it is written anew
  }
}

/** True when there is a certificate in the directory. One of an earlier start, which ended before the kubeconfig was written, will do. */
async function obtainCertificate(options: JoinOptions, bootstrap: Connection, signal: AbortSignal): Promise<boolean> {
  const transport = remoteTransport(bootstrap, userAgent, options.logger);
  try {
    const keeper = await keeperDeps(options, transport);
    if (await keeper.files.read()) return true;
    const { firstCertificate } = await import('@coffer/kubelet/certificates/keep-certificate');
    return (await firstCertificate(keeper, clientAsk(options.nodeName), signal)) !== undefined;
  } finally {
    transport.close();
  }
}

async function keeperDeps({ directory, nodeName, logger }: JoinOptions, transport: Transport) {
  const { clientCertificateFiles } = await import('@coffer/kubelet/certificates/certificate-files');
  return {
    api: new ApiClient({ transport, clock: systemClock }),
    clock: systemClock,
    logger,
    files: clientCertificateFiles(directory, nodeName, systemClock),
    onWaiting: (request: string) => logger.info('the kubelet waits for its client certificate', { request }),
  };
}

function clientAsk(nodeName: string): CertificateAsk {
  return { signerName: 'kubernetes.io/kube-apiserver-client-kubelet', usage: 'client auth', nodeName, names: [] };
}

/** Names and layout are those the kubelet of Kubernetes writes, so that its tools read it. JSON is YAML. */
async function writeNodeKubeconfig(file: string, { server, tls }: Connection, certificateFile: string): Promise<void> {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'default-cluster',
        cluster: {
          server,
          ...(tls.ca === undefined ? {} : { 'certificate-authority-data': base64(tls.ca) }),
          ...(tls.serverName === undefined ? {} : { 'tls-server-name': tls.serverName }),
          ...(tls.skipVerification ? { 'insecure-skip-tls-verify': true } : {}),
        },
      },
    ],
    users: [{ name: 'default-auth', user: { 'client-certificate': certificateFile, 'client-key': certificateFile } }],
    contexts: [{ name: 'default-context', context: { cluster: 'default-cluster', namespace: 'default', user: 'default-auth' } }],
    'current-context': 'default-context',
  };
  await writeFileAtomic(path.resolve(file), `${JSON.stringify(config, undefined, 2)}\n`);
}
