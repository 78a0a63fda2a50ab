/** EndpointSlice: addresses of one family behind a service, and their ports. */

import { isIPv6 } from 'node:net';
import type { FieldError } from '../../errors/field-error.ts';
import { duplicate, invalid, notSupported, required, tooMany } from '../../errors/field-error.ts';
import type { DiscoveryV1EndpointPort, V1Endpoint, V1EndpointHints, V1EndpointSlice } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { getOwn, isRecord } from '../../meta/safe-object.ts';
import { ipWarnings, validateIp, validateNonSpecialIp } from '../../validation/ip.ts';
import { dnsLabelProblems, dnsSubdomainProblems, labelValueProblems, qualifiedNameProblems } from '../../validation/names.ts';
import { immutable, invalidEach } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, fieldColumn, nameColumn } from '../table-columns.ts';

const struct = 'io.k8s.api.discovery.v1.EndpointSlice';
const addressTypes = ['FQDN', 'IPv4', 'IPv6'];
const protocols = ['SCTP', 'TCP', 'UDP'];
const maxEndpoints = 1000;
const maxAddresses = 100;
const maxPorts = 20_000;
const maxHints = 8;
const managedBy = 'endpointslice.kubernetes.io/managed-by';
const controllers = ['endpointslice-controller.k8s.io', 'endpointslicemirroring-controller.k8s.io'];
const shown = 3;

export const endpointSlice = defineKind('discovery.k8s.io', 'endpointslices', {
  schema: struct,
  nameSyntax: 'dns-subdomain',
  applyDefaults,
  normalize: dropTopology,
  warnings,
  validate,
  validateUpdate: (object, old) =>
    immutable(viewAs<V1EndpointSlice>(object).addressType, viewAs<V1EndpointSlice>(old).addressType, 'addressType'),
  updateOrder: ['meta', 'object', 'update'],
  hasGeneration: true,
  table: {
    columns: [
      nameColumn,
      fieldColumn('AddressType', struct, 'addressType'),
      fieldColumn('Ports', struct, 'ports'),
      fieldColumn('Endpoints', struct, 'endpoints'),
      ageColumn,
    ],
    cells(object, now) {
      const { metadata, addressType, ports, endpoints } = viewAs<V1EndpointSlice>(object);
      return [
        metadata?.name ?? '',
        addressType ?? '',
        shortList((ports ?? []).map((port) => (port.port == null ? (port.name ?? '*') : `${port.port}`))),
        shortList((endpoints ?? []).flatMap((endpoint) => endpoint.addresses ?? [])),
        timeSince(metadata?.creationTimestamp, now),
      ];
    },
  },
});

function applyDefaults(object: KubeObject): void {
  for (const port of Array.isArray(object.ports) ? object.ports : []) {
    if (!isRecord(port)) continue;
    port.name ??= '';
    port.protocol ??= 'TCP';
  }
}

/** Labels of endpoints have been replaced by fields; this version of the API does not take them any more. */
function dropTopology(object: KubeObject): void {
  for (const endpoint of Array.isArray(object.endpoints) ? object.endpoints : []) {
    if (isRecord(endpoint)) delete endpoint.deprecatedTopology;
  }
}

function warnings(object: KubeObject, old: KubeObject | undefined): string[] {
  const { metadata, addressType, endpoints } = viewAs<V1EndpointSlice>(object);
  const texts = addressType === 'FQDN' && old === undefined ? ['spec.addressType: FQDN endpoints are deprecated'] : [];
  if (addressType === 'FQDN' || controllers.includes(getOwn(metadata?.labels, managedBy) ?? '')) return texts;
  (endpoints ?? []).forEach((endpoint, i) => {
    texts.push(...(endpoint.addresses ?? []).flatMap((address, j) => ipWarnings(address, `endpoints[${i}].addresses[${j}]`)));
  });
  return texts;
}

function validate(object: KubeObject): FieldError[] {
  const slice = viewAs<V1EndpointSlice>(object);
  const { addressType = '' } = slice as Partial<V1EndpointSlice>;
  const endpoints = slice.endpoints ?? [];
  const ports = slice.ports ?? [];
  const errors: FieldError[] = [];
  if (addressType === '') errors.push(required('addressType'));
  else if (!addressTypes.includes(addressType)) errors.push(notSupported('addressType', addressType, addressTypes));
  if (endpoints.length > maxEndpoints) errors.push(tooMany('endpoints', endpoints.length, maxEndpoints));
  else errors.push(...endpoints.flatMap((endpoint, i) => validateEndpoint(endpoint, addressType, `endpoints[${i}]`)));
  if (ports.length > maxPorts) return [...errors, tooMany('ports', ports.length, maxPorts)];
  return [...errors, ...validatePorts(ports)];
}

