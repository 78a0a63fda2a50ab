/** How the kubelet reaches a pod: from this machine, or from within the pod's own network where the machine does not reach it. */
import { connect as tcpConnect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import type { RuntimePod } from '../runtime/runtime-cache.ts';

export interface PodReach {
  /** Address of the pod. */
  readonly host: string;
  /** Connects to an address of the pod's own; absent: this machine does. */
  readonly dial?: (host: string, port: number, signal: AbortSignal) => Promise<Duplex>;
}

/** Only addresses of the pod itself are looked for in its network: any other one is this machine's business. */
export function podReach(runtime: ContainerRuntime, pod: RuntimePod, host: string): PodReach {
  const { dialPod } = runtime;
  const sandbox = pod.sandboxes.find(({ state, ips }) => state === 'ready' && ips.includes(host));
  if (dialPod === undefined || sandbox === undefined) return { host };
  return { host, dial: (to, port, signal) => dialPod(sandbox.id, to, port, signal) };
}

/** The way into the pod's network, for an address that is there. */
export function dialFor(reach: PodReach, host: string): PodReach['dial'] {
  return host === reach.host ? reach.dial : undefined;
}

/** Rejects as `net.connect` fails. Aborting ends the attempt and the connection. */
export async function connectTo(reach: PodReach, host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  const dial = dialFor(reach, host);
  if (dial !== undefined) return dial(host, port, signal);
  return new Promise((resolve, reject) => {
    const socket = tcpConnect({ host, port, signal }, () => resolve(socket));
    socket.once('error', reject);
  });
}
