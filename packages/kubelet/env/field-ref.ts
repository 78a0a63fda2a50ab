/** Values of the downward API: fields of the pod and resources of its containers, as text. Pure. */
import { quoteGo } from '@coffer/api/errors/field-error';
import { getOwn } from '@coffer/api/meta/safe-object';
import { bytesInDivisors, cpuInDivisors, parseQuantity } from '@coffer/api/quantity/quantity';
import type { Container, Pod } from '../types.ts';
import { findContainer } from '../types.ts';

export interface FieldContext {
  readonly pod: Pod;
  /** Addresses of the pod; the first is the primary one. */
  readonly podIps: readonly string[];
  readonly hostIps: readonly string[];
}

/** The value of a `fieldRef`. Throws for a path that is not supported. */
export function fieldValue(path: string, context: FieldContext): string {
  const { pod } = context;
  switch (path) {
    case 'spec.nodeName':
      return pod.spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? '';
    case 'status.hostIP':
      return context.hostIps[0] ?? '';
    case 'status.hostIPs':
      return context.hostIps.join(',');
    case 'status.podIP':
      return context.podIps[0] ?? '';
    case 'status.podIPs':
      return context.podIps.join(',');
    case 'metadata.annotations':
      return formatMap(pod.metadata.annotations);
    case 'metadata.labels':
      return formatMap(pod.metadata.labels);
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return pod.metadata.namespace;
    case 'metadata.uid':
      return pod.metadata.uid;
  }
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/s.exec(path);
  if (subscript !== null) {
    const [, field, key = ''] = subscript;
    return getOwn(field === 'labels' ? pod.metadata.labels : pod.metadata.annotations, key) ?? '';
  }
  throw new Error(`unsupported fieldPath: ${path}`);
}

/** A map as downward API files show it: sorted `key="value"` lines. */
function formatMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.keys(map ?? {})
    .sort()
    .map((key) => `${key}=${quoteGo(getOwn(map, key) ?? '')}`)
    .join('\n');
}

export interface ResourceSelector {
  readonly containerName?: string;
  readonly resource: string;
  readonly divisor?: string;
}

/** The value of a `resourceFieldRef`; limits that are not set are those of the node. */
export function resourceValue(
  selector: ResourceSelector,
  pod: Pod,
  own: Container | undefined,
  allocatable: Readonly<Record<string, string>>,
): string {
  const container =
    selector.containerName === undefined || selector.containerName === '' ? own : findContainer(pod, selector.containerName)?.container;
  if (container === undefined) throw new Error(`container ${selector.containerName ?? ''} not found`);
  const dot = selector.resource.indexOf('.');
  const side = selector.resource.slice(0, dot);
  const name = selector.resource.slice(dot + 1);
  if ((side !== 'limits' && side !== 'requests') || !isKnownResource(name)) {
    throw new Error(`unsupported container resource : ${selector.resource}`);
  }
  const resources = container.resources;
  const fallback = getOwn(resources?.limits, name) ?? getOwn(pod.spec.resources?.limits, name) ?? getOwn(allocatable, name) ?? '0';
  const quantity = side === 'limits' ? fallback : (getOwn(resources?.requests, name) ?? '0');
  const divisor = parseQuantity(selector.divisor ?? '1');
  return String(name === 'cpu' ? cpuInDivisors(parseQuantity(quantity), divisor) : bytesInDivisors(parseQuantity(quantity), divisor));
}

function isKnownResource(name: string): boolean {
  return name === 'cpu' || name === 'memory' || name === 'ephemeral-storage' || name.startsWith('hugepages-');
}
