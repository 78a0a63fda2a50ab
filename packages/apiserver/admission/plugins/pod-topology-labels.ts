import type { V1Binding, V1PodSpec } from '@coffer/api/generated/types';
import { getOwn, setOwn } from '@coffer/api/meta/safe-object';
import type { ResourceStore } from '@coffer/storage/store/store';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';

const copied = ['topology.kubernetes.io/zone', 'topology.kubernetes.io/region'];

/** What is put on a node says where it is: zone and region of the node become labels of the pod, or of the binding that assigns it. */
export function podTopologyLabels(nodes: ResourceStore): AdmissionPlugin {
  return {
    name: 'PodTopologyLabels',
    admit(attributes) {
      const nodeName = nodeNameOf(attributes);
      const node = nodeName === '' ? undefined : nodes.get('', nodeName)?.peek();
      const { object } = attributes;
      if (node === undefined || object === undefined) return;
      const labels: Record<string, string> = { ...object.metadata.labels };
      let any = false;
      for (const name of copied) {
        const value = getOwn(node.metadata.labels, name);
        if (value === undefined) continue;
        setOwn(labels, name, value);
        any = true;
      }
      if (any) object.metadata.labels = labels;
    },
  };
}

function nodeNameOf({ operation, resource, subresource, object }: AdmissionAttributes): string {
  if (operation !== 'CREATE' || resource.group !== '' || object === undefined) return '';
  if (resource.resource !== 'pods') return '';
  if (subresource === '') return (object.spec as V1PodSpec | undefined)?.nodeName ?? '';
  const target = subresource === 'binding' ? (object as unknown as V1Binding).target : undefined;
  return target?.kind === 'Node' ? (target.name ?? '') : '';
}
