import { forbidden } from '@coffer/api/errors/status-error';
import type { V1Pod } from '@coffer/api/generated/types';
import { podReferences } from '@coffer/api/node/pod-references';
import { nodeNameOf } from '../../authorization/node/node-authorizer.ts';
import type { NodeGraph } from '../../authorization/node/node-graph.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';

const mirrorAnnotation = 'kubernetes.io/config.mirror';
const restrictedLabelDomain = 'node-restriction.kubernetes.io';
const allowedKubernetesLabels = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/arch',
  'kubernetes.io/os',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'failure-domain.beta.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
]);

/**
 * What a kubelet may write in detail (upstream's NodeRestriction): only its own Node and without labels of the restricted
 * prefixes, only mirror pods, status and deletion of pods bound to it, tokens bound to its pods, its own lease.
 */
export function nodeRestrictionPlugin(graph: NodeGraph): AdmissionPlugin {
  return {
    name: 'NodeRestriction',
    validate(attributes) {
      const node = nodeNameOf(attributes.user);
      if (node === undefined) return;
      if (node === '') throw refuse(attributes, 'could not determine node from user');
      switch (attributes.resource.resource) {
        case 'pods':
          return restrictPod(graph, node, attributes);
        case 'nodes':
          return restrictNode(node, attributes);
        case 'serviceaccounts':
          return restrictToken(graph, node, attributes);
        case 'leases':
          if (attributes.namespace !== 'kube-node-lease' || attributes.name !== node)
            throw refuse(attributes, 'can only access node lease with the same name as the requesting node');
          return;
        default:
          return;
      }
    },
  };
}

function restrictPod(graph: NodeGraph, node: string, attributes: AdmissionAttributes): void {
  const bound = graph.nodeOf(attributes.namespace, attributes.name);
  if (attributes.subresource === 'status' || attributes.subresource === 'eviction' || attributes.operation === 'DELETE') {
    if (bound !== undefined && bound !== node) {
      throw refuse(
        attributes,
        `node ${JSON.stringify(node)} can only ${attributes.operation === 'DELETE' ? 'delete pods with' : 'update pod status for pods with'} spec.nodeName set to itself`,
      );
    }
    return;
  }
  if (attributes.operation !== 'CREATE')
    throw refuse(
      attributes,
      `unexpected operation ${JSON.stringify(attributes.operation)}, node ${JSON.stringify(node)} can only create and delete mirror pods`,
    );
  const pod = attributes.object as unknown as V1Pod;
  if (pod.metadata?.annotations?.[mirrorAnnotation] === undefined) {
    throw refuse(
      attributes,
      `pod does not have ${JSON.stringify(mirrorAnnotation)} annotation, node ${JSON.stringify(node)} can only create mirror pods`,
    );
  }
  if (pod.spec?.nodeName !== node)
    throw refuse(attributes, `node ${JSON.stringify(node)} can only create pods with spec.nodeName set to itself`);
  const references = podReferences(pod);
  if (references.serviceAccount !== '')
    throw refuse(attributes, `node ${JSON.stringify(node)} can not create pods that reference a service account`);
  if (references.secrets.size > 0) throw refuse(attributes, `node ${JSON.stringify(node)} can not create pods that reference secrets`);
  if (references.configMaps.size > 0)
    throw refuse(attributes, `node ${JSON.stringify(node)} can not create pods that reference configmaps`);
  if (references.persistentVolumeClaims.size > 0)
    throw refuse(attributes, `node ${JSON.stringify(node)} can not create pods that reference persistentvolumeclaims`);
}

function restrictNode(node: string, attributes: AdmissionAttributes): void {
  const requested = attributes.name || (attributes.object?.metadata.name ?? '');
  if (requested !== node)
    throw refuse(attributes, `node ${JSON.stringify(node)} is not allowed to modify node ${JSON.stringify(requested)}`);
  const oldLabels = attributes.oldObject?.metadata.labels ?? {};
  const newLabels = attributes.object?.metadata.labels ?? {};
  const changed = [...new Set([...Object.keys(oldLabels), ...Object.keys(newLabels)])].filter((key) => oldLabels[key] !== newLabels[key]);
  const refused = changed.filter(isRestrictedLabel).sort();
  if (refused.length > 0) throw refuse(attributes, `is not allowed to modify labels: ${refused.join(', ')}`);
  if (attributes.operation === 'UPDATE' && JSON.stringify(taintsOf(attributes.oldObject)) !== JSON.stringify(taintsOf(attributes.object))) {
    throw refuse(attributes, `node ${JSON.stringify(node)} is not allowed to modify taints`);
  }
}

function taintsOf(object: AdmissionAttributes['object']): unknown {
  return (object?.['spec'] as { taints?: unknown } | undefined)?.taints ?? [];
}

function isRestrictedLabel(key: string): boolean {
  const slash = key.indexOf('/');
  const domain = slash < 0 ? '' : key.slice(0, slash);
  if (domain === restrictedLabelDomain || domain.endsWith(`.${restrictedLabelDomain}`)) return true;
  const kubernetes = domain === 'kubernetes.io' || domain.endsWith('.kubernetes.io') || domain === 'k8s.io' || domain.endsWith('.k8s.io');
  if (!kubernetes || allowedKubernetesLabels.has(key)) return false;
  return !['kubelet.kubernetes.io', 'node.kubernetes.io'].some((allowed) => domain === allowed || domain.endsWith(`.${allowed}`));
}

function restrictToken(graph: NodeGraph, node: string, attributes: AdmissionAttributes): void {
  if (attributes.subresource !== 'token') return;
  const spec = attributes.object?.['spec'] as { boundObjectRef?: { kind?: string; name?: string } } | undefined;
  const ref = spec?.boundObjectRef;
  if (ref?.kind !== 'Pod' || !ref.name) throw refuse(attributes, 'node requested token not bound to a pod');
  if (graph.nodeOf(attributes.namespace, ref.name) !== node)
    throw refuse(attributes, 'node requested token bound to a pod scheduled on a different node');
}

function refuse(attributes: AdmissionAttributes, detail: string): Error {
  return forbidden({ group: attributes.resource.group, resource: attributes.resource.resource }, attributes.name, detail);
}
