/** Every kind this program knows, by group and resource. */

import { customResourceDefinition } from './apiextensions/custom-resource-definition.ts';
import { deployment } from './apps/deployment.ts';
import { replicaSet } from './apps/replica-set.ts';
import { selfSubjectReview, tokenReview } from './authentication/reviews.ts';
import {
  localSubjectAccessReview,
  selfSubjectAccessReview,
  selfSubjectRulesReview,
  subjectAccessReview,
} from './authorization/access-reviews.ts';
import { certificateSigningRequest } from './certificates/csr.ts';
import { lease } from './coordination/lease.ts';
import { binding } from './core/binding.ts';
import { configMap } from './core/configmap.ts';
import { endpoints } from './core/endpoints.ts';
import { event } from './core/event.ts';
import { limitRange } from './core/limit-range.ts';
import { namespace } from './core/namespace.ts';
import { node } from './core/node.ts';
import { pod } from './core/pod.ts';
import { podTemplate } from './core/pod-template.ts';
import { replicationController } from './core/replication-controller.ts';
import { resourceQuota } from './core/resource-quota.ts';
import { secret } from './core/secret.ts';
import { service } from './core/service.ts';
import { serviceAccount } from './core/service-account.ts';
import { endpointSlice } from './discovery/endpoint-slice.ts';
import { eventsEvent } from './events/event.ts';
import type { KindDefinition } from './kind.ts';
import { runtimeClass } from './node/runtime-class.ts';
import { podDisruptionBudget } from './policy/pod-disruption-budget.ts';
import { clusterRole, role } from './rbac/role.ts';
import { clusterRoleBinding, roleBinding } from './rbac/role-binding.ts';
import { priorityClass } from './scheduling/priority-class.ts';

const kinds: readonly KindDefinition[] = [
  binding,
  configMap,
  endpoints,
  event,
  limitRange,
  namespace,
  node,
  pod,
  podTemplate,
  replicationController,
  resourceQuota,
  secret,
  serviceAccount,
  service,
  deployment,
  replicaSet,
  eventsEvent,
  tokenReview,
  selfSubjectReview,
  localSubjectAccessReview,
  selfSubjectAccessReview,
  selfSubjectRulesReview,
  subjectAccessReview,
  certificateSigningRequest,
  customResourceDefinition,
  clusterRoleBinding,
  clusterRole,
  roleBinding,
  role,
  lease,
  runtimeClass,
  endpointSlice,
  podDisruptionBudget,
  priorityClass,
];

const byGroupResource: ReadonlyMap<string, KindDefinition> = new Map(
  kinds.map((kind) => [`${kind.resource.group}/${kind.resource.resource}`, kind]),
);

/** The definition of a built-in resource; undefined for any other. */
export function builtInKind(group: string, resource: string): KindDefinition | undefined {
  return byGroupResource.get(`${group}/${resource}`);
}

/** All definitions, in no particular order. */
export function builtInKinds(): readonly KindDefinition[] {
  return kinds;
}
