import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import type { Transport } from '@coffer/client/transport/transport';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { type Kubelet, startKubelet } from '@coffer/kubelet/kubelet';
import type { KubeletOptions } from '@coffer/kubelet/options';

export interface NodeOptions {
  readonly nodeName: string;
  readonly rootDir: string;
  readonly runtime: ContainerRuntime;
  /** Reaches the API as `system:node:<nodeName>`. */
  readonly transport: Transport;
  readonly logger: Logger;
  readonly kubelet: Partial<KubeletOptions>;
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
  const { nodeName, rootDir, runtime, transport, logger } = options;
  const kubelet = await startKubelet(
    { nodeName, transport, runtime, rootDir, clock: systemClock, logger, options: options.kubelet },
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
