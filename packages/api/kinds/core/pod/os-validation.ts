/** `spec.os`: a pod that names its operating system may not set what only the other one has. */

import type { FieldError } from '../../../errors/field-error.ts';
import { forbiddenField, notSupported, required } from '../../../errors/field-error.ts';
import type { V1PodSecurityContext, V1PodSpec, V1SecurityContext } from '../../../generated/types.ts';
import { allContainers } from './all-containers.ts';

/** In the order of reporting; a field is of the pod spec or of its security context. */
const podFieldsOfLinux: readonly (
  | { readonly context: keyof V1PodSecurityContext }
  | { readonly spec: 'hostIPC' | 'hostPID' | 'hostUsers' | 'shareProcessNamespace' }
)[] = [
  { context: 'appArmorProfile' },
  { context: 'seLinuxOptions' },
  { spec: 'hostUsers' },
  { spec: 'hostPID' },
  { spec: 'hostIPC' },
  { context: 'seccompProfile' },
  { context: 'fsGroup' },
  { context: 'fsGroupChangePolicy' },
  { context: 'sysctls' },
  { spec: 'shareProcessNamespace' },
  { context: 'runAsUser' },
  { context: 'runAsGroup' },
  { context: 'supplementalGroups' },
  { context: 'supplementalGroupsPolicy' },
  { context: 'seLinuxChangePolicy' },
];

const containerFieldsOfLinux: readonly (keyof V1SecurityContext)[] = [
  'appArmorProfile',
  'seLinuxOptions',
  'seccompProfile',
  'capabilities',
  'readOnlyRootFilesystem',
  'privileged',
  'allowPrivilegeEscalation',
  'procMount',
  'runAsUser',
  'runAsGroup',
];

export function validateOs(spec: V1PodSpec, path: string): FieldError[] {
  if (spec.os == null) return [];
  const name = spec.os.name ?? '';
  if (name === '') return [required(`${path}.os.name`)];
  if (name === 'linux') return validateLinux(spec, path);
  return name === 'windows' ? validateWindows(spec, path) : [notSupported(`${path}.os.name`, name, ['linux', 'windows'])];
}

function validateLinux(spec: V1PodSpec, path: string): FieldError[] {
  const all: readonly (readonly [{ readonly securityContext?: { readonly windowsOptions?: unknown } }, string])[] = [
    [spec, path],
    ...allContainers(spec, path),
  ];
  return all.flatMap(([owner, at]) => {
    if (owner.securityContext?.windowsOptions == null) return [];
    return [forbiddenField(`${at}.securityContext.windowsOptions`, 'windows options cannot be set for a linux pod')];
  });
}

function validateWindows(spec: V1PodSpec, path: string): FieldError[] {
  const refuse = (at: string): FieldError => forbiddenField(at, 'cannot be set for a windows pod');
  const ofPod = podFieldsOfLinux.flatMap((field) => {
    if ('context' in field) return isSet(spec.securityContext?.[field.context]) ? [refuse(`${path}.securityContext.${field.context}`)] : [];
    const value = spec[field.spec];
    // Sharing with the host is off by default, so that false says nothing.
    const given = field.spec === 'hostPID' || field.spec === 'hostIPC' ? value === true : value != null;
    return given ? [refuse(`${path}.${field.spec}`)] : [];
  });
  const ofContainers = allContainers(spec, path).flatMap(([container, at]) =>
    containerFieldsOfLinux
      .filter((field) => container.securityContext?.[field] != null)
      .map((field) => refuse(`${at}.securityContext.${field}`)),
  );
  return [...ofPod, ...ofContainers];
}

function isSet(value: unknown): boolean {
  return value != null && !(Array.isArray(value) && value.length === 0);
}
