/** Service: defaults, warnings, and what `kubectl get services` shows. What writes change is in `service-changes.ts`. */

import type { V1Service, V1ServiceSpec } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { getOwn, isRecord } from '../../meta/safe-object.ts';
import { fromLabels } from '../../selectors/labels.ts';
import { cidrWarnings, ipWarnings } from '../../validation/ip.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, fieldColumn, nameColumn } from '../table-columns.ts';
import type { Draft } from './pod/pod-defaults.ts';
import {
  isExternallyAccessible,
  isHeadless,
  topologyHints,
  topologyMode,
  validateService,
  validateServiceStatus,
  validateServiceUpdate,
} from './service-validation.ts';

const struct = 'io.k8s.api.core.v1.ServiceSpec';
const defaultAffinitySeconds = 10_800;

export const service = defineKind('', 'services', {
  schema: 'io.k8s.api.core.v1.Service',
  nameSyntax: 'dns-label',
  applyDefaults,
  validate: validateService,
  validateUpdate: validateServiceUpdate,
  updateOrder: ['meta-update', 'update', 'object'],
  validateStatusUpdate: validateServiceStatus,
  warnings,
  selectableFields(object) {
    const { spec } = viewAs<V1Service>(object);
    return { 'spec.clusterIP': spec?.clusterIP ?? '', 'spec.type': spec?.type ?? '' };
  },
  hasStatus: true,
  table: {
    columns: [
      nameColumn,
      fieldColumn('Type', struct, 'type'),
      fieldColumn('Cluster-IP', struct, 'clusterIP'),
      fieldColumn('External-IP', struct, 'externalIPs'),
      fieldColumn('Port(s)', struct, 'ports'),
      ageColumn,
      fieldColumn('Selector', struct, 'selector', 'string', 1),
    ],
    cells(object, now) {
      const { metadata, spec = {} } = viewAs<V1Service>(object);
      return [
        metadata?.name ?? '',
        spec.type ?? '',
        spec.clusterIPs?.[0] ?? spec.clusterIP ?? '<none>',
        externalAddress(viewAs<V1Service>(object)),
        portList(spec),
        timeSince(metadata?.creationTimestamp, now),
        fromLabels(spec.selector ?? {}).toString() || '<none>',
      ];
    },
  },
});

function applyDefaults(object: KubeObject): void {
  if (!isRecord(object.spec)) object.spec = {};
  const spec = object.spec as Draft<V1ServiceSpec>;
  spec.sessionAffinity ||= 'None';
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP' && spec.sessionAffinityConfig?.clientIP?.timeoutSeconds == null) {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: defaultAffinitySeconds } };
  }
  spec.type ||= 'ClusterIP';
  for (const port of spec.ports ?? []) {
    port.protocol ||= 'TCP';
    port.targetPort ||= port.port;
  }
  if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ||= 'Cluster';
  if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
  if (spec.type !== 'LoadBalancer') return;
  spec.allocateLoadBalancerNodePorts ??= true;
  for (const ingress of viewAs<Draft<V1Service>>(object).status?.loadBalancer?.ingress ?? []) {
    if ((ingress.ip ?? '') !== '') ingress.ipMode ??= 'VIP';
  }
}

function warnings(object: KubeObject): string[] {
  const { metadata, spec = {} } = viewAs<V1Service>(object);
  const addresses = spec.clusterIPs ?? [];
  const externalIPs = spec.externalIPs ?? [];
  const texts: string[] = [];
  if (getOwn(metadata?.annotations, topologyHints) !== undefined) {
    texts.push(`annotation ${topologyHints} is deprecated, please use ${topologyMode} instead`);
  }
  if (isHeadless(spec)) {
    if ((spec.loadBalancerIP ?? '') !== '') texts.push('spec.loadBalancerIP is ignored for headless services');
    if (externalIPs.length > 0) texts.push('spec.externalIPs is ignored for headless services');
    if (spec.sessionAffinity !== 'None') texts.push('spec.SessionAffinity is ignored for headless services');
  } else {
    texts.push(...addresses.flatMap((ip, i) => ipWarnings(ip, `spec.clusterIPs[${i}]`)));
  }
  texts.push(...externalIPs.flatMap((ip, i) => ipWarnings(ip, `spec.externalIPs[${i}]`)));
  if (externalIPs.length > 0 && !isHeadless(spec) && spec.type !== 'ExternalName') texts.push('spec.externalIPs is deprecated');
  texts.push(...ipWarnings(spec.loadBalancerIP ?? '', 'spec.loadBalancerIP'));
  const ranges = spec.loadBalancerSourceRanges ?? [];
  texts.push(...ranges.flatMap((range, i) => cidrWarnings(range.trim(), `spec.loadBalancerSourceRanges[${i}]`)));
  if (spec.type === 'ExternalName' && externalIPs.length > 0) {
    texts.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  }
  if (spec.type !== 'ExternalName' && (spec.externalName ?? '') !== '') {
    texts.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  }
  if (spec.trafficDistribution === 'PreferClose') {
    texts.push('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"');
  }
  return texts;
}

function externalAddress({ spec = {}, status }: V1Service): string {
  const external = spec.externalIPs ?? [];
  switch (spec.type) {
    case 'ClusterIP':
    case 'NodePort':
      return external.join(',') || '<none>';
    case 'LoadBalancer': {
      const given = (status?.loadBalancer?.ingress ?? [])
        .map((ingress) => ingress.ip || ingress.hostname || '')
        .filter((text) => text !== '');
      return [...new Set(given)].sort().concat(external).join(',') || '<pending>';
    }
    case 'ExternalName':
      return spec.externalName ?? '';
    default:
      return '<unknown>';
  }
}

function portList(spec: V1ServiceSpec): string {
  const ports = (spec.ports ?? []).map(
    ({ port, nodePort = 0, protocol }) => `${port}${nodePort > 0 ? `:${nodePort}` : ''}/${protocol ?? ''}`,
  );
  return ports.join(',') || '<none>';
}
