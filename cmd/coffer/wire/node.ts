import { existsSync } from 'node:fs';
import type { Handler } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { inProcessTransport } from '@coffer/client/transport/in-process';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { type Kubelet, startKubelet } from '@coffer/kubelet/kubelet';
import { build } from '../build-info.ts';
import type { DataPaths } from '../config/paths.ts';
import type { UpFlags } from '../up/command.ts';

/** The kubelet and the runtime under it. */
export interface RunningNode {
  readonly kubelet: Kubelet;
  /** What the node is and what it cannot do here, for the ready line. */
  readonly summary: string;
  close(): Promise<void>;
}

const criSockets = ['/run/containerd/containerd.sock', '/run/crio/crio.sock'];

/** Starts the node of `coffer up`. A machine that cannot run containers still gets a control plane: then `unavailable` says why. */
export async function startNode(
  flags: UpFlags,
  paths: DataPaths,
  handler: Handler,
  logger: Logger,
  signal: AbortSignal,
): Promise<RunningNode | { readonly unavailable: string }> {
  if (flags.runtime === 'none') return { unavailable: '--runtime none' };
  const chosen = await chooseRuntime(flags, paths, logger);
  if (!('runtime' in chosen)) return chosen;
  const { runtime } = chosen;
  const identity = { name: `system:node:${flags.nodeName}`, groups: ['system:nodes', 'system:authenticated'] };
  const kubelet = await startKubelet(
    {
      nodeName: flags.nodeName,
      transport: inProcessTransport({ handler, identity, userAgent: 'kubelet/v1.36.0' }),
      runtime,
      rootDir: paths.kubelet,
      clock: systemClock,
      logger,
      options: { maxPods: flags.maxPods, syncFrequencyMs: flags.syncFrequency },
    },
    signal,
  );
  const { name } = await runtime.version();
  const { limitations } = await runtime.status();
  const summary = `node ${flags.nodeName} on ${name}${limitations.length > 0 ? ` (${limitations.join('; ')})` : ''}`;
  return {
    kubelet,
    summary,
    async close() {
      await kubelet.done;
      await runtime.close();
    },
  };
}

async function chooseRuntime(
  flags: UpFlags,
  paths: DataPaths,
  logger: Logger,
): Promise<{ readonly runtime: ContainerRuntime } | { readonly unavailable: string }> {
  const endpoint = flags.containerRuntimeEndpoint ?? criSockets.find((socket) => existsSync(socket));
  if (flags.runtime === 'cri' || (flags.runtime === 'auto' && flags.containerRuntimeEndpoint !== undefined)) {
    if (endpoint === undefined)
      throw new Error(`--runtime cri: no socket given with --container-runtime-endpoint, and none at ${criSockets.join(' or ')}`);
    return { runtime: await connect(endpoint, logger) };
  }
  if (flags.runtime === 'auto' && endpoint !== undefined) {
    const usable = await usableRuntime(endpoint, logger);
    if (usable) return { runtime: usable };
  }
  try {
    return { runtime: await sandbox(paths, logger) };
  } catch (error) {
    if (flags.runtime === 'sandbox') throw new Error('the sandbox runtime cannot run here', { cause: error });
    return { unavailable: `the sandbox runtime cannot run here: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** `auto` takes a container engine only when it answers and says that it is ready. */
async function usableRuntime(endpoint: string, logger: Logger): Promise<ContainerRuntime | undefined> {
  try {
    const runtime = await connect(endpoint, logger);
    if ((await runtime.status()).ready) return runtime;
    await runtime.close();
  } catch (error) {
    logger.info('the container engine is not usable, taking the sandbox runtime', { err: error, endpoint });
  }
  return undefined;
}

async function connect(endpoint: string, logger: Logger): Promise<ContainerRuntime> {
  const { connectRemoteRuntime } = await import('@coffer/cri/remote/remote-runtime');
  return connectRemoteRuntime(endpoint, { clock: systemClock, logger });
}

async function sandbox(paths: DataPaths, logger: Logger): Promise<ContainerRuntime> {
  if (process.platform !== 'linux') throw new Error('it needs Linux namespaces');
  const { createSandboxRuntime } = await import('@coffer/cri/sandbox/sandbox-runtime');
  return createSandboxRuntime({
    stateDir: paths.runtime,
    maskedPaths: [paths.root],
    clock: systemClock,
    logger,
    version: build.version,
    network: {},
  });
}
