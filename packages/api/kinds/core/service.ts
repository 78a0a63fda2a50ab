/** Service: defaults, both forms of the cluster address, and what `kubectl get services` shows. Addresses are allocated elsewhere. */

import { isIPv6 } from 'node:net';
import type { V1Service, V1ServiceSpec } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { equalJson, isRecord } from '../../meta/safe-object.ts';
import { fromLabels } from '../../selectors/labels.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, fieldColumn, nameColumn } from '../table-columns.ts';
import type { Draft } from './pod/pod-defaults.ts';
import { isExternallyAccessible, validateService, validateServiceStatus, validateServiceUpdate } from './service-validation.ts';

const struct = 'io.k8s.api.core.v1.ServiceSpec';
const defaultAffinitySeconds = 10_800;

export const service = defineKind('', 'services', {
  schema: 'io.k8s.api.core.v1.Service',
  nameSyntax: 'dns-1035-label',
  applyDefaults,
  normalize,
  validate: validateService,
  validateUpdate: validateServiceUpdate,
  validateStatusUpdate: validateServiceStatus,
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

/** Keeps what was allocated before, and both forms of the address equal. */
function normalize(object: KubeObject, old: KubeObject | undefined): void {
  const spec = object.spec as Draft<V1ServiceSpec>;
  if (spec.type === 'ExternalName') return;
  const before = old === undefined ? undefined : viewAs<V1Service>(old).spec;
  if (before != null && before.type !== 'ExternalName') keepAllocated(spec, before);
  if ((spec.clusterIPs ?? []).length === 0 && (spec.clusterIP ?? '') !== '') spec.clusterIPs = [spec.clusterIP ?? ''];
  else if ((spec.clusterIP ?? '') === '' && (spec.clusterIPs ?? []).length > 0 && before === undefined)
    spec.clusterIP = spec.clusterIPs?.[0] ?? '';
  spec.ipFamilyPolicy ??= 'SingleStack';
  if ((spec.ipFamilies ?? []).length === 0) spec.ipFamilies = [isIPv6(spec.clusterIP ?? '') ? 'IPv6' : 'IPv4'];
}

function keepAllocated(spec: Draft<V1ServiceSpec>, before: V1ServiceSpec): void {
  const unset = (spec.clusterIP ?? '') === '' && (spec.clusterIPs ?? []).length === 0;
  if (unset) {
    if (before.clusterIP !== undefined) spec.clusterIP = before.clusterIP;
    if (before.clusterIPs !== undefined) spec.clusterIPs = [...before.clusterIPs];
  } else if (spec.clusterIP !== before.clusterIP && equalJson(spec.clusterIPs ?? [], before.clusterIPs ?? [])) {
    // Only the older field was changed: the newer one follows.
    spec.clusterIPs = (spec.clusterIP ?? '') === '' ? [] : [spec.clusterIP ?? '', ...(spec.clusterIPs ?? []).slice(1)];
  }
  if (spec.type !== 'NodePort' && spec.type !== 'LoadBalancer') return;
  for (const port of spec.ports ?? []) {
    if ((port.nodePort ?? 0) !== 0) continue;
    const same = (before.ports ?? []).find(
      (p) => p.port === port.port && p.protocol === port.protocol && (p.name ?? '') === (port.name ?? ''),
    );
    if ((same?.nodePort ?? 0) !== 0) port.nodePort = same?.nodePort ?? 0;
  }
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
      return [...new Set(given), ...external].join(',') || '<pending>';
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
