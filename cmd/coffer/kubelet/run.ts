import { makePrivateDirectory } from '@coffer/base/files/atomic-file';
import { createPinoLogger } from '@coffer/base/log/pino-logger';
import type { ApiServerAddresses } from '@coffer/kubelet/env/watched-services';
import { hardenProcess } from '../config/harden-process.ts';
import { dataPaths, nodeCertificates } from '../config/paths.ts';
import { removePidFile, writePidFile } from '../config/pid-file.ts';
import { startedBefore, waitForSignal } from '../config/wait-for-signal.ts';
import { isLoopback } from '../wire/api-service.ts';
import { drainGraceMs, startNode } from '../wire/node.ts';
import { openRuntime } from '../wire/runtime.ts';
import type { KubeletFlags } from './command.ts';
import { joinCluster } from './join.ts';
import { openKubeletPort } from './kubelet-port.ts';

/** `coffer kubelet`: a node of the cluster that the kubeconfig names. It ends as `coffer up` does: SIGTERM leaves pods running. */
export async function runKubelet(flags: KubeletFlags): Promise<void> {
  hardenProcess();
  const logger = createPinoLogger({ level: flags.logLevel });
  const paths = dataPaths(flags.dataDir);
  await makePrivateDirectory(paths.root);
  const chosen = await openRuntime(flags, paths, logger);
  if ('unavailable' in chosen) throw new Error(`a kubelet needs a runtime: ${chosen.unavailable}`);
  const stopping = new AbortController();
  const ended = waitForSignal(flags.keep, stopping.signal);
  const { kubeconfig, bootstrapKubeconfig, nodeName } = flags;
  const joining = joinCluster(
    { kubeconfig, ...(bootstrapKubeconfig ? { bootstrapKubeconfig } : {}), nodeName, directory: nodeCertificates(paths), logger },
    stopping.signal,
  );
  const joined = await Promise.race([joining, ended.then(() => undefined)]);
  if (!joined) process.exit();
  const { connection, transport } = joined;
  const apiServer = reachableFromPods(connection.server, chosen.sharesNetwork);
  const kubeletPort = flags.port === 0 ? undefined : flags.port;
  const starting = startNode(
    { flags, rootDir: paths.kubelet, runtime: chosen.runtime, transport, logger, apiServer, kubeletPort, nodeIps: flags.nodeIp },
    stopping.signal,
  );
  const node = await startedBefore(ended, starting);
  if (!node) process.exit();
  const port = kubeletPort === undefined ? undefined : await openKubeletPort(flags, paths, connection, transport, node.kubelet, logger);
  await writePidFile(paths.pidFile);
  process.stdout.write(`coffer kubelet is ready: ${connection.server}, ${node.summary}\n`);

  const ending = await ended;
  if (ending === 'stop-pods') {
    process.stdout.write('stopping pods …\n');
    await node.kubelet.drainAndStop({ graceMs: drainGraceMs });
  }
  stopping.abort();
  await port?.close();
  await node.close();
  await joined.done;
  transport.close();
  await removePidFile(paths.pidFile);
  process.exit();
}

/** A loopback address is another machine for a pod with a network of its own: such pods get the cluster IP. */
function reachableFromPods(server: string, sharesNetwork: boolean): ApiServerAddresses {
  const { hostname, port } = new URL(server);
  const address = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 443) };
  return { onHostNetwork: address, inPodNetworks: isLoopback(address.host) && !sharesNetwork ? undefined : address };
}
