/** The rules of services: ports, addresses, families, traffic policies; and what may change in them. */

import { isIPv6 } from 'node:net';
import type { FieldError } from '../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, notSupported, required } from '../../errors/field-error.ts';
import type { V1Service, V1ServicePort, V1ServiceSpec } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { getOwn } from '../../meta/safe-object.ts';
import { ipBytes, isDualStack, validateCidr, validateIp, validateNonSpecialIp } from '../../validation/ip.ts';
import { dnsLabelProblems, dnsSubdomainProblems, portNumberProblems, qualifiedNameProblems } from '../../validation/names.ts';
import { invalidEach, validateLabels } from '../../validation/object-meta.ts';
import { viewAs } from '../define-kind.ts';
import { validatePort } from './pod/handler-validation.ts';

const protocols = ['SCTP', 'TCP', 'UDP'];
const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
export const trafficPolicies = ['Cluster', 'Local'];
const distributions = ['PreferClose', 'PreferSameZone', 'PreferSameNode'];
const maxAffinitySeconds = 86_400;
const kubeletPort = 10_250;
const balancedOnly = "may only be used when `type` is 'LoadBalancer'";
const sourceRanges = 'service.beta.kubernetes.io/load-balancer-source-ranges';

export const topologyMode = 'service.kubernetes.io/topology-mode';
/** The former name of `topologyMode`. */
export const topologyHints = 'service.kubernetes.io/topology-aware-hints';

/** Reachable from outside of the cluster. */
export function isExternallyAccessible(spec: V1ServiceSpec): boolean {
  const byAddress = spec.type === 'ClusterIP' && (spec.externalIPs ?? []).length > 0;
  return spec.type === 'LoadBalancer' || spec.type === 'NodePort' || byAddress;
}

export function validateService(object: KubeObject): FieldError[] {
  const spec = specOf(object);
  const ports = spec.ports ?? [];
  const errors = validateTopologyAnnotations(object);
  if (ports.length === 0 && !isHeadless(spec) && spec.type !== 'ExternalName') errors.push(required('spec.ports'));
  errors.push(...validateTypeRules(spec));
  errors.push(...validatePorts(ports));
  errors.push(...validateLabels(spec.selector, 'spec.selector'));
  errors.push(...validateAffinity(spec));
  errors.push(...validateClusterIps(spec));
  (spec.externalIPs ?? []).forEach((ip, i) => {
    const problems = validateIp(ip, `spec.externalIPs[${i}]`);
    errors.push(...(problems.length > 0 ? problems : validateNonSpecialIp(ip, `spec.externalIPs[${i}]`)));
  });
  const type = spec.type ?? '';
  if (type === '') errors.push(required('spec.type'));
  else if (!types.includes(type)) errors.push(notSupported('spec.type', type, types));
  errors.push(...validatePortUse(spec));
  errors.push(...validateSourceRanges(spec, getOwn(object.metadata.annotations, sourceRanges)));
  errors.push(...validateLoadBalancer(spec));
  errors.push(...validateTraffic(spec));
  return errors;
}

export function validateServiceUpdate(object: KubeObject, oldObject: KubeObject): FieldError[] {
  const spec = specOf(object);
  const old = specOf(oldObject);
  const errors: FieldError[] = [];
  if (spec.type !== 'ExternalName' && old.type !== 'ExternalName' && !(isHeadless(spec) && isHeadless(old))) {
    errors.push(...validateAddressChange(spec, old));
  }
  if (spec.type === 'LoadBalancer' && old.type === 'LoadBalancer' && spec.loadBalancerClass !== old.loadBalancerClass) {
    errors.push(invalid('spec.loadBalancerClass', spec.loadBalancerClass, 'may not change once set'));
  }
  if (needsHealthCheck(spec) && needsHealthCheck(old) && spec.healthCheckNodePort !== old.healthCheckNodePort) {
    errors.push(forbiddenField('spec.healthCheckNodePort', 'field is immutable'));
  }
  return errors;
}

