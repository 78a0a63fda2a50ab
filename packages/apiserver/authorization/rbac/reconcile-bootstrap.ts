import type { RbacV1Subject, V1ClusterRole, V1ClusterRoleBinding } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { ResourceStore } from '@coffer/storage/store/store';
import { controllerClusterRoleBindings, controllerClusterRoles } from './bootstrap-controllers.ts';
import {
  type BootstrapBinding,
  type BootstrapClusterRole,
  bootstrapClusterRoleBindings,
  bootstrapClusterRoles,
} from './bootstrap-policy.ts';
import { uncoveredRules } from './rule-covers.ts';

const rbacApiVersion = 'rbac.authorization.k8s.io/v1';
const autoupdateAnnotation = 'rbac.authorization.kubernetes.io/autoupdate';
const bootstrapLabels = { 'kubernetes.io/bootstrapping': 'rbac-defaults' };

export interface ReconcileDeps {
  readonly clusterRoles: ResourceStore;
  readonly clusterRoleBindings: ResourceStore;
  /** Writes one object as the API server itself: `POST` when `existing` is false, else `PUT`. */
  readonly write: (resource: 'clusterroles' | 'clusterrolebindings', object: object, existing: boolean) => Promise<void>;
}

/**
 * Makes sure at every start that the default roles and bindings exist and hold at least what they should, as upstream: missing
 * rules and subjects are added, what somebody added stays, `autoupdate: "false"` keeps an object as it is.
 */
export async function reconcileBootstrapPolicy(deps: ReconcileDeps): Promise<void> {
  const roles = [...bootstrapClusterRoles, ...controllerClusterRoles].map((role) => reconcileRole(deps, role));
  await Promise.all(roles);
  const bindings = [...bootstrapClusterRoleBindings, ...controllerClusterRoleBindings].map((binding) => reconcileBinding(deps, binding));
  await Promise.all(bindings);
}

async function reconcileRole(deps: ReconcileDeps, role: BootstrapClusterRole): Promise<void> {
  const labels = { ...bootstrapLabels, ...role.labels };
  const existing = deps.clusterRoles.get('', role.name)?.decode() as unknown as V1ClusterRole | undefined;
  const aggregationRule = role.aggregates
    ? { clusterRoleSelectors: role.aggregates.map((to) => ({ matchLabels: { [`rbac.authorization.k8s.io/aggregate-to-${to}`]: 'true' } })) }
    : undefined;
  if (!existing) {
    const metadata = { name: role.name, labels, annotations: { [autoupdateAnnotation]: 'true' } };
    const object = {
      apiVersion: rbacApiVersion,
      kind: 'ClusterRole',
      metadata,
      rules: role.rules ?? [],
      ...(aggregationRule ? { aggregationRule } : {}),
    };
    await deps.write('clusterroles', object, false);
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
  await deps.write('clusterroles', object, true);
}

async function reconcileBinding(deps: ReconcileDeps, binding: BootstrapBinding): Promise<void> {
  const wanted: RbacV1Subject[] = binding.subjects.map((subject) => ({
    kind: subject.kind,
    name: subject.name,
    ...(subject.kind === 'ServiceAccount' ? { namespace: subject.namespace ?? '' } : { apiGroup: 'rbac.authorization.k8s.io' }),
  }));
  const existing = deps.clusterRoleBindings.get('', binding.name)?.decode() as unknown as V1ClusterRoleBinding | undefined;
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: binding.role };
  if (!existing) {
    const metadata = { name: binding.name, labels: bootstrapLabels, annotations: { [autoupdateAnnotation]: 'true' } };
    const object = {
      apiVersion: rbacApiVersion,
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef,
      ...(wanted.length > 0 ? { subjects: wanted } : {}),
    };
    await deps.write('clusterrolebindings', object, false);
    return;
  }
  if (existing.metadata?.annotations?.[autoupdateAnnotation] === 'false') return;
  const subjects = existing.subjects ?? [];
  const missing = wanted.filter(
    (subject) =>
      !subjects.some((s) => s.kind === subject.kind && s.name === subject.name && (s.namespace ?? '') === (subject.namespace ?? '')),
  );
  if (missing.length === 0) return;
  await deps.write('clusterrolebindings', { ...existing, subjects: [...subjects, ...missing] }, true);
}
