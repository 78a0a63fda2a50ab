import { notFound } from '@coffer/api/errors/status-error';
import type { V1Node, V1Pod } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import { podReferences } from '@coffer/api/node/pod-references';
import type { ResourceStore } from '@coffer/storage/store/store';
import { nodeNameOf } from '../../authorization/node/node-authorizer.ts';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';
import { forbiddenNodeLabels } from './node-labels.ts';

const mirrorAnnotation = 'kubernetes.io/config.mirror';
const leaseNamespace = 'kube-node-lease';

export interface NodeRestrictionDeps {
  readonly pods: ResourceStore;
  readonly nodes: ResourceStore;
}

/**
 * What a kubelet may write in detail (upstream's NodeRestriction): only its own Node and without labels of the restricted
 * prefixes, only mirror pods, status and deletion of pods bound to it, tokens bound to its pods, its own lease.
 */
export function nodeRestrictionPlugin(deps: NodeRestrictionDeps): AdmissionPlugin {
  return {
    name: 'NodeRestriction',
    admit(attributes) {
      const node = nodeNameOf(attributes.user);
      if (node === undefined || attributes.operation === 'CONNECT') return;
      if (node === '') throw admissionForbidden(attributes, `could not determine node from user ${quote(attributes.user.name)}`);
      const { group, resource } = attributes.resource;
      switch (group === '' ? resource : `${resource}.${group}`) {
        case 'pods':
          restrictPods(deps, node, attributes);
          return;
        case 'nodes':
          restrictNode(node, attributes);
          return;
        case 'persistentvolumeclaims':
          if (attributes.subresource !== 'status') throw admissionForbidden(attributes, 'may only update PVC status');
          return;
        case 'serviceaccounts':
          restrictToken(deps, node, attributes);
          return;
        case 'leases.coordination.k8s.io':
          restrictLease(node, attributes);
          return;
        default:
          return;
      }
    },
  };
}

function restrictPods(deps: NodeRestrictionDeps, node: string, attributes: AdmissionAttributes): void {
  switch (attributes.subresource) {
    case '':
      restrictPod(deps, node, attributes);
      return;
    case 'status':
      restrictPodStatus(node, attributes);
      return;
    case 'eviction':
      if (nodeOfPod(deps, attributes) !== node) {
        throw admissionForbidden(attributes, `node ${node} can only evict pods with spec.nodeName set to itself`);
      }
      return;
    default:
      throw admissionForbidden(
        attributes,
        `unexpected pod subresource ${quote(attributes.subresource)}, only 'status' and 'eviction' are allowed`,
      );
  }
}

function restrictPod(deps: NodeRestrictionDeps, node: string, attributes: AdmissionAttributes): void {
  switch (attributes.operation) {
    case 'CREATE':
      restrictMirrorPod(deps, node, attributes, attributes.object as unknown as V1Pod);
      return;
    case 'DELETE':
      if (nodeOfPod(deps, attributes) === node) return;
      throw admissionForbidden(attributes, `node ${quote(node)} can only delete pods with spec.nodeName set to itself`);
    default:
      throw admissionForbidden(
        attributes,
        `unexpected operation ${quote(attributes.operation)}, node ${quote(node)} can only create and delete mirror pods`,
      );
  }
}

function restrictMirrorPod(deps: NodeRestrictionDeps, node: string, attributes: AdmissionAttributes, pod: V1Pod): void {
  const refuse = (detail: string) => admissionForbidden(attributes, detail);
  const who = `node ${quote(node)}`;
  if (pod.metadata?.annotations?.[mirrorAnnotation] === undefined) {
    throw refuse(`pod does not have ${quote(mirrorAnnotation)} annotation, ${who} can only create mirror pods`);
  }
  if (pod.spec?.nodeName !== node) throw refuse(`${who} can only create pods with spec.nodeName set to itself`);
  const [owner, ...others] = pod.metadata?.ownerReferences ?? [];
  if (others.length > 0) throw refuse(`${who} can only create pods with a single owner reference set to itself`);
  if (owner?.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) {
    throw refuse(`${who} can only create pods with an owner reference set to itself`);
  }
  if (owner.controller !== true) throw refuse(`${who} can only create pods with a controller owner reference set to itself`);
  if (owner.blockOwnerDeletion === true) throw refuse(`${who} must not set blockOwnerDeletion on an owner reference`);
  const existing = deps.nodes.get('', node);
  if (!existing) throw notFound({ group: '', resource: 'node' }, node);
  if (existing.uid !== owner.uid) throw refuse(`node ${node} UID mismatch: expected ${owner.uid} got ${existing.uid}`);
  if ((pod.spec.serviceAccountName ?? '') !== '') throw refuse(`${who} can not create pods that reference a service account`);
  const references = podReferences(pod);
  if (references.secrets.size > 0) throw refuse(`${who} can not create pods that reference secrets`);
  if (references.configMaps.size > 0) throw refuse(`${who} can not create pods that reference configmaps`);
  if (references.persistentVolumeClaims.size > 0) throw refuse(`${who} can not create pods that reference persistentvolumeclaims`);
}

