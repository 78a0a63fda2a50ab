/** `spec.volumes` of a pod: exactly one source each, unique names. The sources themselves are in `volume-sources.ts`. */

import type { FieldError } from '../../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, required } from '../../../errors/field-error.ts';
import type { V1Volume } from '../../../generated/types.ts';
import type { ObjectMeta } from '../../../meta/object.ts';
import { dnsLabelProblems, nameRules } from '../../../validation/names.ts';
import { invalidEach } from '../../../validation/object-meta.ts';
import { validateProjected } from './projected-volume.ts';
import * as sources from './volume-sources.ts';

export interface ValidVolumes {
  /** The volumes without errors, by name: what mounts may refer to. */
  readonly volumes: ReadonlyMap<string, V1Volume>;
  readonly errors: FieldError[];
}

/** `podMeta` is absent for templates: the names of claims that a pod would create are then unknown. */
export function validateVolumes(list: readonly V1Volume[], podMeta: ObjectMeta | undefined, path: string, isPod: boolean): ValidVolumes {
  const errors: FieldError[] = [];
  const volumes = new Map<string, V1Volume>();
  const podName = podMeta?.name ?? '';
  const created = new Set(podName === '' ? [] : list.filter((v) => v.ephemeral != null).map((v) => `${podName}-${v.name}`));
  list.forEach((volume, i) => {
    const at = `${path}[${i}]`;
    const name = volume.name ?? '';
    const found = validateSource(volume, at, podName, isPod);
    if (name === '') found.push(required(`${at}.name`));
    else found.push(...invalidEach(`${at}.name`, name, dnsLabelProblems(name)));
    if (volumes.has(name)) found.push(duplicate(`${at}.name`, name));
    if (found.length === 0) volumes.set(name, volume);
    errors.push(...found);
    const claim = volume.persistentVolumeClaim?.claimName ?? '';
    if (volume.persistentVolumeClaim != null && created.has(claim)) {
      const detail = 'must not reference a PVC that gets created for an ephemeral volume';
      errors.push(invalid(`${at}.persistentVolumeClaim.claimName`, claim, detail));
    }
  });
  return { volumes, errors };
}

/** A volume type: where a second one is reported, and the errors of its source if the volume has one. */
type SourceCheck = readonly [field: string, check: () => FieldError[] | undefined];

function validateSource(v: V1Volume, path: string, podName: string, isPod: boolean): FieldError[] {
  const given = <T>(source: T | undefined, check: (source: T, path: string) => FieldError[], field: string): FieldError[] | undefined =>
    source == null ? undefined : check(source, `${path}.${field}`);
  // In the order in which several types on one volume are reported; some paths differ from the field's name.
  const checks: readonly SourceCheck[] = [
    ['emptyDir', () => given(v.emptyDir, sources.validateEmptyDir, 'emptyDir')],
    ['hostPath', () => given(v.hostPath, sources.validateHostPath, 'hostPath')],
    ['gitRepo', () => given(v.gitRepo, sources.validateGitRepo, 'gitRepo')],
    ['gcePersistentDisk', () => given(v.gcePersistentDisk, sources.validateGcePersistentDisk, 'persistentDisk')],
    ['awsElasticBlockStore', () => given(v.awsElasticBlockStore, sources.validateAwsElasticBlockStore, 'awsElasticBlockStore')],
    ['secret', () => given(v.secret, sources.validateSecretVolume, 'secret')],
    ['nfs', () => given(v.nfs, sources.validateNfs, 'nfs')],
    ['iscsi', () => given(v.iscsi, (iscsi, at) => sources.validateIscsi(iscsi, at, v.name ?? '', path), 'iscsi')],
    ['glusterfs', () => given(v.glusterfs, sources.validateGlusterfs, 'glusterfs')],
    ['flocker', () => given(v.flocker, sources.validateFlocker, 'flocker')],
    ['persistentVolumeClaim', () => given(v.persistentVolumeClaim, sources.validateClaim, 'persistentVolumeClaim')],
    ['rbd', () => given(v.rbd, sources.validateRbd, 'rbd')],
    ['cinder', () => given(v.cinder, sources.validateCinder, 'cinder')],
    ['cephFS', () => given(v.cephfs, sources.validateCephFs, 'cephfs')],
    ['quobyte', () => given(v.quobyte, sources.validateQuobyte, 'quobyte')],
    ['downwarAPI', () => given(v.downwardAPI, sources.validateDownwardApi, 'downwardAPI')],
    ['fc', () => given(v.fc, sources.validateFibreChannel, 'fc')],
    ['flexVolume', () => given(v.flexVolume, sources.validateFlexVolume, 'flexVolume')],
    ['configMap', () => given(v.configMap, sources.validateConfigMapVolume, 'configMap')],
    ['azureFile', () => given(v.azureFile, sources.validateAzureFile, 'azureFile')],
    ['vsphereVolume', () => given(v.vsphereVolume, sources.validateVsphere, 'vsphereVolume')],
    ['photonPersistentDisk', () => given(v.photonPersistentDisk, sources.validatePhoton, 'photonPersistentDisk')],
    ['portworxVolume', () => given(v.portworxVolume, sources.validatePortworx, 'portworxVolume')],
    ['azureDisk', () => given(v.azureDisk, sources.validateAzureDisk, 'azureDisk')],
    ['storageos', () => given(v.storageos, sources.validateStorageOs, 'storageos')],
    ['projected', () => given(v.projected, validateProjected, 'projected')],
    ['scaleIO', () => given(v.scaleIO, sources.validateScaleIo, 'scaleIO')],
    ['csi', () => given(v.csi, sources.validateCsi, 'csi')],
    ['ephemeral', () => given(v.ephemeral, (e, at) => [...sources.validateEphemeral(e, at), ...claimName(v, path, podName)], 'ephemeral')],
    ['image', () => given(v.image, (image, at) => sources.validateImageVolume(image, at, isPod), 'image')],
  ];
  const errors: FieldError[] = [];
  let found = false;
  for (const [field, check] of checks) {
    const problems = check();
    if (problems === undefined) continue;
    if (found) errors.push(forbiddenField(`${path}.${field}`, 'may not specify more than 1 volume type'));
    else errors.push(...problems);
    found = true;
  }
  if (!found) errors.push(required(path, 'must specify a volume type'));
  return errors;
}

/** The claim that an ephemeral volume creates is named after pod and volume. */
function claimName(volume: V1Volume, path: string, podName: string): FieldError[] {
  if (podName === '' || (volume.name ?? '') === '') return [];
  const claim = `${podName}-${volume.name}`;
  const problems = nameRules['dns-subdomain'](claim, false).map((text) => `PVC name ${JSON.stringify(claim)}: ${text}`);
  return invalidEach(`${path}.name`, volume.name, problems);
}
