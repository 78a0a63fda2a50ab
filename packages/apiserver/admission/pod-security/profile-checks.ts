import { quoteGo } from '@coffer/api/errors/field-error';
import type { V1SELinuxOptions } from '@coffer/api/generated/types';
import { getOwn } from '@coffer/api/meta/safe-object';
import { allContainers, containersText, type PodCheck, type PodToCheck, plural, quoteAll, sortedOnce } from './check.ts';

/** The checks of confinement by the kernel: AppArmor, SELinux and seccomp profiles that weaken what the runtime would set. */

const appArmorPrefix = 'container.apparmor.security.beta.kubernetes.io/';
const seccompPod = 'seccomp.security.alpha.kubernetes.io/pod';
const seccompContainerPrefix = 'container.seccomp.security.alpha.kubernetes.io/';

const isConfined = (type: string) => type === 'RuntimeDefault' || type === 'Localhost';

/** Who sets a profile of a kind, and to what. */
interface ProfileSetters {
  /** `pod`, `containers "a", "b"`. */
  readonly setters: readonly string[];
  readonly values: readonly string[];
}

/** Profiles that are neither the runtime's default nor one of the node's files. */
function unconfinedProfiles({ spec }: PodToCheck, field: 'appArmorProfile' | 'seccompProfile'): ProfileSetters {
  const setters: string[] = [];
  const values: string[] = [];
  const podType = spec.securityContext?.[field]?.type;
  if (podType !== undefined && !isConfined(podType)) {
    setters.push('pod');
    values.push(podType);
  }
  const containers: string[] = [];
  for (const { name, securityContext } of allContainers(spec)) {
    const type = securityContext?.[field]?.type;
    if (type === undefined || isConfined(type)) continue;
    containers.push(name);
    values.push(type);
  }
  if (containers.length > 0) setters.push(containersText(containers));
  return { setters, values: sortedOnce(values) };
}

export const appArmorProfile: PodCheck = (pod) => {
  const { setters, values } = unconfinedProfiles(pod, 'appArmorProfile');
  const annotations = Object.entries(pod.annotations)
    .filter(([key, value]) => key.startsWith(appArmorPrefix) && !isAllowedAppArmorAnnotation(value))
    .map(([key, value]) => `${key}=${quoteGo(value)}`)
    .sort();
  const all = annotations.length === 0 ? setters : [...setters, plural('annotation', annotations.length)];
  if (all.length === 0) return undefined;
  const bad = [...values, ...annotations];
  return {
    reason: plural('forbidden AppArmor profile', bad.length),
    detail: `${all.join(' and ')} must not set AppArmor profile type to ${quoteAll(bad)}`,
  };
};

function isAllowedAppArmorAnnotation(value: string): boolean {
  return value === '' || value === 'runtime/default' || value.startsWith('localhost/');
}

/** Before 1.19 profiles were annotations. */
export const seccompAnnotations: PodCheck = ({ annotations, spec }) => {
  const keys = [seccompPod, ...allContainers(spec).map(({ name }) => seccompContainerPrefix + name)];
  const bad = keys.flatMap((key) => {
    const value = getOwn(annotations, key);
    return value === undefined || isAllowedSeccompAnnotation(value) ? [] : [`${key}=${quoteGo(value)}`];
  });
  const once = sortedOnce(bad);
  if (once.length === 0) return undefined;
  return { reason: 'seccompProfile', detail: `forbidden ${plural('annotation', once.length)} ${once.join(', ')}` };
};

function isAllowedSeccompAnnotation(value: string): boolean {
  return value === 'runtime/default' || value === 'docker/default' || value.startsWith('localhost/');
}

export const seccompNotUnconfined: PodCheck = (pod) => {
  const { setters, values } = unconfinedProfiles(pod, 'seccompProfile');
  if (setters.length === 0) return undefined;
  return {
    reason: 'seccompProfile',
    detail: `${setters.join(' and ')} must not set securityContext.seccompProfile.type to ${quoteAll(values)}`,
  };
};

export const seccompRequired: PodCheck = (pod) => {
  const unconfined = seccompNotUnconfined(pod);
  if (unconfined !== undefined) return unconfined;
  const { spec } = pod;
  if (spec.securityContext?.seccompProfile !== undefined) return undefined;
  const without = allContainers(spec).filter(({ securityContext }) => securityContext?.seccompProfile === undefined);
  if (without.length === 0) return undefined;
  return {
    reason: 'seccompProfile',
    detail: `pod or ${containersText(without.map(({ name }) => name))} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  };
};

/** Types other than `allowedTypes`, and any user or role, change what confines the container. */
export function seLinuxOptions(allowedTypes: readonly string[]): PodCheck {
  const isBad = ({ type = '', user = '', role = '' }: V1SELinuxOptions) => !allowedTypes.includes(type) || user !== '' || role !== '';
  return ({ spec }) => {
    const podOptions = spec.securityContext?.seLinuxOptions;
    const bad: V1SELinuxOptions[] = [];
    const setters: string[] = [];
    if (podOptions !== undefined && isBad(podOptions)) {
      bad.push(podOptions);
      setters.push('pod');
    }
    const containers: string[] = [];
    for (const { name, securityContext } of allContainers(spec)) {
      const options = securityContext?.seLinuxOptions;
      if (options === undefined || !isBad(options)) continue;
      bad.push(options);
      containers.push(name);
    }
    if (containers.length > 0) setters.push(containersText(containers));
    if (setters.length === 0) return undefined;
    const types = sortedOnce(bad.map(({ type = '' }) => type).filter((type) => !allowedTypes.includes(type)));
    const what = [
      ...(types.length > 0 ? [`${plural('type', types.length)} ${quoteAll(types)}`] : []),
      ...(bad.some(({ user = '' }) => user !== '') ? ['user may not be set'] : []),
      ...(bad.some(({ role = '' }) => role !== '') ? ['role may not be set'] : []),
    ];
    return {
      reason: 'seLinuxOptions',
      detail: `${setters.join(' and ')} set forbidden securityContext.seLinuxOptions: ${what.join('; ')}`,
    };
  };
}