function validateEndpoint(endpoint: V1Endpoint, addressType: string, path: string): FieldError[] {
  const addresses = endpoint.addresses ?? [];
  const errors: FieldError[] = [];
  if (addresses.length === 0) errors.push(required(`${path}.addresses`, 'must contain at least 1 address'));
  if (addresses.length > maxAddresses) errors.push(tooMany(`${path}.addresses`, addresses.length, maxAddresses));
  addresses.forEach((address, i) => {
    errors.push(...validateAddress(address, addressType, `${path}.addresses[${i}]`));
  });
  const nodeName = endpoint.nodeName;
  if (nodeName != null) errors.push(...invalidEach(`${path}.nodeName`, nodeName, dnsSubdomainProblems(nodeName)));
  if (endpoint.hostname != null) errors.push(...invalidEach(`${path}.hostname`, endpoint.hostname, dnsLabelProblems(endpoint.hostname)));
  if (endpoint.hints != null) errors.push(...validateHints(endpoint.hints, `${path}.hints`));
  return errors;
}

function validateHints(hints: V1EndpointHints, path: string): FieldError[] {
  const zones = hintNames(hints.forZones ?? [], `${path}.forZones`, labelValueProblems);
  if ((hints.forZones ?? []).length > maxHints) return zones;
  return [...zones, ...hintNames(hints.forNodes ?? [], `${path}.forNodes`, dnsSubdomainProblems)];
}

function hintNames(hints: readonly { readonly name?: string }[], path: string, problemsOf: (name: string) => string[]): FieldError[] {
  if (hints.length > maxHints) return [tooMany(path, hints.length, maxHints)];
  return hints.flatMap(({ name = '' }, i) => [
    ...(hints.findIndex((other) => (other.name ?? '') === name) < i ? [duplicate(`${path}[${i}].name`, name)] : []),
    ...invalidEach(`${path}[${i}].name`, name, problemsOf(name)),
  ]);
}

function validateAddress(address: string, addressType: string, path: string): FieldError[] {
  if (addressType === 'FQDN') return validateDomain(address, path);
  if (addressType !== 'IPv4' && addressType !== 'IPv6') return [];
  const problems = validateIp(address, path);
  if (problems.length > 0) return problems;
  const family = isIPv6(address) ? 'IPv6' : 'IPv4';
  return [
    ...(family === addressType ? [] : [invalid(path, address, `must be an ${addressType} address`)]),
    ...validateNonSpecialIp(address, path),
  ];
}

function validateDomain(address: string, path: string): FieldError[] {
  if (address === '') return [required(path)];
  const name = address.endsWith('.') ? address.slice(0, -1) : address;
  const problems = dnsSubdomainProblems(name);
  if (problems.length > 0) return [invalid(path, name, problems.join(','))];
  if (!name.includes('.')) return [invalid(path, name, 'should be a domain with at least two segments separated by dots')];
  const label = name.split('.').find((part) => dnsLabelProblems(part).length > 0);
  return label === undefined ? [] : [invalid(path, label, dnsLabelProblems(label).join(','))];
}

function validatePorts(ports: readonly DiscoveryV1EndpointPort[]): FieldError[] {
  const names = new Set<string>();
  return ports.flatMap(({ name = '', protocol, appProtocol }, i) => {
    const path = `ports[${i}]`;
    const errors: FieldError[] = name === '' ? [] : invalidEach(`${path}.name`, name, dnsLabelProblems(name));
    if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
    names.add(name);
    if (protocol == null) errors.push(required(`${path}.protocol`));
    else if (!protocols.includes(protocol)) errors.push(notSupported(`${path}.protocol`, protocol, protocols));
    if (appProtocol != null) errors.push(...invalidEach(`${path}.appProtocol`, appProtocol, qualifiedNameProblems(appProtocol)));
    return errors;
  });
}

function shortList(items: readonly string[]): string {
  const text = items.slice(0, shown).join(',');
  return items.length > shown ? `${text} + ${items.length - shown} more...` : text || '<unset>';
}
