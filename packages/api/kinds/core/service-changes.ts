/**
 * What a write does to a service before it is checked: values that were allocated stay, both forms of the cluster address agree,
 * and what the new type has no use for goes. A field goes only when the client left it as it was; what a client changes is
 * checked. Not part of decoding, because managed fields do not count these changes.
 */

import type { V1Service, V1ServiceSpec } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { equalJson } from '../../meta/safe-object.ts';
import { viewAs } from '../define-kind.ts';
import type { Draft } from './pod/pod-defaults.ts';
import { isExternallyAccessible, needsHealthCheck, trafficPolicies } from './service-validation.ts';

type Spec = Draft<V1ServiceSpec>;

/** A new service, in place: a client that knows one address only means a list of it. */
export function prepareServiceCreate(object: KubeObject): void {
  const spec = draftOf(object);
  if ((spec.clusterIP ?? '') !== '' && (spec.clusterIPs ?? []).length === 0) spec.clusterIPs = [spec.clusterIP ?? ''];
  dropInternalPolicy(spec);
}

/** A change of a service, in place. */
export function prepareServiceUpdate(object: KubeObject, old: KubeObject): void {
  const spec = draftOf(object);
  const before = viewAs<V1Service>(old).spec ?? {};
  keepAllocated(spec, before);
  syncAddresses(spec, before);
  dropUnused(spec, before);
  dropInternalPolicy(spec);
}

/** Services of these types get a port on every node. */
export function needsNodePorts(spec: V1ServiceSpec): boolean {
  return spec.type === 'NodePort' || spec.type === 'LoadBalancer';
}

function draftOf(object: KubeObject): Spec {
  return viewAs<{ spec: Spec }>(object).spec;
}

function hasAddress(spec: V1ServiceSpec): boolean {
  return spec.type !== 'ExternalName';
}

function keepAllocated(spec: Spec, before: V1ServiceSpec): void {
  if (hasAddress(spec) && hasAddress(before) && before.clusterIP !== undefined) {
    if ((spec.clusterIP ?? '') === '') spec.clusterIP = before.clusterIP;
    if ((spec.clusterIPs ?? []).length === 0 && spec.clusterIP === before.clusterIP) spec.clusterIPs = [...(before.clusterIPs ?? [])];
  }
  if (needsNodePorts(spec) && needsNodePorts(before)) keepNodePorts(spec, before);
  if (needsHealthCheck(spec) && needsHealthCheck(before) && (spec.healthCheckNodePort ?? 0) === 0) {
    spec.healthCheckNodePort = before.healthCheckNodePort ?? 0;
  }
}

/** Ports are recognised by their names; a number that another port has taken over is not given twice. */
function keepNodePorts(spec: Spec, before: V1ServiceSpec): void {
  const used = new Set(nodePorts(spec));
  const known = new Map((before.ports ?? []).map((port) => [port.name ?? '', port.nodePort ?? 0]));
  for (const port of spec.ports ?? []) {
    const number = known.get(port.name ?? '') ?? 0;
    if ((port.nodePort ?? 0) !== 0 || number === 0 || used.has(number)) continue;
    port.nodePort = number;
    used.add(number);
  }
}

/** A client that changes one form of the address and sends back the other as it was means both. */
function syncAddresses(spec: Spec, before: V1ServiceSpec): void {
  const address = spec.clusterIP ?? '';
  if (address === (before.clusterIP ?? '') || !equalJson(spec.clusterIPs ?? [], before.clusterIPs ?? [])) return;
  if (address === '') delete spec.clusterIPs;
  else spec.clusterIPs = [address];
}

function dropUnused(spec: Spec, before: V1ServiceSpec): void {
  const same = (field: keyof V1ServiceSpec): boolean => equalJson(spec[field] ?? null, before[field] ?? null);
  if (hasAddress(before) && !hasAddress(spec)) {
    if (same('clusterIP') && same('clusterIPs')) {
      delete spec.clusterIP;
      delete spec.clusterIPs;
    }
    if (same('ipFamilies')) delete spec.ipFamilies;
    if (same('ipFamilyPolicy')) delete spec.ipFamilyPolicy;
  }
  if (needsNodePorts(before) && !needsNodePorts(spec)) {
    const known = new Set(nodePorts(before));
    if (nodePorts(spec).every((number) => known.has(number))) for (const port of spec.ports ?? []) delete port.nodePort;
  }
  if (needsHealthCheck(before) && !needsHealthCheck(spec) && same('healthCheckNodePort')) delete spec.healthCheckNodePort;
  if (before.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    if (same('allocateLoadBalancerNodePorts')) delete spec.allocateLoadBalancerNodePorts;
    if (same('loadBalancerClass')) delete spec.loadBalancerClass;
  }
  if (isExternallyAccessible(before) && !isExternallyAccessible(spec) && same('externalTrafficPolicy')) delete spec.externalTrafficPolicy;
}

/** Taken from clients of old and never shown: there is nothing to route. A value that nobody knows is left for the check to find. */
function dropInternalPolicy(spec: Spec): void {
  if (!hasAddress(spec) && trafficPolicies.includes(spec.internalTrafficPolicy ?? '')) delete spec.internalTrafficPolicy;
}

function nodePorts(spec: V1ServiceSpec): number[] {
  return (spec.ports ?? []).map((port) => port.nodePort ?? 0).filter((number) => number !== 0);
}
