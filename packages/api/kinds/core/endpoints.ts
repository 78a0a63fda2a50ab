/** Endpoints: addresses and ports behind a service, in the older form. */

import type { FieldError } from '../../errors/field-error.ts';
import { notSupported, required } from '../../errors/field-error.ts';
import type { CoreV1EndpointPort, V1EndpointAddress, V1EndpointSubset, V1Endpoints } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { getOwn, isRecord } from '../../meta/safe-object.ts';
import { ipWarnings, validateIp, validateNonSpecialIp } from '../../validation/ip.ts';
import { dnsLabelProblems, dnsSubdomainProblems, portNumberProblems, qualifiedNameProblems } from '../../validation/names.ts';
import { invalidEach } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, fieldColumn, nameColumn } from '../table-columns.ts';

const protocols = ['SCTP', 'TCP', 'UDP'];
const shownAddresses = 3;

export const endpoints = defineKind('', 'endpoints', {
  schema: 'io.k8s.api.core.v1.Endpoints',
  nameSyntax: 'dns-subdomain',
  applyDefaults,
  validate: (object) => (viewAs<V1Endpoints>(object).subsets ?? []).flatMap((subset, i) => validateSubset(subset, `subsets[${i}]`)),
  updateOrder: ['meta-update', 'object'],
  deprecation: 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',
  warnings,
  table: {
    columns: [nameColumn, fieldColumn('Endpoints', 'io.k8s.api.core.v1.Endpoints', 'subsets'), ageColumn],
    cells(object, now) {
      const { metadata, subsets } = viewAs<V1Endpoints>(object);
      return [metadata?.name ?? '', addressList(subsets ?? []), timeSince(metadata?.creationTimestamp, now)];
    },
  },
});

function applyDefaults(object: KubeObject): void {
  for (const subset of Array.isArray(object.subsets) ? object.subsets : []) {
    for (const port of isRecord(subset) && Array.isArray(subset.ports) ? subset.ports : []) {
      if (isRecord(port)) port.protocol ||= 'TCP';
    }
  }
}

function warnings(object: KubeObject): string[] {
  const { metadata, subsets } = viewAs<V1Endpoints>(object);
  if (getOwn(metadata?.labels, 'endpoints.kubernetes.io/managed-by') === 'endpoint-controller') return [];
  return (subsets ?? []).flatMap((subset, i) =>
    (['addresses', 'notReadyAddresses'] as const).flatMap((field) =>
      (subset[field] ?? []).flatMap(({ ip }, j) => ipWarnings(ip ?? '', `subsets[${i}].${field}[${j}].ip`)),
    ),
  );
}

function validateSubset(subset: V1EndpointSubset, path: string): FieldError[] {
  const { addresses = [], notReadyAddresses = [], ports = [] } = subset;
  const errors: FieldError[] = [];
  if (addresses.length + notReadyAddresses.length === 0) {
    errors.push(required(path, 'must specify `addresses` or `notReadyAddresses`'));
  }
  errors.push(...addresses.flatMap((address, i) => validateAddress(address, `${path}.addresses[${i}]`)));
  errors.push(...notReadyAddresses.flatMap((address, i) => validateAddress(address, `${path}.notReadyAddresses[${i}]`)));
  errors.push(...ports.flatMap((port, i) => validateEndpointPort(port, ports.length > 1, `${path}.ports[${i}]`)));
  return errors;
}

function validateAddress(address: V1EndpointAddress, path: string): FieldError[] {
  const { ip = '', hostname = '', nodeName } = address as Partial<V1EndpointAddress>;
  return [
    ...validateIp(ip, `${path}.ip`),
    ...(hostname === '' ? [] : invalidEach(`${path}.hostname`, hostname, dnsLabelProblems(hostname))),
    ...(nodeName == null ? [] : invalidEach(`${path}.nodeName`, nodeName, dnsSubdomainProblems(nodeName))),
    ...validateNonSpecialIp(ip, `${path}.ip`),
  ];
}

function validateEndpointPort(port: CoreV1EndpointPort, requireName: boolean, path: string): FieldError[] {
  const { name = '', port: number = 0, protocol = '', appProtocol } = port as Partial<CoreV1EndpointPort>;
  const errors: FieldError[] = [];
  if (name !== '') errors.push(...invalidEach(`${path}.name`, name, dnsLabelProblems(name)));
  else if (requireName) errors.push(required(`${path}.name`));
  errors.push(...invalidEach(`${path}.port`, number, portNumberProblems(number)));
  if (protocol === '') errors.push(required(`${path}.protocol`));
  else if (!protocols.includes(protocol)) errors.push(notSupported(`${path}.protocol`, protocol, protocols));
  if (appProtocol != null) errors.push(...invalidEach(`${path}.appProtocol`, appProtocol, qualifiedNameProblems(appProtocol)));
  return errors;
}

function addressList(subsets: readonly V1EndpointSubset[]): string {
  const all = subsets.flatMap(({ addresses = [], ports = [] }) => {
    if (ports.length === 0) return addresses.map((address) => address.ip);
    return ports.flatMap((port) => addresses.map(({ ip }) => `${ip.includes(':') ? `[${ip}]` : ip}:${port.port}`));
  });
  if (subsets.length === 0) return '<none>';
  const shown = all.slice(0, shownAddresses).join(',');
  return all.length > shownAddresses ? `${shown} + ${all.length - shownAddresses} more...` : shown;
}
