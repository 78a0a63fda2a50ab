import { makePrivateDirectory } from '@coffer/base/files/atomic-file';
import { createPinoLogger } from '@coffer/base/log/pino-logger';
import { systemClock } from '@coffer/base/time/clock';
import { TurnGate } from '@coffer/base/time/turn-gate';
import { inProcessTransport } from '@coffer/client/transport/in-process';
import { hardenProcess } from '../config/harden-process.ts';
import { dataPaths } from '../config/paths.ts';
import { removePidFile, writePidFile } from '../config/pid-file.ts';
import { startedBefore, stopOnFatal, waitForSignal } from '../config/wait-for-signal.ts';
import { startLoops } from '../wire/loops.ts';
import { drainGraceMs, type RunningNode, startNode } from '../wire/node.ts';
import { openRuntime } from '../wire/runtime.ts';
import { closeGraceMs, startServer } from '../wire/server.ts';
import type { UpFlags } from './command.ts';

/**
 * `coffer up`: store → API server → listener → loops → node, in one process; then waits for a signal. Requests for pods of the node
 * that come before it has started wait for it. SIGTERM leaves pods
 * running; SIGINT (Ctrl-C) and `coffer down` (SIGUSR2) stop them first, unless `--keep`.
 */
export async function runUp(flags: UpFlags): Promise<void> {
  hardenProcess();
  const logger = createPinoLogger({ level: flags.logLevel });
  const paths = dataPaths(flags.dataDir);
  await makePrivateDirectory(paths.root);
  const stopping = new AbortController();
  let node: RunningNode | undefined;
  let settled: (node: RunningNode | undefined) => void = () => {};
  const ownNode = new Promise<RunningNode | undefined>((resolve) => {
    settled = resolve;
  });
  const ended = waitForSignal(flags.keep, stopping.signal);
  const opening = openRuntime(flags, paths, logger);
  const starting = startServer(flags, {
    paths,
    logger,
    podGateway: opening.then((chosen) => ('runtime' in chosen ? chosen.podGateway : undefined)),
    nodeApiFor: async (name) => (name === flags.nodeName ? (await ownNode)?.kubelet.nodeApi : undefined),
    onFatal: stopOnFatal(stopping, logger),
  });
  const server = await startedBefore(ended, starting);
  if (!server) process.exit();
  await writePidFile(paths.pidFile);
  const { controlPlane, front, keys } = server;
  const { handler, tokenIssuer } = controlPlane;
  const turns = new TurnGate(systemClock);
  const loops = startLoops({ handler, keys, tokenIssuer, clock: systemClock, logger, turns }, stopping.signal);
  const chosen = await opening;
  if ('runtime' in chosen) {
    const identity = { name: `system:node:${flags.nodeName}`, groups: ['system:nodes', 'system:authenticated'] };
    const transport = inProcessTransport({ handler, identity, userAgent: 'kubelet/v1.36.0', turns });
    const apiServer = chosen.sharesNetwork
      ? { onHostNetwork: front.local, inPodNetworks: front.local }
      : { onHostNetwork: front.advertised ?? front.local, inPodNetworks: front.forPods };
    node = await startNode({ flags, rootDir: paths.kubelet, runtime: chosen.runtime, transport, logger, apiServer }, stopping.signal);
  }
  settled(node);
  const nodeSummary = node?.summary ?? `no node: ${'unavailable' in chosen ? chosen.unavailable : ''}`;
  process.stdout.write(`coffer is ready in ${Math.round(process.uptime() * 1000)} ms: ${front.url}, ${nodeSummary}\n`);
  process.stdout.write(`${server.encryptionSummary}\n`);
  process.stdout.write(`next: export KUBECONFIG=${paths.kubeconfig}; kubectl get namespaces\n`);

  const ending = await ended;
  if (ending === 'stop-pods' && node) {
    process.stdout.write('stopping pods …\n');
    await node.kubelet.drainAndStop({ graceMs: drainGraceMs });
  }
  stopping.abort();
  await loops.stopped;
  await node?.close();
  await server.close(closeGraceMs);
  await removePidFile(paths.pidFile);
  process.exit();
}
