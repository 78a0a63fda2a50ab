import { existsSync } from 'node:fs';
import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { build } from '../build-info.ts';
import type { NodeFlags } from '../config/node-flags.ts';

export interface RuntimePaths {
  /** Everything below is hidden from containers. */
  readonly root: string;
  readonly runtime: string;
}

/** How pods reach this machine. */
export interface PodGateway {
  readonly address: string;
  /** True for an address of this machine; false for one that only pods know, and that leads to the loopback of this machine. */
  readonly onMachine: boolean;
}

/** The runtime under a node. */
export interface ChosenRuntime {
  readonly runtime: ContainerRuntime;
  /** Where pods with a network of their own reach this machine; undefined where they do not, share its network, or the runtime makes one. */
  readonly podGateway: PodGateway | undefined;
  /** True when pods have the network of this machine, so that they reach what it reaches. */
  readonly sharesNetwork: boolean;
}

const criSockets = ['/run/containerd/containerd.sock', '/run/crio/crio.sock'];

/** Opens the runtime the flags ask for. A machine that cannot run containers is no error with `auto`: then `unavailable` says why. */
export async function openRuntime(
  flags: NodeFlags,
  paths: RuntimePaths,
  logger: Logger,
): Promise<ChosenRuntime | { readonly unavailable: string }> {
  if (flags.runtime === 'none') return { unavailable: '--runtime none' };
  const endpoint = flags.containerRuntimeEndpoint ?? criSockets.find((socket) => existsSync(socket));
  if (flags.runtime === 'cri' || (flags.runtime === 'auto' && flags.containerRuntimeEndpoint !== undefined)) {
    if (endpoint === undefined)
      throw new Error(`--runtime cri: no socket given with --container-runtime-endpoint, and none at ${criSockets.join(' or ')}`);
    return remote(await connect(endpoint, logger));
  }
  if (flags.runtime === 'auto' && endpoint !== undefined) {
    const usable = await usableRuntime(endpoint, logger);
    if (usable) return remote(usable);
  }
  try {
    return await sandbox(paths, logger);
  } catch (error) {
    if (flags.runtime === 'sandbox') throw new Error('the sandbox runtime cannot run here', { cause: error });
    return { unavailable: `the sandbox runtime cannot run here: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** `auto` takes a container engine only when it answers and says that it is ready. */
async function usableRuntime(endpoint: string, logger: Logger): Promise<ContainerRuntime | undefined> {
  try {
    const runtime = await connect(endpoint, logger);
    const { ready, reason, message } = await runtime.status();
    if (ready) return runtime;
    logger.warn('the container engine is not ready, taking the sandbox runtime', { endpoint, reason, message });
    await runtime.close();
  } catch (error) {
    logger.warn('the container engine is not usable, taking the sandbox runtime', { err: error, endpoint });
  }
  return undefined;
}

async function connect(endpoint: string, logger: Logger): Promise<ContainerRuntime> {
  const { connectRemoteRuntime } = await import('@coffer/cri/remote/remote-runtime');
  return connectRemoteRuntime(endpoint, { clock: systemClock, logger });
}

function remote(runtime: ContainerRuntime): ChosenRuntime {
  return { runtime, podGateway: undefined, sharesNetwork: false };
}

async function sandbox(paths: RuntimePaths, logger: Logger): Promise<ChosenRuntime> {
  if (process.platform !== 'linux') throw new Error('it needs Linux namespaces');
  const { createSandboxRuntime } = await import('@coffer/cri/sandbox/sandbox-runtime');
  const runtime = await createSandboxRuntime({
    stateDir: paths.runtime,
    maskedPaths: [paths.root],
    clock: systemClock,
    logger,
    version: build.version,
    network: {},
  });
  const { podNetwork, loopbackGateway, sharesNetwork } = runtime;
  const address = podNetwork?.gateway ?? loopbackGateway;
  return { runtime, podGateway: address === undefined ? undefined : { address, onMachine: podNetwork !== undefined }, sharesNetwork };
}
