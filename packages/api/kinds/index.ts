/** Every kind this program knows, by group and resource. */

import { selfSubjectReview, tokenReview } from './authentication/reviews.ts';
import {
  localSubjectAccessReview,
  selfSubjectAccessReview,
  selfSubjectRulesReview,
  subjectAccessReview,
} from './authorization/access-reviews.ts';
import { lease } from './coordination/lease.ts';
import { configMap } from './core/configmap.ts';
import { namespace } from './core/namespace.ts';
import { pod } from './core/pod.ts';
import { secret } from './core/secret.ts';
import { serviceAccount } from './core/service-account.ts';
import type { KindDefinition } from './kind.ts';
import { clusterRole, role } from './rbac/role.ts';
import { clusterRoleBinding, roleBinding } from './rbac/role-binding.ts';

const kinds: readonly KindDefinition[] = [
  clusterRole,
  clusterRoleBinding,
  configMap,
  lease,
  localSubjectAccessReview,
  namespace,
  pod,
  role,
  roleBinding,
  secret,
  selfSubjectAccessReview,
  selfSubjectReview,
  selfSubjectRulesReview,
  serviceAccount,
  subjectAccessReview,
  tokenReview,
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
