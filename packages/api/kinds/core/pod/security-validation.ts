/** Security contexts of pods and containers. */

import type { FieldError } from '../../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, notSupported, required, tooLong } from '../../../errors/field-error.ts';
import type { V1AppArmorProfile, V1PodSpec, V1SeccompProfile, V1SecurityContext } from '../../../generated/types.ts';
import { byteLength, unixIdProblems } from '../../../validation/names.ts';
import { invalidEach } from '../../../validation/object-meta.ts';
import { allContainers } from './all-containers.ts';
import { validateDescendingPath } from './paths.ts';
import { inMemoryStruct } from './pod-diff.ts';
import { validateWindowsOptions } from './windows-validation.ts';

const profileTypes = ['Localhost', 'RuntimeDefault', 'Unconfined'];
const sysctlSegment = '[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const sysctlFormat = `^(${sysctlSegment}[\\./])*${sysctlSegment}$`;
const sysctlName = new RegExp(sysctlFormat);
const ipcSysctls = new Set([
  'kernel.shmmax',
  'kernel.shmall',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
]);

/** `hostUsers` is true when the container shares the users of the host. */
export function validateSecurityContext(context: V1SecurityContext | undefined, hostUsers: boolean, path: string): FieldError[] {
  if (context == null) return [];
  const errors: FieldError[] = [];
  for (const field of ['runAsUser', 'runAsGroup'] as const) errors.push(...validateId(context[field], `${path}.${field}`));
  const { procMount } = context;
  if (procMount != null) {
    if (procMount !== 'Default' && procMount !== 'Unmasked') {
      errors.push(notSupported(`${path}.procMount`, procMount, ['Default', 'Unmasked']));
    }
    if (hostUsers && procMount === 'Unmasked') {
      errors.push(invalid(`${path}.procMount`, procMount, '`hostUsers` must be false to use `Unmasked`'));
    }
  }
  errors.push(...validateSeccomp(context.seccompProfile, `${path}.seccompProfile`));
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged === true) {
      errors.push(
        invalid(
          path,
          inMemoryStruct(context, 'SecurityContext'),
          'cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
        ),
      );
    }
    for (const _ of (context.capabilities?.add ?? []).filter((capability) => capability === 'CAP_SYS_ADMIN')) {
      const detail = 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN';
      errors.push(invalid(path, inMemoryStruct(context, 'SecurityContext'), detail));
    }
  }
  errors.push(...validateWindowsOptions(context.windowsOptions, `${path}.windowsOptions`));
  errors.push(...validateAppArmor(context.appArmorProfile, `${path}.appArmorProfile`));
  return errors;
}

/** `specPath` is the pod spec; host namespaces are fields of it. */
export function validatePodSecurityContext(spec: V1PodSpec, specPath: string): FieldError[] {
  const context = spec.securityContext;
  if (context == null) return [];
  const path = `${specPath}.securityContext`;
  const errors: FieldError[] = [];
  for (const field of ['fsGroup', 'runAsUser', 'runAsGroup'] as const) errors.push(...validateId(context[field], `${path}.${field}`));
  (context.supplementalGroups ?? []).forEach((group, i) => {
    errors.push(...validateId(group, `${path}.supplementalGroups[${i}]`));
  });
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    const detail = 'ShareProcessNamespace and HostPID cannot both be enabled';
    errors.push(invalid(`${path}.shareProcessNamespace`, true, detail));
  }
  errors.push(...validateSysctls(spec, `${path}.sysctls`));
  errors.push(...oneOf(context.fsGroupChangePolicy, ['Always', 'OnRootMismatch'], `${path}.fsGroupChangePolicy`));
  errors.push(...validateSeccomp(context.seccompProfile, `${path}.seccompProfile`));
  errors.push(...validateWindowsOptions(context.windowsOptions, `${path}.windowsOptions`));
  errors.push(...validateAppArmor(context.appArmorProfile, `${path}.appArmorProfile`));
  errors.push(...oneOf(context.supplementalGroupsPolicy, ['Merge', 'Strict'], `${path}.supplementalGroupsPolicy`));
  errors.push(...oneOf(context.seLinuxChangePolicy, ['MountOption', 'Recursive'], `${path}.seLinuxChangePolicy`));
  return errors;
}

