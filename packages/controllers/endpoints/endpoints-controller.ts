/** Keeps the older Endpoints object of every service with a selector. Identity: `endpoint-controller`. */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1EndpointAddress, V1EndpointSubset, V1Endpoints, V1Service } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import { keyOf, nameOf, namespaceOf, splitKey } from '@coffer/client/rest/api-object';
import { ENDPOINTS } from '@coffer/client/rest/well-known';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isNamespaceTerminating } from '../common/namespace-terminating.ts';
import { repackSubsets } from './repack-subsets.ts';
import type { Backend } from './service-backends.ts';
import { backendsOf, familiesOf, hasSelector } from './service-backends.ts';
import { runServiceLoop } from './service-loop.ts';
import { LAST_CHANGE, TriggerTimes } from './trigger-times.ts';

const MANAGED_BY = 'endpoints.kubernetes.io/managed-by';
const MANAGER = 'endpoint-controller';
const HEADLESS = 'service.kubernetes.io/headless';
/** An object with more addresses is cut off and says so. */
const MAX_ADDRESSES = 1000;
const OVER_CAPACITY = 'endpoints.kubernetes.io/over-capacity';

export async function runEndpointsController(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  const endpoints = deps.informers.informer(ENDPOINTS);
  const times = new TriggerTimes();
  /** Services that went away while this loop ran: their Endpoints go with them, whoever wrote them. */
  const deleted = new Set<string>();
  await runServiceLoop(
    deps,
    {
      made: endpoints,
      serviceOf: keyOf,
      serviceDeleted: (key) => deleted.add(key),
      async sync(key, service, pods) {
        const existing = endpoints.get(key);
        const { namespace, name } = splitKey(key);
        const client = deps.api.resource(ENDPOINTS);
        try {
          if (service === undefined) {
            times.forget(key);
            // Others keep Endpoints that never had a service, for leader election for example.
            const goes = deleted.delete(key) || existing?.metadata?.labels?.[MANAGED_BY] === MANAGER;
            if (goes && existing !== undefined) await client.delete(name, { namespace, signal });
            return;
          }
          deleted.delete(key);
          if (!hasSelector(service)) return;
          const portless = (service.spec?.ports ?? []).length === 0;
          const backends = backendsOf(service, pods, familiesOf(service)[0] ?? 'IPv4').filter(
            ({ terminating, ports }) => (!terminating || service.spec?.publishNotReadyAddresses === true) && (portless || ports.length > 0),
          );
          const wanted = endpointsOf(service, backends, times.annotation(service, pods));
          if (existing === undefined) await client.create(wanted, { namespace, signal });
          else if (!says(existing, wanted))
            await client.update(
              { ...existing, metadata: { ...existing.metadata, ...partOf(wanted, existing) }, subsets: wanted.subsets ?? [] },
              { namespace, signal },
            );
        } catch (error) {
          if (!isReason(error, 'NotFound') && !isReason(error, 'AlreadyExists') && !isNamespaceTerminating(error)) throw error;
        }
      },
    },
    signal,
  );
}

function says(existing: V1Endpoints, wanted: V1Endpoints): boolean {
  return (
    equalJson(existing.subsets ?? [], wanted.subsets ?? []) &&
    equalJson(existing.metadata?.labels ?? {}, wanted.metadata?.labels ?? {}) &&
    existing.metadata?.annotations?.[OVER_CAPACITY] === wanted.metadata?.annotations?.[OVER_CAPACITY]
  );
}

/** Labels as wanted; annotations of others stay. */
function partOf(wanted: V1Endpoints, existing: V1Endpoints) {
  const { [OVER_CAPACITY]: _capacity, [LAST_CHANGE]: _time, ...others } = existing.metadata?.annotations ?? {};
  return { labels: wanted.metadata?.labels ?? {}, annotations: { ...others, ...wanted.metadata?.annotations } };
}

function endpointsOf(service: V1Service, all: readonly Backend[], times: Readonly<Record<string, string>>): V1Endpoints {
  // When not all fit, those that work are kept.
  const backends = all.length <= MAX_ADDRESSES ? all : [...all].sort((a, b) => Number(b.ready) - Number(a.ready)).slice(0, MAX_ADDRESSES);
  const annotations = { ...times, ...(backends.length < all.length ? { [OVER_CAPACITY]: 'truncated' } : {}) };
  const headless = service.spec?.clusterIP === 'None' ? { [HEADLESS]: '' } : {};
  return {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      name: nameOf(service),
      namespace: namespaceOf(service),
      labels: { ...service.metadata?.labels, ...headless, [MANAGED_BY]: MANAGER },
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    },
    ...(backends.length === 0 ? {} : { subsets: repackSubsets(backends.map(subset)) }),
  };
}

function subset(backend: Backend): V1EndpointSubset {
  const ports = backend.ports.map(({ name, port, protocol, appProtocol }) => ({
    ...(name === '' ? {} : { name }),
    port,
    protocol,
    ...(appProtocol === undefined ? {} : { appProtocol }),
  }));
  return backend.ready ? { addresses: [address(backend)], ports } : { notReadyAddresses: [address(backend)], ports };
}

function address(backend: Backend): V1EndpointAddress {
  const { pod } = backend;
  return {
    ip: backend.ip,
    ...(backend.hostname === undefined ? {} : { hostname: backend.hostname }),
    ...(pod.spec?.nodeName === undefined ? {} : { nodeName: pod.spec.nodeName }),
    targetRef: { kind: 'Pod', namespace: namespaceOf(pod), name: nameOf(pod), uid: pod.metadata?.uid ?? '' },
  };
}
