/**
 * Copies Endpoints that somebody wrote for a service without a selector into EndpointSlices, which is what consumers read. Identity:
 * `endpointslicemirroring-controller`. Endpoints that say so (`endpointslice.kubernetes.io/skip-mirror`) and locks are left alone.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { CoreV1EndpointPort, V1Endpoint, V1EndpointAddress, V1EndpointSlice, V1Endpoints } from '@coffer/api/generated/types';
import { keyOf, nameOf, namespaceOf } from '@coffer/client/rest/api-object';
import { ENDPOINT_SLICES, ENDPOINTS, SERVICES } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import { controllerReference } from '../common/controller-ref.ts';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isNamespaceTerminating } from '../common/namespace-terminating.ts';
import { reconcileSlices, type SliceContent, type SliceFrame } from './reconcile-slices.ts';
import { repackSubsets } from './repack-subsets.ts';
import { LAST_CHANGE } from './trigger-times.ts';

const WORKERS = 5;
const SERVICE_NAME = 'kubernetes.io/service-name';
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const MANAGER = 'endpointslicemirroring-controller.k8s.io';
const SKIP = 'endpointslice.kubernetes.io/skip-mirror';
const LOCK = 'control-plane.alpha.kubernetes.io/leader';
const OWN_ANNOTATIONS = new Set(['kubectl.kubernetes.io/last-applied-configuration', LAST_CHANGE]);
const BY_SERVICE = 'service';
/** Of one subset; what is beyond is not copied. */
const MAX_ADDRESSES = 1000;

export async function runEndpointSliceMirroring(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  const endpoints = deps.informers.informer(ENDPOINTS);
  const services = deps.informers.informer(SERVICES);
  const slices = deps.informers.informer(ENDPOINT_SLICES, { labelSelector: `${MANAGED_BY}=${MANAGER}` });
  const queue = new WorkQueue(deps.clock);
  const keyOfSlice = (slice: V1EndpointSlice) => `${namespaceOf(slice)}/${slice.metadata?.labels?.[SERVICE_NAME] ?? ''}`;
  slices.addIndex(BY_SERVICE, (slice) => [keyOfSlice(slice)]);
  await deps.informers.whenSynced(signal).catch(() => undefined);
  for (const informer of [endpoints, services]) {
    informer.addHandler({
      onAdd: (object) => queue.add(keyOf(object)),
      onUpdate: (_old, object) => queue.add(keyOf(object)),
      onDelete: (object) => queue.add(keyOf(object)),
    });
  }
  slices.addHandler({
    onUpdate: (_old, slice) => queue.add(keyOfSlice(slice)),
    onDelete: (slice) => queue.add(keyOfSlice(slice)),
  });

  const sync = async (key: string): Promise<void> => {
    const original = endpoints.get(key);
    const service = services.get(key);
    const mirrored = original !== undefined && isMirrored(original) && service !== undefined && service.spec?.selector === undefined;
    const existing = slices.byIndex(BY_SERVICE, key).filter((slice) => slice.metadata?.deletionTimestamp === undefined);
    if (!mirrored && existing.length === 0) return;
    try {
      await reconcileSlices(deps, slices, mirrored ? frameOf(original) : undefined, existing, mirrored ? contentsOf(original) : [], signal);
    } catch (error) {
      if (!isReason(error, 'NotFound') && !isNamespaceTerminating(error)) throw error;
    }
  };
  await queue.run(WORKERS, sync, deps.logger, signal);
}

function isMirrored({ metadata }: V1Endpoints): boolean {
  return metadata?.labels?.[SKIP] !== 'true' && metadata?.annotations?.[LOCK] === undefined;
}

function frameOf(original: V1Endpoints): SliceFrame {
  const { labels, annotations } = original.metadata ?? {};
  return {
    namespace: namespaceOf(original),
    name: nameOf(original),
    labels: { ...labels, [SERVICE_NAME]: nameOf(original), [MANAGED_BY]: MANAGER },
    annotations: Object.fromEntries(Object.entries(annotations ?? {}).filter(([name]) => !OWN_ANNOTATIONS.has(name))),
    owner: controllerReference(original, ENDPOINTS),
  };
}

/** One slice for each set of ports and kind of address; subsets with the same ports come together. */
function contentsOf(original: V1Endpoints): SliceContent[] {
  const contents = new Map<string, SliceContent & { readonly endpoints: V1Endpoint[] }>();
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of repackSubsets(original.subsets ?? [])) {
    const all = [
      ...addresses.map((address) => [address, true] as const),
      ...notReadyAddresses.map((address) => [address, false] as const),
    ].slice(0, MAX_ADDRESSES);
    for (const [address, ready] of all) {
      const addressType = address.ip.includes(':') ? 'IPv6' : 'IPv4';
      const key = JSON.stringify([addressType, ports]);
      const content = contents.get(key) ?? { addressType, ports: ports.map(portOf), endpoints: [] };
      content.endpoints.push(endpointOf(address, ready));
      contents.set(key, content);
    }
  }
  return [...contents.values()];
}

function portOf({ name = '', port, protocol = 'TCP', appProtocol }: CoreV1EndpointPort) {
  return { name, port, protocol, ...(appProtocol === undefined ? {} : { appProtocol }) };
}

function endpointOf({ ip, hostname, nodeName, targetRef }: V1EndpointAddress, ready: boolean): V1Endpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname === undefined ? {} : { hostname }),
    ...(targetRef === undefined ? {} : { targetRef }),
    ...(nodeName === undefined ? {} : { nodeName }),
  };
}
