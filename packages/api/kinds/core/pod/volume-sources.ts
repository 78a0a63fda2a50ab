/** The sources a volume can have, one check each: what must be given, and in which form. `path` is the field of the source. */

import type { FieldError } from '../../../errors/field-error.ts';
import { forbiddenField, invalid, notSupported, required, tooLong } from '../../../errors/field-error.ts';
import type * as api from '../../../generated/types.ts';
import { getOwn } from '../../../meta/safe-object.ts';
import { byteLength, dnsLabelProblems, dnsSubdomainProblems, inclusiveRangeText, nameRules } from '../../../validation/names.ts';
import { invalidEach, validateAnnotations, validateLabelSelector, validateLabels } from '../../../validation/object-meta.ts';
import { isNegative, isPositive } from '../../../validation/quantities.ts';
import { validateContainerResourceField, validateFieldRef, volumeFieldPaths } from './field-refs.ts';
import { validateDescendingPath, validateFileMode, validateNoBacksteps, validateVolumeFilePath } from './paths.ts';
import { validatePullPolicy } from './pull-policy.ts';

const iqn = /iqn\.\d{4}-\d{2}\.([A-Za-z0-9\-.]+)(:[^,;*&$|\s]+)$/;
const eui = /^eui.[A-Za-z0-9]{16}$/;
const naa = /^naa.[A-Za-z0-9]{32}$/;
const hostPathTypes = ['', 'BlockDevice', 'CharDevice', 'Directory', 'DirectoryOrCreate', 'File', 'FileOrCreate', 'Socket'];

/** `Required value` for every named field that is empty. */
function requireFields(source: object, path: string, ...fields: readonly string[]): FieldError[] {
  const values = source as Readonly<Record<string, unknown>>;
  const empty = (value: unknown): boolean => value == null || value === '' || (Array.isArray(value) && value.length === 0);
  return fields.filter((field) => empty(getOwn(values, field))).map((field) => required(`${path}.${field}`));
}

function inRange(value: number | undefined, low: number, high: number, path: string): FieldError[] {
  const number = value ?? 0;
  return number < low || number > high ? [invalid(path, number, inclusiveRangeText(low, high))] : [];
}

export function validateEmptyDir(source: api.V1EmptyDirVolumeSource, path: string): FieldError[] {
  if (source.sizeLimit == null || !isNegative(source.sizeLimit)) return [];
  return [forbiddenField(`${path}.sizeLimit`, 'SizeLimit field must be a valid resource quantity')];
}

export function validateHostPath(source: api.V1HostPathVolumeSource, path: string): FieldError[] {
  const target = source.path ?? '';
  if (target === '') return [required(`${path}.path`)];
  const errors = validateNoBacksteps(target, `${path}.path`);
  if (source.type != null && !hostPathTypes.includes(source.type)) {
    errors.push(notSupported(`${path}.type`, source.type, hostPathTypes));
  }
  return errors;
}

export function validateGitRepo(source: api.V1GitRepoVolumeSource, path: string): FieldError[] {
  return [...requireFields(source, path, 'repository'), ...validateDescendingPath(source.directory ?? '', `${path}.directory`)];
}

export function validateGcePersistentDisk(source: api.V1GCEPersistentDiskVolumeSource, path: string): FieldError[] {
  const errors = requireFields(source, path, 'pdName');
  const partition = source.partition ?? 0;
  if (partition < 0 || partition > 255) errors.push(invalid(`${path}.partition`, partition, inclusiveRangeText(1, 255)));
  return errors;
}

export function validateAwsElasticBlockStore(source: api.V1AWSElasticBlockStoreVolumeSource, path: string): FieldError[] {
  const errors = requireFields(source, path, 'volumeID');
  const partition = source.partition ?? 0;
  if (partition < 0 || partition > 255) errors.push(invalid(`${path}.partition`, partition, inclusiveRangeText(1, 255)));
  return errors;
}

export function validateSecretVolume(source: api.V1SecretVolumeSource, path: string): FieldError[] {
  return [
    ...requireFields(source, path, 'secretName'),
    ...validateFileMode(source.defaultMode, `${path}.defaultMode`),
    ...validateItems(source.items, path),
  ];
}

export function validateConfigMapVolume(source: api.V1ConfigMapVolumeSource, path: string): FieldError[] {
  return [
    ...requireFields(source, path, 'name'),
    ...validateFileMode(source.defaultMode, `${path}.defaultMode`),
    ...validateItems(source.items, path),
  ];
}

