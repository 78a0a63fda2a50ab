/** Annotations of pods that mean something to the server: mirror pods, deletion cost, old security profiles. */

import type { FieldError } from '../../../errors/field-error.ts';
import { forbiddenField, invalid } from '../../../errors/field-error.ts';
import type { V1Pod } from '../../../generated/types.ts';
import type { KubeObject } from '../../../meta/object.ts';
import { getOwn } from '../../../meta/safe-object.ts';
import { viewAs } from '../../define-kind.ts';
import { checkAnnotatedList } from '../annotated-json.ts';
import { validateDescendingPath } from './paths.ts';
import { appArmorPrefix, localhostPrefix, seccompContainerPrefix, seccompPod } from './profile-annotations.ts';
import { validateTolerations } from './scheduling-validation.ts';

const mirror = 'kubernetes.io/config.mirror';
const deletionCost = 'controller.kubernetes.io/pod-deletion-cost';
const path = 'metadata.annotations';
const tolerations = { key: 'scheduler.alpha.kubernetes.io/tolerations', type: '[]core.Toleration', path };

export function validatePodAnnotations(object: KubeObject): FieldError[] {
  const { metadata, spec } = viewAs<V1Pod>(object);
  const annotations = metadata?.annotations ?? {};
  const errors: FieldError[] = [];
  const mirrored = getOwn(annotations, mirror);
  if (mirrored !== undefined && (spec?.nodeName ?? '') === '') {
    errors.push(invalid(`${path}[${mirror}]`, mirrored, 'must set spec.nodeName if mirror pod annotation is set'));
  }
  errors.push(...checkAnnotatedList(annotations, tolerations, (list) => validateTolerations(list, `${path}.${tolerations.key}`)));
  const cost = getOwn(annotations, deletionCost);
  if (cost !== undefined && !isInt32(cost)) errors.push(invalid(`${path}[${deletionCost}]`, cost, 'must be a 32bit integer'));
  for (const key of Object.keys(annotations)) {
    const value = getOwn(annotations, key) ?? '';
    if (key === seccompPod || key.startsWith(seccompContainerPrefix)) errors.push(...validateSeccomp(value, `${path}.${key}`));
  }
  const names = new Set(
    [...(spec?.initContainers ?? []), ...(spec?.containers ?? []), ...(spec?.ephemeralContainers ?? [])].map((c) => c.name),
  );
  for (const key of Object.keys(annotations).filter((candidate) => candidate.startsWith(appArmorPrefix))) {
    const container = key.slice(appArmorPrefix.length);
    const profile = getOwn(annotations, key) ?? '';
    if (!names.has(container)) errors.push(invalid(`${path}[${key}]`, container, 'container not found'));
    if (!['', 'runtime/default', 'unconfined'].includes(profile) && !profile.startsWith(localhostPrefix)) {
      errors.push(invalid(`${path}[${key}]`, profile, `invalid AppArmor profile name: ${JSON.stringify(profile)}`));
    }
  }
  return errors;
}

/** Some annotations are fixed when the pod is made. */
export function validateAnnotationUpdates(object: KubeObject, old: KubeObject): FieldError[] {
  const annotations = object.metadata.annotations ?? {};
  const before = old.metadata.annotations ?? {};
  const errors: FieldError[] = [];
  for (const key of Object.keys(before)) {
    if (getOwn(annotations, key) === getOwn(before, key)) continue;
    if (key.startsWith(appArmorPrefix)) errors.push(forbiddenField(`${path}[${key}]`, 'may not remove or update AppArmor annotations'));
    if (key === mirror) errors.push(forbiddenField(`${path}[${key}]`, 'may not remove or update mirror pod annotation'));
  }
  for (const key of Object.keys(annotations)) {
    if (Object.hasOwn(before, key)) continue;
    if (key.startsWith(appArmorPrefix)) errors.push(forbiddenField(`${path}[${key}]`, 'may not add AppArmor annotations'));
    if (key === mirror) errors.push(forbiddenField(`${path}[${key}]`, 'may not add mirror pod annotation'));
  }
  return [...errors, ...validatePodAnnotations(object)];
}

function validateSeccomp(profile: string, at: string): FieldError[] {
  if (['runtime/default', 'docker/default', 'unconfined'].includes(profile)) return [];
  if (profile.startsWith(localhostPrefix)) return validateDescendingPath(profile.slice(localhostPrefix.length), at);
  return [invalid(at, profile, 'must be a valid seccomp profile')];
}

function isInt32(text: string): boolean {
  return /^(0|-?[1-9]\d*)$/.test(text) && Math.abs(Number(text)) < 2 ** 31;
}
