/** Ports of the node that a pod asks for, and whether two pods can have theirs on one node. */
import type { V1Pod } from '../generated/types.ts';
import { podPorts } from '../kinds/pod-state.ts';

export interface HostPort {
  readonly ip: string;
  readonly port: number;
  readonly protocol: string;
}

const anyAddress = '0.0.0.0';

/** The host ports of every container. */
export function hostPorts(pod: V1Pod): readonly HostPort[] {
  if (pod.spec === undefined) return [];
  return podPorts(pod.spec)
    .filter((port) => (port.hostPort ?? 0) > 0)
    .map((port) => ({
      ip: port.hostIP === undefined || port.hostIP === '' ? anyAddress : port.hostIP,
      port: port.hostPort ?? 0,
      protocol: port.protocol ?? 'TCP',
    }));
}

/** True when both ask for the same port and protocol, with an address in common. */
export function hostPortsCollide(a: V1Pod, b: V1Pod): boolean {
  const taken = hostPorts(b);
  return hostPorts(a).some((port) =>
    taken.some((other) => port.port === other.port && port.protocol === other.protocol && sharesAddress(port.ip, other.ip)),
  );
}

function sharesAddress(a: string, b: string): boolean {
  return a === b || a === anyAddress || b === anyAddress;
}