function restrictPodStatus(node: string, attributes: AdmissionAttributes): void {
  if (attributes.operation !== 'UPDATE') throw admissionForbidden(attributes, `unexpected operation ${quote(attributes.operation)}`);
  const old = attributes.oldObject as unknown as V1Pod | undefined;
  if (old?.spec?.nodeName !== node) {
    throw admissionForbidden(attributes, `node ${quote(node)} can only update pod status for pods with spec.nodeName set to itself`);
  }
  if (!equalJson(old.metadata?.labels ?? {}, attributes.object?.metadata.labels ?? {})) {
    throw admissionForbidden(attributes, `node ${quote(node)} cannot update labels through pod status`);
  }
}

function restrictNode(node: string, attributes: AdmissionAttributes): void {
  const requested = attributes.name || (attributes.object?.metadata.name ?? '');
  if (requested !== node) throw admissionForbidden(attributes, `node ${quote(node)} is not allowed to modify node ${quote(requested)}`);
  if (attributes.operation !== 'CREATE' && attributes.operation !== 'UPDATE') return;
  const object = attributes.object as unknown as V1Node;
  const old = attributes.oldObject as unknown as V1Node | undefined;
  const refused = forbiddenNodeLabels(object.metadata?.labels ?? {}, old?.metadata?.labels ?? {});
  if (attributes.operation === 'CREATE') {
    if (refused.length === 0) return;
    throw admissionForbidden(attributes, `node ${quote(node)} is not allowed to set the following labels: ${refused.join(', ')}`);
  }
  if (!equalJson(old?.spec?.taints ?? [], object.spec?.taints ?? [])) {
    throw admissionForbidden(attributes, `node ${quote(node)} is not allowed to modify taints`);
  }
  if (refused.length > 0) throw admissionForbidden(attributes, `is not allowed to modify labels: ${refused.join(', ')}`);
}

function restrictToken(deps: NodeRestrictionDeps, node: string, attributes: AdmissionAttributes): void {
  if (attributes.operation !== 'CREATE' || attributes.subresource !== 'token') return;
  const spec = attributes.object?.spec as { readonly boundObjectRef?: BoundReference } | undefined;
  const ref = spec?.boundObjectRef;
  if (ref?.apiVersion !== 'v1' || ref.kind !== 'Pod' || !ref.name) {
    throw admissionForbidden(attributes, 'node requested token not bound to a pod');
  }
  if (!ref.uid) throw admissionForbidden(attributes, 'node requested token with a pod binding without a uid');
  const pod = deps.pods.get(attributes.namespace, ref.name);
  if (!pod) throw notFound({ group: '', resource: 'pod' }, ref.name);
  if (pod.uid !== ref.uid) {
    throw admissionForbidden(
      attributes,
      `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  if (pod.fields['spec.nodeName'] !== node) {
    throw admissionForbidden(attributes, 'node requested token bound to a pod scheduled on a different node');
  }
}

interface BoundReference {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly uid?: string;
}

function restrictLease(node: string, attributes: AdmissionAttributes): void {
  if (attributes.namespace !== leaseNamespace) {
    throw admissionForbidden(attributes, `can only access leases in the ${quote(leaseNamespace)} system namespace`);
  }
  const name = attributes.operation === 'CREATE' ? attributes.object?.metadata.name : attributes.name;
  if (name !== node) throw admissionForbidden(attributes, 'can only access node lease with the same name as the requesting node');
}

function nodeOfPod(deps: NodeRestrictionDeps, attributes: AdmissionAttributes): string {
  const pod = deps.pods.get(attributes.namespace, attributes.name);
  if (!pod) throw notFound({ group: '', resource: 'pod' }, attributes.name);
  return pod.fields['spec.nodeName'] ?? '';
}

function quote(text: string): string {
  return JSON.stringify(text);
}
