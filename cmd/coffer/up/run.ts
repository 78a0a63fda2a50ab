import type { NodeApi } from '@coffer/api/node/node-api';
import { loadOrCreateClusterKeys } from '@coffer/apiserver/pki/cluster-keys';
import { storageEndpoints } from '@coffer/apiserver/server/storage-endpoints';
import { makePrivateDirectory } from '@coffer/base/files/atomic-file';
import { createPinoLogger } from '@coffer/base/log/pino-logger';
import { systemClock } from '@coffer/base/time/clock';
import { inProcessTransport } from '@coffer/client/transport/in-process';
import { hardenProcess } from '../config/harden-process.ts';
import { writeKubeconfig } from '../config/kubeconfig.ts';
import { type DataPaths, dataPaths } from '../config/paths.ts';
import { removePidFile, writePidFile } from '../config/pid-file.ts';
import { wireControlPlane } from '../wire/control-plane.ts';
import { openEncryption } from '../wire/encryption.ts';
import { openFront, serverNames } from '../wire/front.ts';
import { startLoops } from '../wire/loops.ts';
import { type RunningNode, startNode } from '../wire/node.ts';
import { openRuntime } from '../wire/runtime.ts';
import { wireStorageAdmin } from '../wire/storage-admin.ts';
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
  const [store, chosen] = await Promise.all([openStore(flags, paths, encryption, logger), openRuntime(flags, paths, logger)]);
  const podGateway = 'runtime' in chosen ? chosen.podGateway : undefined;
  const keys = await loadOrCreateClusterKeys({
    directory: paths.keys,
    serverNames: serverNames(flags.bindAddress, podGateway),
    clock: systemClock,
  });
  const storageAdmin = wireStorageAdmin(encryption, store, paths);
  let node: RunningNode | undefined;
  const nodeApiFor = (name: string): NodeApi | undefined => (name === flags.nodeName ? node?.kubelet.nodeApi : undefined);
  const controlPlane = await wireControlPlane({
    ...controlPlaneOptions(flags),
    storage: store.storage,
    keys,
    onLoaded: () => encryption.accept(store),
    healthChecks: encryption.healthChecks,
    endpoints: [storageEndpoints(storageAdmin)],
    registerMetrics: (registry) => encryption.reloads.register(registry),
    clock: systemClock,
    logger,
    nodeApiFor,
    onFatal: fatal,
  });
  const front = await openFront({ ...flags, podGateway }, controlPlane.handler, keys, logger);
  await Promise.all([writeKubeconfig(paths.kubeconfig, front.url, keys.authority.certificatePem, keys.admin), writePidFile(paths.pidFile)]);
  await controlPlane.publishApiService(front.advertised);

  const loops = startLoops(
    { handler: controlPlane.handler, keys, tokenIssuer: controlPlane.tokenIssuer, clock: systemClock, logger },
    stopping.signal,
  );
  if ('runtime' in chosen) {
    const identity = { name: `system:node:${flags.nodeName}`, groups: ['system:nodes', 'system:authenticated'] };
    const transport = inProcessTransport({ handler: controlPlane.handler, identity, userAgent: 'kubelet/v1.36.0' });
    const apiServer = chosen.sharesNetwork ? front.local : front.advertised;
    const kubelet = { maxPods: flags.maxPods, syncFrequencyMs: flags.syncFrequency, apiServer };
    const { runtime } = chosen;
    node = await startNode({ nodeName: flags.nodeName, rootDir: paths.kubelet, runtime, transport, logger, kubelet }, stopping.signal);
  }
  const nodeSummary = node?.summary ?? `no node: ${'unavailable' in chosen ? chosen.unavailable : ''}`;
  printReady(front.url, paths, encryption.summary, nodeSummary, process.uptime() * 1000);

  const ending = await waitForSignal(flags, stopping.signal);
  if (ending === 'stop-pods') await node?.kubelet.drainAndStop({ graceMs: drainGraceMs });
  stopping.abort();
  await loops.stopped;
  await node?.close();
  await front.close(closeGraceMs);
  await storageAdmin.close();
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

function printReady(url: string, paths: DataPaths, encryption: string, node: string, elapsedMs: number): void {
  process.stdout.write(`coffer is ready in ${Math.round(elapsedMs)} ms: ${url}, ${node}\n`);
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
