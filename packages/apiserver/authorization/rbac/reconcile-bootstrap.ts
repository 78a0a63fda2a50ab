import type { RbacV1Subject, V1ClusterRole, V1ClusterRoleBinding } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { ResourceStore } from '@coffer/storage/store/store';
import { controllerClusterRoleBindings, controllerClusterRoles } from './bootstrap-controllers.ts';
import { bootstrapRoleBindings, bootstrapRoles } from './bootstrap-namespace-roles.ts';
import {
  type BootstrapBinding,
  type BootstrapClusterRole,
  bootstrapClusterRoleBindings,
  bootstrapClusterRoles,
} from './bootstrap-policy.ts';
import { loopClusterRoleBindings, loopClusterRoles } from './loop-roles.ts';
import type { RbacStores } from './rbac-index.ts';
import { uncoveredRules } from './rule-covers.ts';

const rbacGroup = 'rbac.authorization.k8s.io';
const rbacApiVersion = `${rbacGroup}/v1`;
const autoupdateAnnotation = 'rbac.authorization.kubernetes.io/autoupdate';
const bootstrapLabels = { 'kubernetes.io/bootstrapping': 'rbac-defaults' };

export interface ReconcileDeps extends RbacStores {
  /** Writes one object as the API server itself into a collection: `POST` when `existing` is false, else `PUT`. */
  readonly write: (collection: string, object: object, existing: boolean) => Promise<void>;
}

type WantedRole = Pick<BootstrapClusterRole, 'name' | 'labels' | 'ownLabels' | 'rules' | 'aggregates'>;

/** Where objects of one kind and scope lie. */
interface Place {
  readonly store: ResourceStore;
  readonly kind: string;
  /** Empty at cluster scope. */
  readonly namespace: string;
  readonly collection: string;
}

/**
 * Makes sure at every start that the default roles and bindings exist and hold at least what they should, as upstream: missing
 * rules and subjects are added, what somebody added stays, `autoupdate: "false"` keeps an object as it is. Roles come first.
 */
export async function reconcileBootstrapPolicy(deps: ReconcileDeps): Promise<void> {
  const clusterRoles = place(deps.clusterRoles, 'ClusterRole', '', 'clusterroles');
  const clusterRoleBindings = place(deps.clusterRoleBindings, 'ClusterRoleBinding', '', 'clusterrolebindings');
  await Promise.all([
    ...[...bootstrapClusterRoles, ...controllerClusterRoles, ...loopClusterRoles].map((role) => reconcileRole(deps, clusterRoles, role)),
    ...bootstrapRoles.map((role) => reconcileRole(deps, place(deps.roles, 'Role', role.namespace, 'roles'), role)),
  ]);
  await Promise.all([
    ...[...bootstrapClusterRoleBindings, ...controllerClusterRoleBindings, ...loopClusterRoleBindings].map((binding) =>
      reconcileBinding(deps, clusterRoleBindings, 'ClusterRole', binding),
    ),
    ...bootstrapRoleBindings.map((binding) =>
      reconcileBinding(deps, place(deps.roleBindings, 'RoleBinding', binding.namespace, 'rolebindings'), 'Role', binding),
    ),
  ]);
}

function place(store: ResourceStore, kind: string, namespace: string, resource: string): Place {
  const base = `/apis/${rbacApiVersion}`;
  return { store, kind, namespace, collection: namespace === '' ? `${base}/${resource}` : `${base}/namespaces/${namespace}/${resource}` };
}

async function reconcileRole(deps: ReconcileDeps, at: Place, role: WantedRole): Promise<void> {
  const labels = { ...(role.ownLabels ?? bootstrapLabels), ...role.labels };
  const existing = at.store.get(at.namespace, role.name)?.decode() as unknown as V1ClusterRole | undefined;
  const aggregationRule = role.aggregates
    ? { clusterRoleSelectors: role.aggregates.map((to) => ({ matchLabels: { [`${rbacGroup}/aggregate-to-${to}`]: 'true' } })) }
    : undefined;
  if (!existing) {
    const object = { ...header(at, role.name, labels), rules: role.rules ?? [], ...(aggregationRule ? { aggregationRule } : {}) };
    await deps.write(at.collection, object, false);
    return;
  }
  if (existing.metadata?.annotations?.[autoupdateAnnotation] === 'false') return;
  const missing = role.aggregates ? [] : uncoveredRules(existing.rules ?? [], role.rules ?? []);
  const mergedLabels = { ...existing.metadata?.labels, ...labels };
  const upToDate =
    missing.length === 0 &&
    equalJson(mergedLabels, existing.metadata?.labels ?? {}) &&
    (!aggregationRule || existing.aggregationRule !== undefined);
  if (upToDate) return;
  const object = {
    ...existing,
    metadata: { ...existing.metadata, labels: mergedLabels },
    rules: [...(existing.rules ?? []), ...missing],
    ...(aggregationRule && !existing.aggregationRule ? { aggregationRule } : {}),
  };
  await deps.write(at.collection, object, true);
}

async function reconcileBinding(deps: ReconcileDeps, at: Place, roleKind: string, binding: BootstrapBinding): Promise<void> {
  const wanted: RbacV1Subject[] = binding.subjects.map((subject) => ({
    kind: subject.kind,
    name: subject.name,
    ...(subject.kind === 'ServiceAccount' ? { namespace: subject.namespace ?? '' } : { apiGroup: rbacGroup }),
  }));
  const existing = at.store.get(at.namespace, binding.name)?.decode() as unknown as V1ClusterRoleBinding | undefined;
  if (!existing) {
    const roleRef = { apiGroup: rbacGroup, kind: roleKind, name: binding.role };
    const object = {
      ...header(at, binding.name, binding.ownLabels ?? bootstrapLabels),
      roleRef,
      ...(wanted.length > 0 ? { subjects: wanted } : {}),
    };
    await deps.write(at.collection, object, false);
    return;
  }
  if (existing.metadata?.annotations?.[autoupdateAnnotation] === 'false') return;
  const subjects = existing.subjects ?? [];
  const missing = wanted.filter(
    (subject) =>
      !subjects.some((s) => s.kind === subject.kind && s.name === subject.name && (s.namespace ?? '') === (subject.namespace ?? '')),
  );
  if (missing.length === 0) return;
  await deps.write(at.collection, { ...existing, subjects: [...subjects, ...missing] }, true);
}

function header(at: Place, name: string, labels: Readonly<Record<string, string>>): object {
  return {
    apiVersion: rbacApiVersion,
    kind: at.kind,
    metadata: {
      name,
      ...(at.namespace === '' ? {} : { namespace: at.namespace }),
      labels,
      annotations: { [autoupdateAnnotation]: 'true' },
    },
  };
}
