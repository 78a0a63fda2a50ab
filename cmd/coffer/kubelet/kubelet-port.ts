import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { followFile } from '@coffer/base/files/followed-file';
import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import type { Connection } from '@coffer/client/kubeconfig/connection';
import { ApiClient } from '@coffer/client/rest/api-client';
import { NODES } from '@coffer/client/rest/well-known';
import type { Transport } from '@coffer/client/transport/transport';
import type { NodeCertificate } from '@coffer/kubelet/certificates/request-certificate';
import type { Kubelet } from '@coffer/kubelet/kubelet';
import { createKubeletServer, type KubeletServer } from '@coffer/kubelet/server/kubelet-server';
import { type DataPaths, nodeCertificates } from '../config/paths.ts';
import type { KubeletFlags } from './command.ts';

export interface KubeletPort {
  close(): Promise<void>;
}

/** Opens the kubelet's own port as soon as it has a serving certificate: the one of the flags, or one it asks the cluster for. */
export async function openKubeletPort(
  flags: KubeletFlags,
  paths: DataPaths,
  connection: Connection,
  transport: Transport,
  kubelet: Kubelet,
  logger: Logger,
): Promise<KubeletPort> {
  const authority = flags.clientCaFile ? await readFile(flags.clientCaFile, 'utf8') : connection.tls.ca;
  if (authority === undefined) {
    throw new Error('the kubelet’s port needs --client-ca-file: the kubeconfig names no authority (--port 0 opens no port)');
  }
  let clientAuthorityPem = authority;
  const api = new ApiClient({ transport, clock: systemClock });
  let server: KubeletServer | undefined;
  let current: NodeCertificate | undefined;
  const use = async (certificate: NodeCertificate) => {
    current = certificate;
    const tls = { ...certificate, clientAuthorityPem };
    if (server) {
      server.replaceTls(tls);
      return;
    }
    const { nodeApi } = kubelet;
    const { nodeName } = flags;
    const pages = { pods: () => kubelet.pods(), runningPods: () => kubelet.runningPods() };
    const opened = createKubeletServer({ nodeApi, ...pages, nodeName, api, tls, clock: systemClock, logger });
    await opened.listen(flags.address, flags.port);
    server = opened;
  };
  const stopping = new AbortController();
  const follow = (file: string, known: string, used: (text: string) => Promise<void>) => {
    void followFile({ file, clock: systemClock, logger, use: used }, known, stopping.signal);
  };
  if (flags.clientCaFile) {
    follow(flags.clientCaFile, authority, async (text) => {
      new X509Certificate(text); // throws for what is none
      clientAuthorityPem = text;
      if (current) await use(current);
    });
  }
  let kept = Promise.resolve();
  if (flags.tlsCertFile || flags.tlsPrivateKeyFile) {
    const { tlsCertFile, tlsPrivateKeyFile } = flags;
    if (!tlsCertFile || !tlsPrivateKeyFile) throw new Error('--tls-cert-file and --tls-private-key-file go together');
    const first = await readPair(tlsCertFile, tlsPrivateKeyFile);
    await use(first);
    const useFiles = async () => use(await readPair(tlsCertFile, tlsPrivateKeyFile));
    follow(tlsCertFile, first.certificatePem, useFiles);
    follow(tlsPrivateKeyFile, first.keyPem, useFiles);
  } else {
    const [{ keepCertificate }, { servingCertificateFiles }] = await Promise.all([
      import('@coffer/kubelet/certificates/keep-certificate'),
      import('@coffer/kubelet/certificates/certificate-files'),
    ]);
    const { nodeName } = flags;
    const { status } = await api.resource(NODES).get(nodeName);
    const names = [...new Set((status?.addresses ?? []).map(({ address }) => address))];
    const files = servingCertificateFiles(nodeCertificates(paths), names, systemClock);
    const onWaiting = (request: string) => {
      process.stdout.write(`the kubelet's port opens when its certificate is approved: kubectl certificate approve ${request}\n`);
    };
    const ask = { signerName: 'kubernetes.io/kubelet-serving', usage: 'server auth', nodeName, names } as const;
    kept = keepCertificate({ api, files, clock: systemClock, logger, onWaiting }, ask, use, stopping.signal);
  }
  return {
    async close() {
      stopping.abort(new Error('the kubelet ends'));
      await kept;
      await server?.close();
    },
  };
}

/** Throws when the two do not belong together. */
async function readPair(certificateFile: string, keyFile: string): Promise<NodeCertificate> {
  const [certificatePem, keyPem] = await Promise.all([readFile(certificateFile, 'utf8'), readFile(keyFile, 'utf8')]);
  createSecureContext({ key: keyPem, cert: certificatePem });
  return { keyPem, certificatePem };
}
