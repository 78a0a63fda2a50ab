import { parseFieldSelector } from '@coffer/api/selectors/fields';
import type { UserInfo } from '@coffer/base/http/handler';
import type { Attributes, Authorizer, Decision } from '../authorizer.ts';
import { nodeRules } from '../rbac/bootstrap-policy.ts';
import { ruleAllows } from '../rbac/policy-rule.ts';
import type { NodeGraph } from './node-graph.ts';

const nodesGroup = 'system:nodes';
const nodeUserPrefix = 'system:node:';
const leaseNamespace = 'kube-node-lease';

const readVerbs = new Set(['get', 'list', 'watch']);
const ownObjectVerbs = new Set(['get', 'create', 'update', 'patch', 'delete']);

/**
 * The node authorizer: a kubelet (`system:node:<name>` in group `system:nodes`) reads only what pods bound to its node refer to
 * and writes only its own node, lease and pods. For everything else it has no opinion, and RBAC grants kubelets nothing.
 */
export function nodeAuthorizer(graph: NodeGraph): Authorizer {
  return {
    authorize(attributes) {
      const node = nodeNameOf(attributes.user);
      if (node === undefined || !attributes.isResourceRequest) return noOpinion('');
      if (node === '') return noOpinion(`unknown node for user ${JSON.stringify(attributes.user.name)}`);
      return authorizeNode(graph, node, attributes);
    },
  };
}

/** The node a user is the kubelet of; an empty name is a kubelet without identity. */
export function nodeNameOf(user: UserInfo): string | undefined {
  if (!user.name.startsWith(nodeUserPrefix) || !user.groups.includes(nodesGroup)) return undefined;
  return user.name.slice(nodeUserPrefix.length);
}

function authorizeNode(graph: NodeGraph, node: string, a: Attributes): Decision {
  switch (a.group === '' ? a.resource : `${a.resource}.${a.group}`) {
    case 'secrets':
    case 'configmaps':
      return readReferenced(graph, node, a.resource === 'secrets' ? 'secrets' : 'configmaps', a);
    case 'persistentvolumeclaims':
      if (a.subresource === 'status') return volumeClaimStatus(graph, node, a);
      return getOne(a, () => graph.refers(node, 'persistentvolumeclaims', a.namespace, a.name), node);
    case 'persistentvolumes':
    case 'volumeattachments.storage.k8s.io':
    case 'resourceclaims.resource.k8s.io':
      return getOne(a, () => false, node);
    case 'serviceaccounts':
      return serviceAccount(graph, node, a);
    case 'pods':
      return pods(graph, node, a);
    case 'nodes':
      return nodes(node, a);
    case 'leases.coordination.k8s.io':
      return leases(node, a);
    case 'csinodes.storage.k8s.io':
      return csiNodes(node, a);
    default:
      return nodeRules.some((rule) => ruleAllows(rule, a)) ? allow() : noOpinion('');
  }
}

function readReferenced(graph: NodeGraph, node: string, resource: 'secrets' | 'configmaps', a: Attributes): Decision {
  if (!readVerbs.has(a.verb)) return noOpinion('can only read resources of this type');
  if (a.subresource !== '') return noOpinion('cannot read subresource');
  if (a.namespace === '') return noOpinion('can only read namespaced object of this type');
  return related(a, graph.refers(node, resource, a.namespace, a.name), node);
}

function getOne(a: Attributes, isRelated: () => boolean, node: string): Decision {
  if (a.verb !== 'get') return noOpinion('can only get individual resources of this type');
  if (a.subresource !== '') return noOpinion('cannot get subresource');
  return related(a, isRelated(), node);
}

function volumeClaimStatus(graph: NodeGraph, node: string, a: Attributes): Decision {
  if (a.verb !== 'update' && a.verb !== 'patch') return noOpinion('can only get/update/patch this type');
  return related(a, graph.refers(node, 'persistentvolumeclaims', a.namespace, a.name), node);
}