export function validateServiceStatus(object: KubeObject): FieldError[] {
  const { status } = viewAs<V1Service>(object);
  const ingress = status?.loadBalancer?.ingress ?? [];
  if (ingress.length > 0 && specOf(object).type !== 'LoadBalancer') {
    return [forbiddenField('status.loadBalancer.ingress', "may only be used when `spec.type` is 'LoadBalancer'")];
  }
  return ingress.flatMap(({ ip = '', hostname = '', ipMode }, i) => {
    const path = `status.loadBalancer.ingress[${i}]`;
    const errors: FieldError[] = ip === '' ? [] : validateIp(ip, `${path}.ip`);
    if (ipMode == null && ip !== '') errors.push(required(`${path}.ipMode`, 'must be specified when `ip` is set'));
    else if (ipMode != null && ip === '') errors.push(forbiddenField(`${path}.ipMode`, 'may not be specified when `ip` is not set'));
    else if (ipMode != null && !['Proxy', 'VIP'].includes(ipMode)) errors.push(notSupported(`${path}.ipMode`, ipMode, ['Proxy', 'VIP']));
    if (hostname === '') return errors;
    errors.push(...invalidEach(`${path}.hostname`, hostname, dnsSubdomainProblems(hostname)));
    if (ipBytes(hostname) !== undefined) errors.push(invalid(`${path}.hostname`, hostname, 'must be a DNS name, not an IP address'));
    return errors;
  });
}

function validateTopologyAnnotations(object: KubeObject): FieldError[] {
  const mode = getOwn(object.metadata.annotations, topologyMode);
  const hints = getOwn(object.metadata.annotations, topologyHints);
  if (mode === undefined || hints === undefined || mode === hints) return [];
  const detail = `must match annotations[${topologyHints}] when both are specified`;
  return [invalid(`metadata.annotations[${topologyMode}]`, mode, detail)];
}

function specOf(object: KubeObject): V1ServiceSpec {
  return viewAs<V1Service>(object).spec ?? {};
}

/** Without an address: names resolve to the endpoints. */
export function isHeadless(spec: V1ServiceSpec): boolean {
  return spec.clusterIPs?.length === 1 && spec.clusterIPs[0] === 'None';
}

/** The balancer asks each node whether it has an endpoint, on a port of its own. */
export function needsHealthCheck(spec: V1ServiceSpec): boolean {
  return spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
}