function validateItems(items: readonly api.V1KeyToPath[] | undefined, path: string): FieldError[] {
  return (items ?? []).flatMap((item, i) => validateKeyToPath(item, `${path}.items[${i}]`));
}

export function validateKeyToPath(item: api.V1KeyToPath, path: string): FieldError[] {
  return [
    ...requireFields(item, path, 'key', 'path'),
    ...validateVolumeFilePath(item.path ?? '', `${path}.path`),
    ...validateFileMode(item.mode, `${path}.mode`),
  ];
}

export function validateDownwardApi(source: api.V1DownwardAPIVolumeSource, path: string): FieldError[] {
  // Errors of files carry the path of the volume: that is how they are reported.
  return [
    ...validateFileMode(source.defaultMode, `${path}.defaultMode`),
    ...(source.items ?? []).flatMap((file) => validateDownwardFile(file, path)),
  ];
}

export function validateDownwardFile(file: api.V1DownwardAPIVolumeFile, path: string): FieldError[] {
  const errors = [...requireFields(file, path, 'path'), ...validateVolumeFilePath(file.path ?? '', `${path}.path`)];
  if (file.fieldRef != null) {
    errors.push(...validateFieldRef(file.fieldRef, volumeFieldPaths, `${path}.fieldRef`));
    if (file.resourceFieldRef != null) {
      errors.push(invalid(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'));
    }
  } else if (file.resourceFieldRef != null) {
    errors.push(...validateContainerResourceField(file.resourceFieldRef, `${path}.resourceFieldRef`, true));
  } else {
    errors.push(required(path, 'one of fieldRef and resourceFieldRef is required'));
  }
  errors.push(...validateFileMode(file.mode, `${path}.mode`));
  return errors;
}

export function validateNfs(source: api.V1NFSVolumeSource, path: string): FieldError[] {
  const errors = requireFields(source, path, 'server', 'path');
  const target = source.path ?? '';
  if (!target.startsWith('/')) errors.push(invalid(`${path}.path`, target, 'must be an absolute path'));
  return errors;
}

export function validateIscsi(source: api.V1ISCSIVolumeSource, path: string, volumeName: string, volumePath: string): FieldError[] {
  const errors = requireFields(source, path, 'targetPortal', 'iqn');
  if ((source.iqn ?? '') !== '') errors.push(...validateIscsiName(source.iqn, `${path}.iqn`));
  errors.push(...inRange(source.lun, 0, 255, `${path}.lun`));
  if ((source.chapAuthDiscovery === true || source.chapAuthSession === true) && source.secretRef == null) {
    errors.push(required(`${path}.secretRef`));
  }
  if (source.initiatorName == null) return errors;
  errors.push(...validateIscsiName(source.initiatorName, `${path}.initiatorname`));
  if (byteLength(`${volumeName}:${source.targetPortal}`) > 64) {
    const detail = 'Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.';
    errors.push(invalid(`${volumePath}.name`, volumeName, detail));
  }
  return errors;
}

function validateIscsiName(name: string, path: string): FieldError[] {
  const format = name.startsWith('iqn') ? iqn : name.startsWith('eui') ? eui : name.startsWith('naa') ? naa : undefined;
  if (format === undefined) return [invalid(path, name, 'must be valid format starting with iqn, eui, or naa')];
  return format.test(name) ? [] : [invalid(path, name, 'must be valid format')];
}

export function validateGlusterfs(source: api.V1GlusterfsVolumeSource, path: string): FieldError[] {
  return requireFields(source, path, 'endpoints', 'path');
}

export function validateFlocker(source: api.V1FlockerVolumeSource, path: string): FieldError[] {
  const { datasetName = '', datasetUUID = '' } = source;
  const errors: FieldError[] = [];
  if (datasetName === '' && datasetUUID === '') errors.push(required(path, 'one of datasetName and datasetUUID is required'));
  if (datasetName !== '' && datasetUUID !== '') {
    errors.push(invalid(path, 'resource', 'datasetName and datasetUUID can not be specified simultaneously'));
  }
  if (datasetName.includes('/')) errors.push(invalid(`${path}.datasetName`, datasetName, "must not contain '/'"));
  return errors;
}

export function validateClaim(source: api.V1PersistentVolumeClaimVolumeSource, path: string): FieldError[] {
  return requireFields(source, path, 'claimName');
}

export function validateRbd(source: api.V1RBDVolumeSource, path: string): FieldError[] {
  return requireFields(source, path, 'monitors', 'image');
}

export function validateCinder(source: api.V1CinderVolumeSource, path: string): FieldError[] {
  return [...requireFields(source, path, 'volumeID'), ...secretName(source.secretRef, path)];
}

export function validateCephFs(source: api.V1CephFSVolumeSource, path: string): FieldError[] {
  return requireFields(source, path, 'monitors');
}

export function validateQuobyte(source: api.V1QuobyteVolumeSource, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const pairText = 'must be a host:port pair or multiple pairs separated by commas';
  const registry = source.registry ?? '';
  if (registry === '') errors.push(required(`${path}.registry`, pairText));
  else if (byteLength(source.tenant ?? '') >= 65) {
    errors.push(required(`${path}.tenant`, 'must be a UUID and may not exceed a length of 64 characters'));
  } else {
    const bad = registry.split(',').filter((pair) => !/^(\[[^\]]*\]|[^:]*):[^:]*$/.test(pair));
    errors.push(...bad.map(() => invalid(`${path}.registry`, registry, pairText)));
  }
  return [...errors, ...requireFields(source, path, 'volume')];
}

export function validateFibreChannel(source: api.V1FCVolumeSource, path: string): FieldError[] {
  const targets = source.targetWWNs ?? [];
  const ids = source.wwids ?? [];
  const errors: FieldError[] = [];
  if (targets.length === 0 && ids.length === 0) {
    errors.push(required(`${path}.targetWWNs`, 'must specify either targetWWNs or wwids, but not both'));
  }
  if (targets.length > 0 && ids.length > 0) {
    errors.push(invalid(`${path}.targetWWNs`, targets, 'targetWWNs and wwids can not be specified simultaneously'));
  }
  if (targets.length > 0) {
    if (source.lun == null) errors.push(required(`${path}.lun`, 'lun is required if targetWWNs is specified'));
    else errors.push(...inRange(source.lun, 0, 255, `${path}.lun`));
  }
  return errors;
}

export function validateFlexVolume(source: api.V1FlexVolumeSource, path: string): FieldError[] {
  const errors = requireFields(source, path, 'driver');
  for (const key of Object.keys(source.options ?? {})) {
    const domain = `.${(key.includes('/') ? (key.split('/')[0] ?? '') : key).toLowerCase()}`;
    if (domain.endsWith('.kubernetes.io') || domain.endsWith('.k8s.io')) {
      errors.push(invalid(`${path}.options[${key}]`, key, 'kubernetes.io and k8s.io namespaces are reserved'));
    }
  }
  return errors;
}

export function validateAzureFile(source: api.V1AzureFileVolumeSource, path: string): FieldError[] {
  return requireFields(source, path, 'secretName', 'shareName');
}

export function validateAzureDisk(source: api.V1AzureDiskVolumeSource, path: string): FieldError[] {
  const errors = requireFields(source, path, 'diskName', 'diskURI');
  const { diskURI = '', kind } = source as Partial<api.V1AzureDiskVolumeSource>;
  const cachingModes = ['None', 'ReadOnly', 'ReadWrite'];
  if (source.cachingMode != null && !cachingModes.includes(source.cachingMode)) {
    errors.push(notSupported(`${path}.cachingMode`, source.cachingMode, cachingModes));
  }
  const kinds = ['Dedicated', 'Managed', 'Shared'];
  if (kind != null && !kinds.includes(kind)) errors.push(notSupported(`${path}.kind`, kind, kinds));
  const managed = '/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}';
  const blob = 'https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd';
  if (kind === 'Managed' && !diskURI.startsWith('/subscriptions/')) errors.push(notSupported(`${path}.diskURI`, diskURI, [managed]));
  if (kind != null && kind !== 'Managed' && !diskURI.startsWith('https://')) {
    errors.push(notSupported(`${path}.diskURI`, diskURI, [blob]));
  }
  return errors;
}

export function validateVsphere(source: api.V1VsphereVirtualDiskVolumeSource, path: string): FieldError[] {
  return requireFields(source, path, 'volumePath');
}

export function validatePhoton(source: api.V1PhotonPersistentDiskVolumeSource, path: string): FieldError[] {
  return requireFields(source, path, 'pdID');
}

export function validatePortworx(source: api.V1PortworxVolumeSource, path: string): FieldError[] {
  return requireFields(source, path, 'volumeID');
}

export function validateScaleIo(source: api.V1ScaleIOVolumeSource, path: string): FieldError[] {
  return requireFields(source, path, 'gateway', 'system', 'volumeName');
}

export function validateStorageOs(source: api.V1StorageOSVolumeSource, path: string): FieldError[] {
  const { volumeName = '', volumeNamespace = '' } = source;
  const errors = requireFields(source, path, 'volumeName');
  if (volumeName !== '') errors.push(...invalidEach(`${path}.volumeName`, volumeName, dnsLabelProblems(volumeName)));
  if (volumeNamespace !== '') errors.push(...invalidEach(`${path}.volumeNamespace`, volumeNamespace, dnsLabelProblems(volumeNamespace)));
  return [...errors, ...secretName(source.secretRef, path)];
}

export function validateCsi(source: api.V1CSIVolumeSource, path: string): FieldError[] {
  const driver = source.driver ?? '';
  const errors = requireFields(source, path, 'driver');
  if (byteLength(driver) > 63) errors.push(tooLong(`${path}.driver`, 63));
  errors.push(...invalidEach(`${path}.driver`, driver, dnsSubdomainProblems(driver.toLowerCase())));
  const reference = source.nodePublishSecretRef;
  if (reference == null) return errors;
  const name = reference.name ?? '';
  if (name === '') errors.push(required(`${path}.nodePublishSecretRef.name`));
  else errors.push(...invalidEach(`${path}.name`, name, nameRules['dns-subdomain'](name, false)));
  return errors;
}

/** A claim template: labels, annotations and the claim's spec. */
export function validateEphemeral(source: api.V1EphemeralVolumeSource, path: string): FieldError[] {
  const template = source.volumeClaimTemplate;
  if (template == null) return [required(`${path}.volumeClaimTemplate`)];
  const at = `${path}.volumeClaimTemplate`;
  const { annotations, labels, ...others } = template.metadata ?? {};
  return [
    ...validateAnnotations(annotations, `${at}.metadata.annotations`),
    ...validateLabels(labels, `${at}.metadata.labels`),
    ...Object.keys(others).map((field) => forbiddenField(`${at}.metadata.${field}`, 'cannot be set')),
    ...validateClaimSpec(template.spec ?? {}, `${at}.spec`),
  ];
}

function validateClaimSpec(spec: api.V1PersistentVolumeClaimSpec, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const modes = spec.accessModes ?? [];
  if (modes.length === 0) errors.push(required(`${path}.accessModes`, 'at least 1 access mode is required'));
  errors.push(...validateLabelSelector(spec.selector, `${path}.selector`));
  const supported = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod'];
  const unknown = modes.filter((mode) => !supported.includes(mode));
  errors.push(...unknown.map((mode) => notSupported(`${path}.accessModes`, mode, supported)));
  if (modes.includes('ReadWriteOncePod') && modes.some((mode) => mode !== 'ReadWriteOncePod' && supported.includes(mode))) {
    errors.push(forbiddenField(`${path}.accessModes`, 'may not use ReadWriteOncePod with other access modes'));
  }
  const storage = getOwn(spec.resources?.requests, 'storage');
  if (storage === undefined) errors.push(required(`${path}.resources[storage]`));
  else if (!isPositive(storage)) errors.push(invalid(`${path}.resources[storage]`, storage, 'must be greater than zero'));
  const className = spec.storageClassName ?? '';
  if (className !== '') errors.push(...invalidEach(`${path}.storageClassName`, className, dnsSubdomainProblems(className)));
  if (spec.volumeMode != null && !['Block', 'Filesystem'].includes(spec.volumeMode)) {
    errors.push(notSupported(`${path}.volumeMode`, spec.volumeMode, ['Block', 'Filesystem']));
  }
  return errors;
}

/** Templates may leave the reference to whoever makes pods of them. */
export function validateImageVolume(source: api.V1ImageVolumeSource, path: string, isPod: boolean): FieldError[] {
  return [...(isPod ? requireFields(source, path, 'reference') : []), ...validatePullPolicy(source.pullPolicy, `${path}.pullPolicy`)];
}

function secretName(reference: { readonly name?: string } | undefined, path: string): FieldError[] {
  return reference != null && (reference.name ?? '') === '' ? [required(`${path}.secretRef.name`)] : [];
}
