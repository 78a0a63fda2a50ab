/**
 * Volumes that stand for a claim. This kubelet mounts no persistent volumes: it says what keeps the volume from being there, as upstream
 * does for a claim that is missing, not bound or going, and that there is no plugin for one that is bound.
 */
import type { V1ObjectMeta } from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import { type KubeletApi, resources } from '../deps.ts';
import type { Pod, Volume } from '../types.ts';
import { messageOf } from './payloads.ts';

/** A volume of which it is not even known what would have to be mounted. */
export class UnprocessedVolume extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'UnprocessedVolume';
  }
}

/** Name of the claim that a volume stands for; undefined when it stands for none. */
export function claimNameOf(pod: Pod, volume: Volume): string | undefined {
  return volume.persistentVolumeClaim?.claimName ?? (volume.ephemeral === undefined ? undefined : `${pod.metadata.name}-${volume.name}`);
}

/** Always throws: UnprocessedVolume while the claim is not ready, an ordinary error when it is. */
export async function refuseClaim(api: Pick<KubeletApi, 'get'>, pod: Pod, volume: Volume, name: string): Promise<never> {
  const { namespace } = pod.metadata;
  const fail = (what: string, cause?: unknown) => new UnprocessedVolume(`error processing PVC ${namespace}/${name}: ${what}`, { cause });
  let claim: KubeObject;
  try {
    claim = await api.get({ resource: resources.persistentVolumeClaims, namespace, name });
  } catch (error) {
    throw fail(`failed to fetch PVC from API server: ${messageOf(error)}`, error);
  }
  if (claim.metadata.deletionTimestamp !== undefined) throw fail('PVC is being deleted');
  const { spec, status } = claim;
  if (!isRecord(status) || status.phase !== 'Bound' || !isRecord(spec) || typeof spec.volumeName !== 'string' || spec.volumeName === '') {
    throw fail('PVC is not bound');
  }
  if (volume.ephemeral !== undefined && !isController(pod, claim.metadata)) {
    const owner = `${namespace}/${pod.metadata.name}`;
    throw new UnprocessedVolume(`PVC ${namespace}/${name} was not created for pod ${owner} (pod is not owner)`);
  }
  throw new Error(`this kubelet has no plugin for persistent volumes: ${spec.volumeName} of claim ${namespace}/${name} cannot be mounted`);
}

function isController(pod: Pod, meta: V1ObjectMeta): boolean {
  return (meta.ownerReferences ?? []).some((owner) => owner.controller === true && owner.uid === pod.metadata.uid);
}
