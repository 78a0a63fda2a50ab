import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import type { Transport } from '@coffer/client/transport/transport';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import type { ApiServerAddresses } from '@coffer/kubelet/env/watched-services';
import type { ImageCollectionPolicy } from '@coffer/kubelet/images/image-collector';
import { type Kubelet, startKubelet } from '@coffer/kubelet/kubelet';
import type { NodeFlags } from '../config/node-flags.ts';

/** Time for pods to end when the node is stopped. */
export const drainGraceMs = 5_000;

export interface NodeOptions {
  readonly flags: NodeFlags;
  readonly rootDir: string;
  readonly runtime: ContainerRuntime;
  /** Reaches the API as `system:node:<nodeName>`. */
  readonly transport: Transport;
  readonly logger: Logger;
  /** What containers are told of the API server instead of the cluster IP. */
  readonly apiServer: ApiServerAddresses;
  /** Port of the kubelet's own, which somebody opens; absent where the API server is in this process. */
  readonly kubeletPort?: number | undefined;
  /** Addresses of the node; absent: found from the machine. */
  readonly nodeIps?: readonly string[];
}

/** The kubelet and the runtime under it. */
export interface RunningNode {
  readonly kubelet: Kubelet;
  /** What the node is and what it cannot do here, for the ready line. */
  readonly summary: string;
  close(): Promise<void>;
}

/** Starts the kubelet on its runtime; resolves when the node is registered. */
export async function startNode(options: NodeOptions, signal: AbortSignal): Promise<RunningNode> {
  const { flags, rootDir, runtime, transport, logger, apiServer } = options;
  const { nodeName, maxPods, allowedUnsafeSysctls, syncFrequency: syncFrequencyMs, evictionHard, podManifestPath: staticPodDir } = flags;
  const { kubeletPort, nodeIps = [] } = options;
  const kubeletOptions = {
    maxPods,
    allowedUnsafeSysctls,
    syncFrequencyMs,
    evictionHard,
    staticPodDir,
    apiServer,
    kubeletPort,
    nodeIps,
    imageCollection: imageCollectionPolicy(flags),
  };
  const kubelet = await startKubelet(
    { nodeName, transport, runtime, rootDir, clock: systemClock, logger, options: kubeletOptions },
    signal,
  );
  const { name } = await runtime.version();
  const { limitations } = await runtime.status();
  const summary = `node ${nodeName} on ${name}${limitations.length > 0 ? ` (${limitations.join('; ')})` : ''}`;
  return {
    kubelet,
    summary,
    async close() {
      await kubelet.done;
      await runtime.close();
    },
  };
}

function imageCollectionPolicy(flags: NodeFlags): ImageCollectionPolicy {
  const { imageGcHighThreshold, imageGcLowThreshold, minimumImageTtlDuration } = flags;
  if (imageGcLowThreshold >= imageGcHighThreshold) {
    throw new Error('--image-gc-low-threshold must be lower than --image-gc-high-threshold');
  }
  return { highThresholdPercent: imageGcHighThreshold, lowThresholdPercent: imageGcLowThreshold, minAgeMs: minimumImageTtlDuration };
}
