import { type FieldError, invalid } from '@coffer/api/errors/field-error';
import type { V1ServicePort, V1ServiceSpec } from '@coffer/api/generated/types';
import { needsNodePorts } from '@coffer/api/kinds/core/service-changes';
import { needsHealthCheck } from '@coffer/api/kinds/core/service-validation';
import type { Mutable } from '@coffer/api/meta/object';

/** Ports on every node come from this range, as kube-apiserver has it; automatic ones leave the lower end to users. */
const firstPort = 30_000;
const lastPort = 32_767;
const firstAutomaticPort = 30_086;

type Ports = ReadonlySet<number>;

/** All node ports of a service, those of health checks included. */
export function nodePortsOf(spec: V1ServiceSpec): number[] {
  return [...(spec.ports ?? []).map((port) => port.nodePort ?? 0), spec.healthCheckNodePort ?? 0].filter((port) => port !== 0);
}

/** Chooses the port of a balancer's health check, in place. `taken` lists the ports of all services. */
export function assignHealthCheckPort(spec: Mutable<V1ServiceSpec>, taken: () => Ports): void {
  if (!needsHealthCheck(spec) || (spec.healthCheckNodePort ?? 0) !== 0) return;
  const port = pickPort(new Set([...taken(), ...nodePortsOf(spec)]));
  if (port !== undefined) spec.healthCheckNodePort = port;
}

/** Checks ports that the client chose and chooses the others, in place. */
export function assignNodePorts(spec: Mutable<V1ServiceSpec>, before: V1ServiceSpec | undefined, taken: () => Ports): FieldError[] {
  if (!needsNodePorts(spec)) return [];
  const own = new Set(before === undefined ? [] : nodePortsOf(before));
  const others = new Set([...taken()].filter((port) => !own.has(port)));
  const errors: FieldError[] = [];
  const ports = (spec.ports ?? []).map((port) => ({ ...port }));
  ports.forEach(({ nodePort = 0 }, i) => {
    const problem = nodePort === 0 || own.has(nodePort) ? undefined : portProblem(nodePort, others);
    if (problem !== undefined) errors.push(invalid(`spec.ports[${i}].nodePort`, nodePort, problem));
  });
  if (errors.length > 0 || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts === false)) return errors;
  const used = new Set([...others, ...nodePortsOf(spec)]);
  for (const [i, port] of ports.entries()) {
    if ((port.nodePort ?? 0) !== 0) continue;
    const nodePort = sharedPort(ports, port) ?? pickPort(used);
    if (nodePort === undefined) return [invalid(`spec.ports[${i}].nodePort`, 0, 'failed to allocate a nodePort: range is full')];
    port.nodePort = nodePort;
    used.add(nodePort);
  }
  spec.ports = ports;
  return [];
}

/** One port for two protocols gets one number on the nodes. */
function sharedPort(ports: readonly V1ServicePort[], port: V1ServicePort): number | undefined {
  const takenBySame = (nodePort: number): boolean => ports.some((p) => p.nodePort === nodePort && p.protocol === port.protocol);
  return ports.find((other) => other.port === port.port && (other.nodePort ?? 0) !== 0 && !takenBySame(other.nodePort ?? 0))?.nodePort;
}

function portProblem(port: number, taken: Ports): string | undefined {
  if (port < firstPort || port > lastPort) {
    return `provided port is not in the valid range. The range of valid ports is ${firstPort}-${lastPort}`;
  }
  return taken.has(port) ? 'provided port is already allocated' : undefined;
}

function pickPort(taken: Ports): number | undefined {
  const count = lastPort - firstAutomaticPort + 1;
  const start = Math.floor(Math.random() * count);
  for (let i = 0; i < count; i++) {
    const port = firstAutomaticPort + ((start + i) % count);
    if (!taken.has(port)) return port;
  }
  for (let port = firstPort; port < firstAutomaticPort; port++) if (!taken.has(port)) return port;
  return undefined;
}
