import type { V1Container, V1Pod, V1Volume } from '../generated/types.ts';

/** Names of the objects of its own namespace that a pod refers to. */
export interface PodReferences {
  readonly secrets: ReadonlySet<string>;
  readonly configMaps: ReadonlySet<string>;
  /** Claims, by name. */
  readonly persistentVolumeClaims: ReadonlySet<string>;
  readonly serviceAccount: string;
}

/**
 * Everything a kubelet may have to read to run this pod: what the node authorizer allows, and no more (upstream's
 * `VisitPodSecretNames` and `VisitPodConfigmapNames`).
 */
export function podReferences(pod: V1Pod): PodReferences {
  const secrets = new Set<string>();
  const configMaps = new Set<string>();
  const persistentVolumeClaims = new Set<string>();
  const { spec } = pod;
  if (!spec) return { secrets, configMaps, persistentVolumeClaims, serviceAccount: '' };
  for (const { name } of spec.imagePullSecrets ?? []) add(secrets, name);
  const containers = [...(spec.initContainers ?? []), ...spec.containers, ...((spec.ephemeralContainers ?? []) as readonly V1Container[])];
  for (const container of containers) {
    for (const source of container.envFrom ?? []) {
      add(secrets, source.secretRef?.name);
      add(configMaps, source.configMapRef?.name);
    }
    for (const variable of container.env ?? []) {
      add(secrets, variable.valueFrom?.secretKeyRef?.name);
      add(configMaps, variable.valueFrom?.configMapKeyRef?.name);
    }
  }
  for (const volume of spec.volumes ?? []) {
    for (const name of volumeSecretNames(volume)) add(secrets, name);
    add(configMaps, volume.configMap?.name);
    for (const source of volume.projected?.sources ?? []) add(configMaps, source.configMap?.name);
    add(persistentVolumeClaims, volume.persistentVolumeClaim?.claimName);
    if (volume.ephemeral) add(persistentVolumeClaims, `${pod.metadata?.name ?? ''}-${volume.name}`);
  }
  return { secrets, configMaps, persistentVolumeClaims, serviceAccount: spec.serviceAccountName ?? '' };
}

function volumeSecretNames(volume: V1Volume): (string | undefined)[] {
  return [
    volume.secret?.secretName,
    ...(volume.projected?.sources ?? []).map((source) => source.secret?.name),
    volume.csi?.nodePublishSecretRef?.name,
    volume.azureFile?.secretName,
    volume.cephfs?.secretRef?.name,
    volume.cinder?.secretRef?.name,
    volume.flexVolume?.secretRef?.name,
    volume.iscsi?.secretRef?.name,
    volume.rbd?.secretRef?.name,
    volume.scaleIO?.secretRef?.name,
    volume.storageos?.secretRef?.name,
  ];
}

function add(names: Set<string>, name: string | undefined): void {
  if (name !== undefined && name !== '') names.add(name);
}
