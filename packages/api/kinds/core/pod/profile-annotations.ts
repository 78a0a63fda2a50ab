/** Security profiles that a new pod names in an annotation, as of old, and in a field as well: both say the same. */

import type { FieldError } from '../../../errors/field-error.ts';
import { forbiddenField } from '../../../errors/field-error.ts';
import type { V1AppArmorProfile, V1PodSpec, V1SeccompProfile } from '../../../generated/types.ts';
import type { ObjectMeta } from '../../../meta/object.ts';
import { getOwn } from '../../../meta/safe-object.ts';
import { allContainers } from './all-containers.ts';

export const seccompPod = 'seccomp.security.alpha.kubernetes.io/pod';
export const seccompContainerPrefix = 'container.seccomp.security.alpha.kubernetes.io/';
export const appArmorPrefix = 'container.apparmor.security.beta.kubernetes.io/';
export const localhostPrefix = 'localhost/';

/** The values of annotations that stand for a type; profiles of the machine are `localhost/` and a name. */
const seccompValues: Readonly<Record<string, readonly string[]>> = {
  Unconfined: ['unconfined'],
  RuntimeDefault: ['runtime/default', 'docker/default'],
};
const appArmorValues: Readonly<Record<string, readonly string[]>> = {
  Unconfined: ['unconfined'],
  RuntimeDefault: ['runtime/default'],
};

export function validateProfileAnnotations(spec: V1PodSpec, metadata: ObjectMeta, path: string): FieldError[] {
  const annotation = (key: string): string | undefined => getOwn(metadata.annotations, key);
  const ofPod = spec.securityContext;
  const containers = allContainers(spec, path);
  return [
    ...compare('seccomp', annotation(seccompPod), ofPod?.seccompProfile, `${path}.securityContext.seccompProfile`),
    ...containers.flatMap(([container, at]) => {
      const profile = container.securityContext?.seccompProfile;
      return compare('seccomp', annotation(seccompContainerPrefix + container.name), profile, `${at}.securityContext.seccompProfile`);
    }),
    ...containers.flatMap(([container, at]) => {
      if (spec.os?.name === 'windows') return [];
      const profile = container.securityContext?.appArmorProfile ?? ofPod?.appArmorProfile;
      return compare('apparmor', annotation(appArmorPrefix + container.name), profile, `${at}.securityContext.appArmorProfile`);
    }),
  ];
}

function compare(
  what: 'apparmor' | 'seccomp',
  annotation: string | undefined,
  profile: V1AppArmorProfile | V1SeccompProfile | undefined,
  path: string,
): FieldError[] {
  if (annotation === undefined || profile == null) return [];
  const differs = (field: string, subject: string): FieldError[] => [
    forbiddenField(`${path}.${field}`, `${what} ${subject} in annotation and field must match`),
  ];
  if (profile.type === 'Localhost') {
    if (!annotation.startsWith(localhostPrefix)) return differs('type', 'type');
    const same = annotation.slice(localhostPrefix.length) === profile.localhostProfile;
    return same ? [] : differs('localhostProfile', 'profile');
  }
  const values = getOwn(what === 'seccomp' ? seccompValues : appArmorValues, profile.type);
  return values === undefined || values.includes(annotation) ? [] : differs('type', 'type');
}
