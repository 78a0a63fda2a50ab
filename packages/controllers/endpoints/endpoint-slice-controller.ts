/** Keeps the EndpointSlices of every service with a selector: at most 100 endpoints each. Identity: `endpointslice-controller`. */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Endpoint, V1EndpointSlice, V1Service } from '@coffer/api/generated/types';
import { nameOf, namespaceOf } from '@coffer/client/rest/api-object';
import { ENDPOINT_SLICES, NODES, SERVICES } from '@coffer/client/rest/well-known';
import { controllerReference } from '../common/controller-ref.ts';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isNamespaceTerminating } from '../common/namespace-terminating.ts';
import { reconcileSlices, type SliceContent, type SliceFrame } from './reconcile-slices.ts';
import type { Backend, IpFamily } from './service-backends.ts';
import { backendsOf, byPorts, familiesOf, hasSelector } from './service-backends.ts';
import { runServiceLoop } from './service-loop.ts';
import { LAST_CHANGE, TriggerTimes } from './trigger-times.ts';

const SERVICE_NAME = 'kubernetes.io/service-name';
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const MANAGER = 'endpointslice-controller.k8s.io';
const HEADLESS = 'service.kubernetes.io/headless';
const ZONE = 'topology.kubernetes.io/zone';
const MAX_ENDPOINTS = 100;

export async function runEndpointSliceController(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  const slices = deps.informers.informer(ENDPOINT_SLICES, { labelSelector: `${MANAGED_BY}=${MANAGER}` });
  const nodes = deps.informers.informer(NODES);
  const byService = 'service';
  const serviceOf = (slice: V1EndpointSlice) => `${namespaceOf(slice)}/${slice.metadata?.labels?.[SERVICE_NAME] ?? ''}`;
  slices.addIndex(byService, (slice) => [serviceOf(slice)]);
  const times = new TriggerTimes();
  const zoneOf = (node: string) => nodes.get(node)?.metadata?.labels?.[ZONE];

  await runServiceLoop(
    deps,
    {
      made: slices,
      serviceOf,
      async sync(key, service, pods) {
        const existing = slices.byIndex(byService, key).filter((slice) => slice.metadata?.deletionTimestamp === undefined);
        const wanted =
          service === undefined || !hasSelector(service)
            ? []
            : familiesOf(service).flatMap((family) => contents(service, backendsOf(service, pods, family), family, zoneOf));
        const frame = service === undefined ? undefined : frameOf(service, times.annotation(service, pods));
        if (service === undefined) times.forget(key);
        try {
          await reconcileSlices(deps, slices, frame, existing, wanted, signal);
        } catch (error) {
          if (!isReason(error, 'NotFound') && !isNamespaceTerminating(error)) throw error;
        }
      },
    },
    signal,
  );
}

function frameOf(service: V1Service, annotations: Readonly<Record<string, string>>): SliceFrame {
  return {
    namespace: namespaceOf(service),
    name: nameOf(service),
    labels: labelsOf(service),
    stamp: { names: [LAST_CHANGE], annotations },
    owner: controllerReference(service, SERVICES),
  };
}

function labelsOf(service: V1Service): Record<string, string> {
  return {
    ...service.metadata?.labels,
    [SERVICE_NAME]: nameOf(service),
    [MANAGED_BY]: MANAGER,
    ...(service.spec?.clusterIP === 'None' ? { [HEADLESS]: '' } : {}),
  };
}

function contents(
  service: V1Service,
  backends: readonly Backend[],
  family: IpFamily,
  zoneOf: (node: string) => string | undefined,
): SliceContent[] {
  const groups = byPorts(backends);
  // A service without endpoints still has a slice that says so.
  if (groups.length === 0) return [{ addressType: family, endpoints: [], ports: [] }];
  return groups.flatMap((group) => {
    const ports = (group[0]?.ports ?? []).map(({ name, port, protocol, appProtocol }) => ({
      name,
      port,
      protocol,
      ...(appProtocol === undefined ? {} : { appProtocol }),
    }));
    const chunks: SliceContent[] = [];
    for (let at = 0; at < group.length; at += MAX_ENDPOINTS) {
      chunks.push({
        addressType: family,
        endpoints: group
          .slice(at, at + MAX_ENDPOINTS)
          .map((backend) => withHints(endpoint(backend, zoneOf), service.spec?.trafficDistribution)),
        ports,
      });
    }
    return chunks;
  });
}

function endpoint(backend: Backend, zoneOf: (node: string) => string | undefined): V1Endpoint {
  const { pod, ready, serving, terminating } = backend;
  const nodeName = pod.spec?.nodeName;
  const zone = nodeName === undefined ? undefined : zoneOf(nodeName);
  return {
    addresses: [backend.ip],
    conditions: { ready, serving, terminating },
    ...(backend.hostname === undefined ? {} : { hostname: backend.hostname }),
    targetRef: { kind: 'Pod', namespace: namespaceOf(pod), name: nameOf(pod), uid: pod.metadata?.uid ?? '' },
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(zone === undefined ? {} : { zone }),
  };
}

/** Tells proxies near which endpoint they should be to use it, where the service asks for that. */
function withHints(endpoint: V1Endpoint, distribution: string | undefined): V1Endpoint {
  if (distribution === undefined || endpoint.conditions?.ready !== true) return endpoint;
  const forZones = endpoint.zone === undefined ? {} : { forZones: [{ name: endpoint.zone }] };
  const forNodes = endpoint.nodeName === undefined || distribution !== 'PreferSameNode' ? {} : { forNodes: [{ name: endpoint.nodeName }] };
  const hints = { ...forZones, ...forNodes };
  return Object.keys(hints).length === 0 ? endpoint : { ...endpoint, hints };
}