function related(a: Attributes, isRelated: boolean, node: string): Decision {
  if (a.name === '') return noOpinion('No Object name found');
  return isRelated ? allow() : noOpinion(`no relationship found between node '${node}' and this object`);
}

/** Accounts of the node's pods are read to find credentials for registries, and get tokens. */
function serviceAccount(graph: NodeGraph, node: string, a: Attributes): Decision {
  if (a.verb === 'get' && a.subresource === '') return related(a, graph.refers(node, 'serviceaccounts', a.namespace, a.name), node);
  if (a.verb !== 'create' || a.name === '') return noOpinion('can only create tokens for individual service accounts');
  if (a.subresource !== 'token') return noOpinion('can only create token subresource of serviceaccount');
  return related(a, graph.refers(node, 'serviceaccounts', a.namespace, a.name), node);
}

/** Creation, deletion, status and eviction are limited to the node's own pods by NodeRestriction admission, which sees the objects. */
function pods(graph: NodeGraph, node: string, a: Attributes): Decision {
  const isOwn = () => graph.nodeOf(a.namespace, a.name) === node;
  switch (a.subresource) {
    case '':
      switch (a.verb) {
        case 'get':
          return related(a, isOwn(), node);
        case 'list':
        case 'watch':
          if (selects(a.fieldSelector, 'spec.nodeName', node)) return allow();
          if (a.name !== '') return related(a, isOwn(), node);
          return noOpinion('can only list/watch pods with spec.nodeName field selector');
        case 'create':
        case 'delete':
          return allow();
        default:
          return noOpinion('');
      }
    case 'status':
      return a.verb === 'update' || a.verb === 'patch' ? allow() : noOpinion('');
    case 'eviction':
      return a.verb === 'create' ? allow() : noOpinion('');
    default:
      return noOpinion('');
  }
}

/** Writes are limited to the node's own object by NodeRestriction admission, which answers in words of its own. */
function nodes(node: string, a: Attributes): Decision {
  if (a.subresource === 'status') return a.verb === 'update' || a.verb === 'patch' ? allow() : noOpinion('');
  if (a.subresource !== '') return noOpinion('');
  if (a.verb === 'create' || a.verb === 'update' || a.verb === 'patch') return allow();
  if (!readVerbs.has(a.verb)) return noOpinion('');
  if (a.name === node) return allow();
  return noOpinion(`node '${node}' cannot read ${a.name === '' ? 'all nodes' : `'${a.name}'`}, only its own Node object`);
}

function csiNodes(node: string, a: Attributes): Decision {
  if (!ownObjectVerbs.has(a.verb)) return noOpinion('can only get, create, update, patch, or delete a CSINode');
  if (a.subresource !== '') return noOpinion('cannot authorize CSINode subresources');
  if (a.verb !== 'create' && a.name !== node) return noOpinion('can only access CSINode with the same name as the requesting node');
  return allow();
}

function leases(node: string, a: Attributes): Decision {
  if (!ownObjectVerbs.has(a.verb)) return noOpinion('can only get, create, update, patch, or delete a node lease');
  if (a.namespace !== leaseNamespace) return noOpinion(`can only access leases in the ${JSON.stringify(leaseNamespace)} system namespace`);
  if (a.verb !== 'create' && a.name !== node) return noOpinion('can only access node lease with the same name as the requesting node');
  return allow();
}

/** True when the field selector demands exactly `field=value`. */
function selects(selector: string | undefined, field: string, value: string): boolean {
  if (selector === undefined) return false;
  try {
    return parseFieldSelector(selector).requirements.some((r) => r.field === field && r.operator === '=' && r.value === value);
  } catch {
    return false; // the endpoint answers 400
  }
}

function allow(): Decision {
  return { decision: 'allow', reason: '' };
}

function noOpinion(reason: string): Decision {
  return { decision: 'no-opinion', reason };
}
