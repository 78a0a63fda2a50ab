import type { UserInfo } from '@coffer/base/http/handler';
import type { Attributes, Authorizer, Decision } from '../authorizer.ts';
import { type PolicyRule, ruleAllows } from '../rbac/policy-rule.ts';
import type { NodeGraph } from './node-graph.ts';

const nodesGroup = 'system:nodes';
const nodeUserPrefix = 'system:node:';
const leaseNamespace = 'kube-node-lease';

/** What every kubelet may do, whatever runs on it; the rest depends on its pods. */
const commonRules: readonly PolicyRule[] = [
  { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'] },
  { verbs: ['create'], apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews', 'localsubjectaccessreviews'] },
  { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['services'] },
  { verbs: ['create', 'get', 'list', 'watch'], apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests'] },
  { verbs: ['create', 'patch', 'update'], apiGroups: ['', 'events.k8s.io'], resources: ['events'] },
  { verbs: ['get', 'list', 'watch'], apiGroups: ['storage.k8s.io'], resources: ['csidrivers'] },
  { verbs: ['get', 'list', 'watch'], apiGroups: ['node.k8s.io'], resources: ['runtimeclasses'] },
];

const readVerbs = new Set(['get', 'list', 'watch']);

/**
 * The node authorizer: a kubelet (`system:node:<name>` in group `system:nodes`) reads only what pods bound to its node refer to
 * and writes only its own node, lease and pods. For everything else it has no opinion, and RBAC grants kubelets nothing.
 */
export function nodeAuthorizer(graph: NodeGraph): Authorizer {
  return {
    authorize(attributes) {
      const node = nodeNameOf(attributes.user);
      if (node === undefined || !attributes.isResourceRequest) return noOpinion('');
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
      if (a.verb === 'get' && a.subresource === '') return readReferenced(graph, node, 'persistentvolumeclaims', a);
      return noOpinion('can only get individual resources of this type');
    case 'serviceaccounts':
      return serviceAccountToken(graph, node, a);
    case 'pods':
      return pods(graph, node, a);
    case 'nodes':
      return nodes(node, a);
    case 'leases.coordination.k8s.io':
      return leases(node, a);
    default:
      return commonRules.some((rule) => ruleAllows(rule, a)) ? allow() : noOpinion('');
  }
}

function readReferenced(
  graph: NodeGraph,
  node: string,
  resource: 'secrets' | 'configmaps' | 'persistentvolumeclaims',
  a: Attributes,
): Decision {
  if (!readVerbs.has(a.verb) || a.subresource !== '') return noOpinion('can only read resources of this type');
  if (a.name === '') return noOpinion('No Object name found');
  if (!graph.refers(node, resource, a.namespace, a.name)) return noOpinion(`no relationship found between node '${node}' and this object`);
  return allow();
}

function serviceAccountToken(graph: NodeGraph, node: string, a: Attributes): Decision {
  if (a.subresource !== 'token' || a.verb !== 'create') return noOpinion('can only create tokens for individual service accounts');
  if (a.name === '') return noOpinion('No Object name found');
  if (!graph.refers(node, 'serviceaccounts', a.namespace, a.name))
    return noOpinion(`no relationship found between node '${node}' and this object`);
  return allow();
}

function pods(graph: NodeGraph, node: string, a: Attributes): Decision {
  if (a.subresource === 'status') {
    return a.verb === 'update' || a.verb === 'patch' ? allow() : noOpinion('can only update or patch pod status');
  }
  if (a.subresource === 'eviction') return a.verb === 'create' ? allow() : noOpinion('');
  if (a.subresource !== '') return noOpinion('');
  switch (a.verb) {
    case 'get':
      return graph.nodeOf(a.namespace, a.name) === node
        ? allow()
        : noOpinion(`no relationship found between node '${node}' and this object`);
    case 'list':
    case 'watch':
      if (selects(a.fieldSelector, 'spec.nodeName', node)) return allow();
      if (a.name !== '' && graph.nodeOf(a.namespace, a.name) === node) return allow();
      return noOpinion(`can only list/watch pods with spec.nodeName field selector`);
    case 'create':
    case 'delete':
      return allow(); // NodeRestriction admission limits these to mirror pods and pods of the node
    default:
      return noOpinion('');
  }
}

function nodes(node: string, a: Attributes): Decision {
  if (a.subresource === 'status')
    return (a.verb === 'update' || a.verb === 'patch') && a.name === node ? allow() : noOpinion('node can only change its own status');
  if (a.subresource !== '') return noOpinion('');
  switch (a.verb) {
    case 'create':
      return allow(); // NodeRestriction admission checks the name
    case 'get':
    case 'update':
    case 'patch':
    case 'list':
    case 'watch':
      return a.name === node ? allow() : noOpinion(`node '${node}' cannot read '${a.name}', only its own Node object`);
    default:
      return noOpinion('');
  }
}

function leases(node: string, a: Attributes): Decision {
  if (!['get', 'create', 'update', 'patch', 'delete'].includes(a.verb))
    return noOpinion('can only get, create, update, patch, or delete a node lease');
  if (a.namespace !== leaseNamespace) return noOpinion(`can only access leases in the ${JSON.stringify(leaseNamespace)} system namespace`);
  if (a.verb !== 'create' && a.name !== node) return noOpinion('can only access node lease with the same name as the requesting node');
  return allow();
}

/** True when the field selector demands exactly `field=value`. */
function selects(selector: string | undefined, field: string, value: string): boolean {
  return selector?.split(',').some((term) => term === `${field}=${value}` || term === `${field}==${value}`) ?? false;
}

function allow(): Decision {
  return { decision: 'allow', reason: '' };
}

function noOpinion(reason: string): Decision {
  return { decision: 'no-opinion', reason };
}
