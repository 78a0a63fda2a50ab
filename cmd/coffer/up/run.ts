import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { NodeApi } from '@coffer/api/node/node-api';
import { loadOrCreateClusterKeys } from '@coffer/apiserver/pki/cluster-keys';
import { HttpsListener } from '@coffer/apiserver/server/https-listener';
import { makePrivateDirectory } from '@coffer/base/files/atomic-file';
import { createPinoLogger } from '@coffer/base/log/pino-logger';
import { systemClock } from '@coffer/base/time/clock';
import { hardenProcess } from '../config/harden-process.ts';
import { writeKubeconfig } from '../config/kubeconfig.ts';
import { type DataPaths, dataPaths } from '../config/paths.ts';
import { removePidFile, writePidFile } from '../config/pid-file.ts';
import { wireControlPlane } from '../wire/control-plane.ts';
import { openEncryption } from '../wire/encryption.ts';
import { startLoops } from '../wire/loops.ts';
import { startNode } from '../wire/node.ts';
import { openStore } from '../wire/store.ts';
import type { UpFlags } from './command.ts';

const drainGraceMs = 5_000;
const closeGraceMs = 5_000;

/**
 * `coffer up`: store → API server → listener → loops → node, in one process; then waits for a signal. SIGTERM leaves pods
 * running; SIGINT (Ctrl-C) and `coffer down` (SIGUSR2) stop them first, unless `--keep`.
 */
export async function runUp(flags: UpFlags): Promise<void> {
  hardenProcess();
  const logger = createPinoLogger({ level: flags.logLevel });
  const paths = dataPaths(flags.dataDir);
  await makePrivateDirectory(paths.root);
  const stopping = new AbortController();
  const fatal = (error: Error) => {
    logger.error('the server cannot go on', { err: error });
    process.exitCode = 1;
    stopping.abort();
  };

  const encryption = await openEncryption(flags, paths, logger);
  const [store, keys] = await Promise.all([
    openStore(flags, paths, encryption, logger),
    loadOrCreateClusterKeys({ directory: paths.keys, serverNames: serverNames(flags), clock: systemClock }),
  ]);
  let node: Awaited<ReturnType<typeof startNode>> = { unavailable: 'starting' };
  const nodeApiFor = (name: string): NodeApi | undefined =>
    name === flags.nodeName && 'kubelet' in node ? node.kubelet.nodeApi : undefined;
  const controlPlane = await wireControlPlane({
    ...controlPlaneOptions(flags),
    storage: store.storage,
    keys,
    onLoaded: () => encryption.accept(store),
    healthChecks: encryption.healthChecks,
    registerMetrics: (registry) => encryption.reloads.register(registry),
    clock: systemClock,
    logger,
    nodeApiFor,
    onFatal: fatal,
  });
  const listener = new HttpsListener({
    handler: controlPlane.handler,
    logger,
    tls: {
      keyPem: keys.serving.keyPem,
      certificatePem: keys.serving.certificatePem,
      clientAuthoritiesPem: [keys.authority.certificatePem, ...(flags.clientCaFile ? [await readFile(flags.clientCaFile, 'utf8')] : [])],
    },
  });
  const address = await listener.listen(flags.bindAddress, flags.securePort);
  const url = `https://${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
  await Promise.all([writeKubeconfig(paths.kubeconfig, url, keys.authority.certificatePem, keys.admin), writePidFile(paths.pidFile)]);

  const loops = startLoops(
    { handler: controlPlane.handler, keys, tokenIssuer: controlPlane.tokenIssuer, clock: systemClock, logger },
    stopping.signal,
  );
  node = await startNode(flags, paths, controlPlane.handler, logger, stopping.signal);
  printReady(url, paths, encryption.summary, node, process.uptime() * 1000);

  const ending = await waitForSignal(flags, stopping.signal);
  if (ending === 'stop-pods' && 'kubelet' in node) await node.kubelet.drainAndStop({ graceMs: drainGraceMs });
  stopping.abort();
  await loops.stopped;
  if ('kubelet' in node) await node.close();
  await listener.close(closeGraceMs);
  await controlPlane.close();
  await store.storage.close();
  await encryption.close();
  await removePidFile(paths.pidFile);
  process.exit();
}

function controlPlaneOptions(flags: UpFlags) {
  return {
    access: flags,
    maxRequestsInflight: flags.maxRequestsInflight,
    maxMutatingRequestsInflight: flags.maxMutatingRequestsInflight,
    requestTimeoutMs: flags.requestTimeout,
    serverAddress: `${flags.bindAddress}:${flags.securePort}`,
  };
}

/** Names the serving certificate covers. */
function serverNames(flags: UpFlags): string[] {
  const service = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local', '10.96.0.1'];
  const names = new Set(['localhost', '127.0.0.1', '::1', hostname().toLowerCase(), ...service]);
  if (flags.bindAddress !== '0.0.0.0' && flags.bindAddress !== '::') names.add(flags.bindAddress);
  return [...names];
}

function printReady(
  url: string,
  paths: DataPaths,
  encryption: string,
  node: Awaited<ReturnType<typeof startNode>>,
  elapsedMs: number,
): void {
  const nodeText = 'kubelet' in node ? node.summary : `no node: ${node.unavailable}`;
  process.stdout.write(`coffer is ready in ${Math.round(elapsedMs)} ms: ${url}, ${nodeText}\n`);
  process.stdout.write(`${encryption}\n`);
  process.stdout.write(`next: export KUBECONFIG=${paths.kubeconfig}; kubectl get namespaces\n`);
}

/** Resolves when the process is to end: `stop-pods` for Ctrl-C and `coffer down`, `leave-pods` for SIGTERM. */
function waitForSignal(flags: UpFlags, fatal: AbortSignal): Promise<'stop-pods' | 'leave-pods'> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('leave-pods'));
    process.once('SIGHUP', () => resolve('leave-pods'));
    process.once('SIGUSR2', () => resolve('stop-pods'));
    process.once('SIGINT', () => {
      if (!flags.keep) process.stdout.write('stopping pods …\n');
      resolve(flags.keep ? 'leave-pods' : 'stop-pods');
    });
    if (fatal.aborted) resolve('leave-pods');
    fatal.addEventListener('abort', () => resolve('leave-pods'), { once: true });
  });
}
