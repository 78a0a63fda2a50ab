/** Volume mounts and block devices of a container: they refer to the pod's volumes and may not overlap. */

import type { FieldError } from '../../../errors/field-error.ts';
import { forbiddenField, invalid, notFoundField, notSupported, required } from '../../../errors/field-error.ts';
import type { V1Container, V1Volume, V1VolumeDevice, V1VolumeMount } from '../../../generated/types.ts';
import { validateDescendingPath, validateNoBacksteps } from './paths.ts';

type Volumes = ReadonlyMap<string, V1Volume>;

export function validateVolumeMounts(container: V1Container, volumes: Volumes, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const mounted = new Set<string>();
  const devices = new Map((container.volumeDevices ?? []).map((device) => [device.name, device.devicePath]));
  (container.volumeMounts ?? []).forEach((mount, i) => {
    const at = `${path}[${i}]`;
    const { name = '', mountPath = '', subPath = '', subPathExpr = '' } = mount as Partial<V1VolumeMount>;
    if (name === '') errors.push(required(`${at}.name`));
    if (!volumes.has(name)) errors.push(notFoundField(`${at}.name`, name));
    if (mountPath === '') errors.push(required(`${at}.mountPath`));
    if (mounted.has(mountPath)) errors.push(invalid(`${at}.mountPath`, mountPath, 'must be unique'));
    mounted.add(mountPath);
    if (devices.has(name)) errors.push(invalid(`${at}.name`, name, 'must not already exist in volumeDevices'));
    if ([...devices.values()].includes(mountPath)) {
      errors.push(invalid(`${at}.mountPath`, mountPath, 'must not already exist as a path in volumeDevices'));
    }
    // The following are reported on the list, without an index.
    if (subPath !== '') errors.push(...validateDescendingPath(subPath, `${path}.subPath`));
    if (subPathExpr !== '') {
      if (subPath !== '') errors.push(invalid(`${at}.subPathExpr`, subPathExpr, 'subPathExpr and subPath are mutually exclusive'));
      errors.push(...validateDescendingPath(subPathExpr, `${path}.subPathExpr`));
    }
    errors.push(...validatePropagation(mount, container, `${path}.mountPropagation`));
    errors.push(...validateRecursiveReadOnly(mount, `${path}.recursiveReadOnly`));
  });
  return errors;
}

function validatePropagation(mount: V1VolumeMount, container: V1Container, path: string): FieldError[] {
  const mode = mount.mountPropagation;
  if (mode == null) return [];
  const modes = ['Bidirectional', 'HostToContainer', 'None'];
  const errors = modes.includes(mode) ? [] : [notSupported(path, mode, modes)];
  if (mode === 'Bidirectional' && container.securityContext?.privileged !== true) {
    errors.push(forbiddenField(path, 'Bidirectional mount propagation is available only to privileged containers'));
  }
  return errors;
}

function validateRecursiveReadOnly(mount: V1VolumeMount, path: string): FieldError[] {
  const mode = mount.recursiveReadOnly;
  if (mode == null || mode === 'Disabled') return [];
  if (mode !== 'Enabled' && mode !== 'IfPossible') return [notSupported(path, mode, ['Disabled', 'Enabled', 'IfPossible'])];
  const errors: FieldError[] = [];
  if (mount.readOnly !== true) errors.push(forbiddenField(path, 'may only be specified when readOnly is true'));
  if (mount.mountPropagation != null && mount.mountPropagation !== 'None') {
    errors.push(forbiddenField(path, 'may only be specified when mountPropagation is None or not specified'));
  }
  return errors;
}

export function validateVolumeDevices(container: V1Container, volumes: Volumes, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const paths = new Set<string>();
  const names = new Set<string>();
  const mounts = new Map((container.volumeMounts ?? []).map((mount) => [mount.name, mount.mountPath]));
  (container.volumeDevices ?? []).forEach((device, i) => {
    const at = `${path}[${i}]`;
    const { name = '', devicePath = '' } = device as Partial<V1VolumeDevice>;
    const volume = volumes.get(name);
    if (name === '') errors.push(required(`${at}.name`));
    if (names.has(name)) errors.push(invalid(`${at}.name`, name, 'must be unique'));
    if (volume === undefined) errors.push(notFoundField(`${at}.name`, name));
    else if (volume.persistentVolumeClaim == null && volume.ephemeral == null) {
      const detail = 'can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode';
      errors.push(invalid(`${at}.name`, name, detail));
    }
    if (devicePath === '') errors.push(required(`${at}.devicePath`));
    if (paths.has(devicePath)) errors.push(invalid(`${at}.devicePath`, devicePath, 'must be unique'));
    if (validateNoBacksteps(devicePath, at).length > 0) {
      errors.push(invalid(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')"));
    } else {
      paths.add(devicePath);
    }
    if (mounts.has(name)) errors.push(invalid(`${at}.name`, name, 'must not already exist in volumeMounts'));
    if ([...mounts.values()].includes(devicePath)) {
      errors.push(invalid(`${at}.devicePath`, devicePath, 'must not already exist as a path in volumeMounts'));
    }
    if (name !== '') names.add(name);
  });
  return errors;
}
