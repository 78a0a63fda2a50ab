import type { V1Node, V1PodSpec } from '@coffer/api/generated/types';
import { podRequests } from '@coffer/api/kinds/pod-state';
import { getOwn } from '@coffer/api/meta/safe-object';
import { compareQuantities, parseQuantity, quantityMilliValue, quantityValue } from '@coffer/api/quantity/quantity';
import type { ResourceStore } from '@coffer/storage/store/store';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionPlugin } from '../plugin.ts';

/** Resizes that the pod's node can never grant are refused at once: more than all it has, and nodes of other systems than Linux. */
export function podResize(nodes: ResourceStore): AdmissionPlugin {
  return {
    name: 'PodResizeValidator',
    validate(attributes) {
      const { operation, resource, subresource, object, oldObject } = attributes;
      if (operation !== 'UPDATE' || resource.group !== '' || resource.resource !== 'pods' || subresource !== 'resize') return;
      const spec = object?.spec as V1PodSpec | undefined;
      const nodeName = spec?.nodeName ?? '';
      if (spec === undefined || nodeName === '' || object?.metadata.generation === oldObject?.metadata.generation) return;
      const node = nodes.get('', nodeName)?.peek() as unknown as V1Node | undefined;
      if (node === undefined) throw admissionForbidden(attributes, `node ${JSON.stringify(nodeName)} not found`);
      const system = getOwn(node.metadata?.labels, 'kubernetes.io/os');
      if (system !== undefined && system !== 'linux') {
        const detail = `pod resize is only supported on linux nodes, node ${JSON.stringify(nodeName)} is ${JSON.stringify(system)}`;
        throw admissionForbidden(attributes, detail, [{ reason: 'UnsupportedPlatform' }]);
      }
      const lacking = shortages(spec, node);
      if (lacking.length > 0) {
        const detail = `node didn't have enough allocatable resources: ${lacking.join('; ')}`;
        throw admissionForbidden(attributes, detail, [{ reason: 'NodeCapacity' }]);
      }
    },
  };
}

function shortages(spec: V1PodSpec, node: V1Node): string[] {
  const requests = podRequests(spec);
  const units = { cpu: quantityMilliValue, memory: quantityValue };
  return (['cpu', 'memory'] as const).flatMap((name) => {
    const requested = parseQuantity(getOwn(requests, name) ?? '0');
    const allocatable = parseQuantity(getOwn(node.status?.allocatable, name) ?? '0');
    if (compareQuantities(requested, allocatable) <= 0) return [];
    return [`${name}, requested: ${units[name](requested)}, allocatable: ${units[name](allocatable)}`];
  });
}