function validateTypeRules(spec: V1ServiceSpec): FieldError[] {
  if (spec.type === 'LoadBalancer' || spec.type === 'NodePort') {
    const errors = spec.type === 'LoadBalancer' ? validateBalancedPorts(spec.ports ?? []) : [];
    if (!isHeadless(spec)) return errors;
    return [...errors, invalid('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${spec.type} services`)];
  }
  if (spec.type !== 'ExternalName') return [];
  const errors: FieldError[] = [];
  const set: readonly (readonly [string, boolean])[] = [
    ['clusterIPs', (spec.clusterIPs ?? []).length > 0],
    ['ipFamilies', (spec.ipFamilies ?? []).length > 0],
    ['ipFamilyPolicy', spec.ipFamilyPolicy != null],
  ];
  for (const [field, given] of set) {
    if (given) errors.push(forbiddenField(`spec.${field}`, 'may not be set for ExternalName services'));
  }
  const name = (spec.externalName ?? '').replace(/\.$/, '');
  return [
    ...errors,
    ...(name === '' ? [required('spec.externalName')] : invalidEach('spec.externalName', name, dnsSubdomainProblems(name))),
  ];
}

function validateBalancedPorts(ports: readonly V1ServicePort[]): FieldError[] {
  return ports.flatMap(({ port }, i) => {
    if (port !== kubeletPort) return [];
    return [invalid(`spec.ports[${i}]`, port, `may not expose port ${port} externally since it is used by kubelet`)];
  });
}

function validatePorts(ports: readonly V1ServicePort[]): FieldError[] {
  const names = new Set<string>();
  return ports.flatMap((port, i) => {
    const path = `spec.ports[${i}]`;
    const { name = '', protocol = '', appProtocol } = port;
    const errors: FieldError[] = [];
    if (name === '') {
      if (ports.length > 1) errors.push(required(`${path}.name`));
    } else {
      errors.push(...invalidEach(`${path}.name`, name, dnsLabelProblems(name)));
      if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
      names.add(name);
    }
    errors.push(...invalidEach(`${path}.port`, port.port ?? 0, portNumberProblems(port.port ?? 0)));
    if (protocol === '') errors.push(required(`${path}.protocol`));
    else if (!protocols.includes(protocol)) errors.push(notSupported(`${path}.protocol`, protocol, protocols));
    errors.push(...validatePort(port.targetPort, `${path}.targetPort`));
    if (appProtocol != null) errors.push(...invalidEach(`${path}.appProtocol`, appProtocol, qualifiedNameProblems(appProtocol)));
    return errors;
  });
}

function validateAffinity(spec: V1ServiceSpec): FieldError[] {
  const affinity = spec.sessionAffinity ?? '';
  const path = 'spec.sessionAffinityConfig';
  if (affinity === '') return [required('spec.sessionAffinity')];
  if (affinity === 'None') {
    return spec.sessionAffinityConfig == null ? [] : [forbiddenField(path, 'must not be set when session affinity is None')];
  }
  if (affinity !== 'ClientIP') return [notSupported('spec.sessionAffinity', affinity, ['ClientIP', 'None'])];
  const detail = 'when session affinity type is ClientIP';
  const config = spec.sessionAffinityConfig;
  if (config == null) return [required(path, detail)];
  if (config.clientIP == null) return [required(`${path}.clientIP`, detail)];
  const seconds = config.clientIP.timeoutSeconds;
  if (seconds == null) return [required(`${path}.clientIP.timeoutSeconds`, detail)];
  if (seconds > 0 && seconds <= maxAffinitySeconds) return [];
  return [invalid(`${path}.clientIP.timeoutSeconds`, seconds, `must be greater than 0 and less than ${maxAffinitySeconds}`)];
}

function validateClusterIps(spec: V1ServiceSpec): FieldError[] {
  if (spec.type === 'ExternalName') return [];
  const { clusterIP = '', clusterIPs = [], ipFamilies = [], ipFamilyPolicy } = spec;
  const path = 'spec.clusterIPs';
  const errors: FieldError[] = [];
  if (clusterIP !== '') {
    if (clusterIPs.length === 0) errors.push(required(path));
    else if (clusterIPs[0] !== clusterIP) errors.push(invalid(path, clusterIPs, 'first value must match `clusterIP`'));
  } else if (clusterIPs.length > 0) {
    errors.push(invalid(path, clusterIPs, 'must be empty when `clusterIP` is not specified'));
  }
  ipFamilies.forEach((family, i) => {
    if (!['IPv4', 'IPv6'].includes(family)) errors.push(notSupported(`spec.ipFamilies[${i}]`, family, ['IPv4', 'IPv6']));
    if (ipFamilies.indexOf(family) < i) errors.push(duplicate(`spec.ipFamilies[${i}]`, family));
  });
  const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];
  if (ipFamilyPolicy != null && !policies.includes(ipFamilyPolicy)) {
    errors.push(notSupported('spec.ipFamilyPolicy', ipFamilyPolicy, policies));
  }
  let bad = false;
  clusterIPs.forEach((ip, i) => {
    const none = i === 0 && ip === 'None';
    const problems = none ? [] : validateIp(ip, `${path}[${i}]`);
    if (none && clusterIPs.length > 1) problems.push(invalid(path, clusterIPs, "'None' must be the first and only value"));
    bad ||= problems.length > 0;
    errors.push(...problems);
  });
  if (clusterIPs.length > 2) errors.push(invalid(path, clusterIPs, 'may only hold up to 2 values'));
  if (bad) return errors;
  if (clusterIPs.length > 1 && !isDualStack(clusterIPs)) {
    errors.push(invalid(path, clusterIPs, 'may specify no more than one IP for each IP family'));
  }
  if (isHeadless(spec)) return errors;
  clusterIPs.slice(0, ipFamilies.length).forEach((ip, i) => {
    const family = ipFamilies[i];
    if (family === (isIPv6(ip) ? 'IPv6' : 'IPv4') || (family !== 'IPv4' && family !== 'IPv6')) return;
    errors.push(invalid(`${path}[${i}]`, ip, `expected an ${family} value as indicated by \`ipFamilies[${i}]\``));
  });
  return errors;
}

function validatePortUse(spec: V1ServiceSpec): FieldError[] {
  const ports = spec.ports ?? [];
  const errors: FieldError[] = [];
  if (spec.type === 'ClusterIP') {
    ports.forEach((port, i) => {
      if ((port.nodePort ?? 0) !== 0)
        errors.push(forbiddenField(`spec.ports[${i}].nodePort`, "may not be used when `type` is 'ClusterIP'"));
    });
  }
  const nodePorts = new Set<string>();
  ports.forEach((port, i) => {
    if ((port.nodePort ?? 0) === 0) return;
    const key = `${port.protocol}/${port.nodePort}`;
    if (nodePorts.has(key)) errors.push(duplicate(`spec.ports[${i}].nodePort`, port.nodePort));
    nodePorts.add(key);
  });
  const numbers = new Set<string>();
  ports.forEach((port, i) => {
    const key = `${port.protocol}/${port.port}`;
    if (numbers.has(key)) {
      const shown = { Name: '', Protocol: port.protocol ?? '', AppProtocol: null, Port: port.port, TargetPort: 0, NodePort: 0 };
      errors.push(duplicate(`spec.ports[${i}]`, shown));
    }
    numbers.add(key);
  });
  return errors;
}

/** A list in the spec, or in the annotation that was there before. */
function validateSourceRanges(spec: V1ServiceSpec, annotation: string | undefined): FieldError[] {
  const ranges = spec.loadBalancerSourceRanges ?? [];
  const inSpec = ranges.length > 0;
  if (!inSpec && annotation === undefined) return [];
  const path = inSpec ? 'spec.LoadBalancerSourceRanges' : `metadata.annotations[${sourceRanges}]`;
  const errors = spec.type === 'LoadBalancer' ? [] : [forbiddenField(path, balancedOnly)];
  if (inSpec) return [...errors, ...ranges.flatMap((range, i) => validateCidr(range.trim(), `${path}[${i}]`))];
  const text = (annotation ?? '').trim();
  return text === '' ? errors : [...errors, ...text.split(',').flatMap((range) => validateCidr(range.trim(), path))];
}

function validateLoadBalancer(spec: V1ServiceSpec): FieldError[] {
  const balanced = spec.type === 'LoadBalancer';
  const errors: FieldError[] = [];
  if (spec.allocateLoadBalancerNodePorts != null && !balanced) {
    errors.push(forbiddenField('spec.allocateLoadBalancerNodePorts', balancedOnly));
  }
  if (balanced && spec.allocateLoadBalancerNodePorts == null) errors.push(required('allocateLoadBalancerNodePorts'));
  if (spec.loadBalancerClass != null) {
    const problems = qualifiedNameProblems(spec.loadBalancerClass);
    errors.push(
      ...(balanced
        ? invalidEach('spec.loadBalancerClass', spec.loadBalancerClass, problems)
        : [forbiddenField('spec.loadBalancerClass', balancedOnly)]),
    );
  }
  return errors;
}

function validateTraffic(spec: V1ServiceSpec): FieldError[] {
  const errors: FieldError[] = [];
  const external = spec.externalTrafficPolicy ?? '';
  const path = 'spec.externalTrafficPolicy';
  if (!isExternallyAccessible(spec)) {
    if (external !== '') errors.push(invalid(path, external, 'may only be set for externally-accessible services'));
  } else if (external === '') errors.push(required(path));
  else if (!trafficPolicies.includes(external)) errors.push(notSupported(path, external, trafficPolicies));
  const check = spec.healthCheckNodePort ?? 0;
  if (!needsHealthCheck(spec)) {
    const detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
    if (check !== 0) errors.push(invalid('spec.healthCheckNodePort', check, detail));
  } else if (check === 0) errors.push(required('spec.healthCheckNodePort'));
  else errors.push(...invalidEach('spec.healthCheckNodePort', check, portNumberProblems(check)));
  const internal = spec.internalTrafficPolicy;
  if (internal == null) {
    if (spec.type !== 'ExternalName' && types.includes(spec.type ?? '')) errors.push(required('spec.internalTrafficPolicy'));
  } else if (!trafficPolicies.includes(internal)) errors.push(notSupported('spec.internalTrafficPolicy', internal, trafficPolicies));
  const distribution = spec.trafficDistribution;
  if (distribution != null && !distributions.includes(distribution)) {
    errors.push(notSupported('spec.trafficDistribution', distribution, distributions));
  }
  return errors;
}

/** A secondary address may come and go; the primary one stays. */
function validateAddressChange(spec: V1ServiceSpec, old: V1ServiceSpec): FieldError[] {
  const ips = spec.clusterIPs ?? [];
  const before = old.clusterIPs ?? [];
  const errors: FieldError[] = [];
  const changed = (i: number): FieldError => invalid(`spec.clusterIPs[${i}]`, ips, 'may not change once set');
  if (before.length === ips.length) {
    before.forEach((ip, i) => {
      if (ip !== ips[i]) errors.push(changed(i));
    });
  } else if (before.length > ips.length) {
    if (ips.length === 0) errors.push(invalid('spec.clusterIPs[0]', spec.clusterIPs ?? null, 'primary clusterIP can not be unset'));
    else if (ips[0] !== before[0]) errors.push(changed(0));
    if (ips.length === 1 && spec.ipFamilyPolicy !== 'SingleStack') {
      const detail = "must be set to 'SingleStack' when releasing the secondary clusterIP";
      errors.push(invalid('spec.ipFamilyPolicy', spec.ipFamilyPolicy, detail));
    }
  } else if (before.length > 0 && ips[0] !== before[0]) {
    errors.push(changed(0));
  }
  const families = spec.ipFamilies ?? [];
  const oldFamilies = old.ipFamilies ?? [];
  if (!isHeadless(spec) && !isHeadless(old) && oldFamilies.length > 0 && families.length > 0 && families[0] !== oldFamilies[0]) {
    errors.push(invalid('spec.ipFamilies[0]', families, 'may not change once set'));
  }
  return errors;
}
