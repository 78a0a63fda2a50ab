import { forbidden, notFound } from '@coffer/api/errors/status-error';
import type { V1PolicyRule, V1RoleRef } from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { Authorizer } from '../../authorization/authorizer.ts';
import { formatRule, type PolicyRule } from '../../authorization/rbac/policy-rule.ts';
import type { RbacAuthorizer } from '../../authorization/rbac/rbac-authorizer.ts';
import type { RbacIndex } from '../../authorization/rbac/rbac-index.ts';
import { uncoveredRules } from '../../authorization/rbac/rule-covers.ts';
import { untypedError } from '../../endpoints/generic-status.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';

const rbacGroup = 'rbac.authorization.k8s.io';

export interface EscalationDeps {
  readonly authorizer: Authorizer;
  readonly rbac: Pick<RbacAuthorizer, 'rulesFor'>;
  readonly index: Pick<RbacIndex, 'roleRules'>;
}

/**
 * Nobody grants what he does not have: whoever writes a role must hold every rule in it (or the verb `escalate`), whoever
 * writes a binding every rule of the role it refers to (or the verb `bind` on that role). It changes nothing, but runs as the last
 * mutating plugin: a refusal comes before the object is validated, as upstream has it.
 */
export function rbacEscalationPlugin(deps: EscalationDeps): AdmissionPlugin {
  return {
    name: 'RBACEscalation',
    async admit(attributes) {
      if (
        attributes.resource.group !== rbacGroup ||
        (attributes.operation !== 'CREATE' && attributes.operation !== 'UPDATE') ||
        !attributes.object
      )
        return;
      if (attributes.user.groups.includes('system:masters')) return;
      const { resource } = attributes.resource;
      if (resource === 'roles' || resource === 'clusterroles') await checkRole(deps, attributes, attributes.object);
      else await checkBinding(deps, attributes, attributes.object);
    },
  };
}

async function checkRole(deps: EscalationDeps, attributes: AdmissionAttributes, role: KubeObject): Promise<void> {
  if (attributes.oldObject && onlyLetsGo(attributes.oldObject, role)) return;
  if (await may(deps.authorizer, attributes, 'escalate', attributes.resource.resource, attributes.namespace, requestName(attributes)))
    return;
  const rules = ((role.rules as readonly V1PolicyRule[] | null | undefined) ?? []).map(withVerbs);
  // An aggregated role may come to hold anything: only who holds everything may write one.
  const wanted =
    role.aggregationRule !== undefined
      ? [...rules, { verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, { verbs: ['*'], nonResourceURLs: ['*'] }]
      : rules;
  refuseUncovered(deps, attributes, wanted);
}

async function checkBinding(deps: EscalationDeps, attributes: AdmissionAttributes, binding: KubeObject): Promise<void> {
  if (attributes.oldObject && onlyLetsGo(attributes.oldObject, binding)) return;
  const ref = binding.roleRef as V1RoleRef;
  if (ref.kind !== 'Role' && ref.kind !== 'ClusterRole') throw untypedError(`unsupported role reference kind: ${JSON.stringify(ref.kind)}`);
  const roleNamespace = ref.kind === 'Role' ? attributes.namespace : '';
  const resource = ref.kind === 'Role' ? 'roles' : 'clusterroles';
  if (await may(deps.authorizer, attributes, 'bind', resource, attributes.namespace, ref.name)) return;
  const rules = deps.index.roleRules(roleNamespace, ref.name);
  if (!rules) throw notFound({ group: rbacGroup, resource: ref.kind.toLowerCase() }, ref.name);
  refuseUncovered(deps, attributes, rules);
}

function may(
  authorizer: Authorizer,
  attributes: AdmissionAttributes,
  verb: string,
  resource: string,
  namespace: string,
  name: string,
): Promise<boolean> {
  const decision = authorizer.authorize({
    user: attributes.user,
    verb,
    isResourceRequest: true,
    group: rbacGroup,
    version: 'v1',
    resource,
    subresource: '',
    namespace,
    name,
    path: '',
  });
  return Promise.resolve(decision).then((result) => result.decision === 'allow');
}

function refuseUncovered(deps: EscalationDeps, attributes: AdmissionAttributes, wanted: readonly PolicyRule[]): void {
  const held = deps.rbac.rulesFor(attributes.user, attributes.namespace);
  const missing = uncoveredRules(held.rules, wanted);
  if (missing.length === 0) return;
  const { user } = attributes;
  const groups = user.groups.map((group) => JSON.stringify(group)).join(' ');
  const resolution = held.errors.length > 0 ? `; resolution errors: [${held.errors.join(', ')}]` : '';
  const lines = missing.map(formatRule).sort().join('\n');
  throw forbidden(
    qualified(attributes),
    nameOf(attributes),
    `user ${JSON.stringify(user.name)} (groups=[${groups}]) is attempting to grant RBAC permissions not currently held:\n${lines}${resolution}`,
  );
}

/** The role has not been validated: its rules may have no verbs. */
function withVerbs(rule: V1PolicyRule): PolicyRule {
  return { ...rule, verbs: (rule.verbs as readonly string[] | null) ?? [] };
}

/** True when a change touches only what garbage collection needs to remove the object: owners and finalizers. */
function onlyLetsGo(oldObject: KubeObject, object: KubeObject): boolean {
  const { ownerReferences: _owners, finalizers: _finalizers, managedFields: _managed, ...metadata } = object.metadata;
  const { ownerReferences: _oldOwners, finalizers: _oldFinalizers, managedFields: _oldManaged, ...oldMetadata } = oldObject.metadata;
  return equalJson({ ...object, metadata }, { ...oldObject, metadata: oldMetadata });
}

/** The name in the request's path: none on create. */
function requestName(attributes: AdmissionAttributes): string {
  return attributes.operation === 'CREATE' ? '' : attributes.name;
}

/** The object's own name; empty when it is still to be generated. */
function nameOf(attributes: AdmissionAttributes): string {
  return attributes.name || (attributes.object?.metadata.name ?? '');
}

function qualified(attributes: AdmissionAttributes) {
  return { group: attributes.resource.group, resource: attributes.resource.resource };
}