/** A user namespace of its own excludes the host's other namespaces, and devices, whose owners cannot be mapped. */
export function validateHostUsers(spec: V1PodSpec, path: string): FieldError[] {
  if (spec.hostUsers !== false) return [];
  const refuse = (at: string): FieldError => forbiddenField(at, 'when `hostUsers` is false');
  const shared: readonly (readonly [string, boolean | undefined])[] = [
    ['hostNetwork', spec.hostNetwork],
    ['HostPID', spec.hostPID],
    ['HostIPC', spec.hostIPC],
  ];
  return [
    ...shared.filter(([, value]) => value === true).map(([field]) => refuse(`${path}.${field}`)),
    ...allContainers(spec, path)
      .filter(([container]) => (container.volumeDevices ?? []).length > 0)
      .map(([, at]) => refuse(`${at}.volumeDevices`)),
  ];
}

function validateId(id: number | undefined, path: string): FieldError[] {
  return id == null ? [] : invalidEach(path, id, unixIdProblems(id));
}

function oneOf(value: string | undefined, supported: readonly string[], path: string): FieldError[] {
  return value == null || supported.includes(value) ? [] : [notSupported(path, value, supported)];
}

function validateSysctls(spec: V1PodSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  (spec.securityContext?.sysctls ?? []).forEach((sysctl, i) => {
    const name = sysctl.name ?? '';
    const at = `${path}[${i}].name`;
    if (name === '') errors.push(required(at));
    else if (byteLength(name) > 253 || !sysctlName.test(name)) {
      errors.push(invalid(at, name, `must have at most 253 characters and match regex ${sysctlFormat}`));
    } else if (names.has(name)) errors.push(duplicate(at, name));
    names.add(name);
    const dotted = name.replaceAll('/', '.');
    if (spec.hostNetwork === true && dotted.startsWith('net.')) {
      errors.push(invalid(at, name, "may not be specified when 'hostNetwork' is true"));
    } else if (spec.hostIPC === true && (ipcSysctls.has(dotted) || dotted.startsWith('fs.mqueue.'))) {
      errors.push(invalid(at, name, "may not be specified when 'hostIPC' is true"));
    }
  });
  return errors;
}

function validateSeccomp(profile: V1SeccompProfile | undefined, path: string): FieldError[] {
  if (profile == null) return [];
  const errors: FieldError[] = [];
  const type = profile.type ?? '';
  if (type === '') errors.push(required(`${path}.type`, 'type is required when seccompProfile is set'));
  else if (!profileTypes.includes(type)) errors.push(notSupported(`${path}.type`, type, profileTypes));
  if (type === 'Localhost') {
    if (profile.localhostProfile == null) {
      errors.push(required(`${path}.localhostProfile`, 'must be set when seccomp type is Localhost'));
    } else {
      errors.push(...validateDescendingPath(profile.localhostProfile, `${path}.localhostProfile`));
    }
  } else if (profile.localhostProfile != null) {
    errors.push(invalid(`${path}.localhostProfile`, inMemoryStruct(profile, 'Profile'), 'can only be set when seccomp type is Localhost'));
  }
  return errors;
}

/** An AppArmor profile of a pod or a container. */
export function validateAppArmor(profile: V1AppArmorProfile | undefined, path: string): FieldError[] {
  if (profile == null) return [];
  const type = profile.type ?? '';
  const name = profile.localhostProfile;
  const at = `${path}.localhostProfile`;
  switch (type) {
    case 'Localhost': {
      if (name == null || name === '') return [required(at, 'must be set when AppArmor type is Localhost')];
      const errors: FieldError[] = [];
      if (name !== name.trim()) errors.push(invalid(at, name, 'must not be padded with whitespace'));
      if (byteLength(name) > 4095) errors.push(tooLong(at, 4095));
      return errors;
    }
    case 'RuntimeDefault':
    case 'Unconfined':
      return name == null ? [] : [invalid(at, name, 'can only be set when AppArmor type is Localhost')];
    case '':
      return [required(`${path}.type`, 'type is required when appArmorProfile is set')];
    default:
      return [notSupported(`${path}.type`, type, profileTypes)];
  }
}
