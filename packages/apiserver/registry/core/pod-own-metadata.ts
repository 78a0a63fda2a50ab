/** What a new pod takes over into its spec from its own labels and annotations. */

import type { V1AppArmorProfile, V1LabelSelector, V1PodAffinity, V1PodAffinityTerm, V1PodSpec } from '@coffer/api/generated/types';
import { validateAppArmor } from '@coffer/api/kinds/core/pod/security-validation';
import type { KubeObject } from '@coffer/api/meta/object';
import { getOwn } from '@coffer/api/meta/safe-object';

const appArmorPrefix = 'container.apparmor.security.beta.kubernetes.io/';
const localhostPrefix = 'localhost/';

/**
 * `matchLabelKeys` and `mismatchLabelKeys` of affinity terms and spread constraints become requirements of the selector beside them,
 * with the value this pod has. A missing selector matches nothing and stays missing.
 */
export function mergeLabelKeys(pod: KubeObject, spec: V1PodSpec): void {
  const labels = pod.metadata.labels;
  for (const term of affinityTerms(spec)) {
    addRequirements(term.labelSelector, term.matchLabelKeys, 'In', labels);
    addRequirements(term.labelSelector, term.mismatchLabelKeys, 'NotIn', labels);
  }
  for (const constraint of spec.topologySpreadConstraints ?? []) {
    addRequirements(constraint.labelSelector, constraint.matchLabelKeys, 'In', labels);
  }
}

/**
 * Containers without an AppArmor profile get the one of their deprecated annotation, where the pod does not have the same. Returns
 * the warnings this deserves: the annotation says something the fields did not, or nothing that can be used.
 */
export function useAppArmorAnnotations(pod: KubeObject, spec: V1PodSpec): string[] {
  if (spec.os?.name === 'windows') return [];
  const warnings: string[] = [];
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])]) {
    const key = appArmorPrefix + container.name;
    const annotation = getOwn(pod.metadata.annotations, key);
    if (annotation === undefined || container.securityContext?.appArmorProfile != null) continue;
    const profile = profileOf(annotation);
    if (profile !== undefined) {
      if (sameProfile(profile, spec.securityContext?.appArmorProfile)) continue;
      Object.assign(container, { securityContext: { ...container.securityContext, appArmorProfile: profile } });
    }
    warnings.push(`metadata.annotations[${key}]: deprecated since v1.30; use the "appArmorProfile" field instead`);
  }
  return warnings;
}

function affinityTerms({ affinity }: V1PodSpec): V1PodAffinityTerm[] {
  return [affinity?.podAffinity, affinity?.podAntiAffinity].flatMap((rules: V1PodAffinity | undefined) => [
    ...(rules?.preferredDuringSchedulingIgnoredDuringExecution ?? []).flatMap((weighted) => weighted.podAffinityTerm ?? []),
    ...(rules?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
  ]);
}

function addRequirements(
  selector: V1LabelSelector | undefined,
  keys: readonly string[] | undefined,
  operator: 'In' | 'NotIn',
  labels: Readonly<Record<string, string>> | undefined,
): void {
  if (selector == null) return;
  const added = (keys ?? []).flatMap((key) => {
    const value = getOwn(labels, key);
    return value === undefined ? [] : [{ key, operator, values: [value] }];
  });
  if (added.length > 0) Object.assign(selector, { matchExpressions: [...(selector.matchExpressions ?? []), ...added] });
}

/** Undefined where the annotation names no profile, or one the field would not accept. */
function profileOf(annotation: string): V1AppArmorProfile | undefined {
  if (annotation === 'unconfined') return { type: 'Unconfined' };
  if (annotation === 'runtime/default') return { type: 'RuntimeDefault' };
  if (!annotation.startsWith(localhostPrefix)) return undefined;
  const profile = { type: 'Localhost', localhostProfile: annotation.slice(localhostPrefix.length) };
  return validateAppArmor(profile, '').length === 0 ? profile : undefined;
}

function sameProfile(one: V1AppArmorProfile, other: V1AppArmorProfile | undefined): boolean {
  return other != null && one.type === other.type && (one.localhostProfile ?? null) === (other.localhostProfile ?? null);
}
