import { notFound } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import { describe, expect, it } from 'vitest';
import type { Pod, Volume } from '../types.ts';
import { claimNameOf, refuseClaim, UnprocessedVolume } from './claims.ts';
import { VolumeError, VolumesNotReady } from './volume-manager.ts';

const pod: Pod = { metadata: { name: 'p', namespace: 'shop', uid: 'u1' }, spec: { containers: [] }, status: {} };
const byName: Volume = { name: 'v', persistentVolumeClaim: { claimName: 'claim' } };
const ephemeral: Volume = { name: 'v', ephemeral: {} };

function claim(parts: Partial<KubeObject> & { readonly meta?: object }): KubeObject {
  const { meta, ...rest } = parts;
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'claim', namespace: 'shop', ...meta }, ...rest };
}

const bound = { spec: { volumeName: 'pv1' }, status: { phase: 'Bound' } };

describe('refuseClaim', () => {
  const cases: readonly { name: string; volume: Volume; answer: KubeObject | Error; message: string; waits: boolean }[] = [
    {
      name: 'a claim that is not there',
      volume: byName,
      answer: notFound({ group: '', resource: 'persistentvolumeclaims' }, 'claim'),
      message: 'error processing PVC shop/claim: failed to fetch PVC from API server: persistentvolumeclaims "claim" not found',
      waits: true,
    },
    {
      name: 'a pending claim',
      volume: byName,
      answer: claim({}),
      message: 'error processing PVC shop/claim: PVC is not bound',
      waits: true,
    },
    {
      name: 'a claim that is going',
      volume: byName,
      answer: claim({ ...bound, meta: { deletionTimestamp: '2026-01-01T00:00:00Z' } }),
      message: 'error processing PVC shop/claim: PVC is being deleted',
      waits: true,
    },
    {
      name: "somebody else's claim under the name of an ephemeral volume",
      volume: ephemeral,
      answer: claim(bound),
      message: 'PVC shop/p-v was not created for pod shop/p (pod is not owner)',
      waits: true,
    },
    {
      name: 'a bound claim',
      volume: byName,
      answer: claim(bound),
      message: 'this kubelet has no plugin for persistent volumes: pv1 of claim shop/claim cannot be mounted',
      waits: false,
    },
  ];
  for (const { name, volume, answer, message, waits } of cases) {
    it(name, async () => {
      const get = async () => {
        if (answer instanceof Error) throw answer;
        return answer;
      };
      const failure = await refuseClaim({ get }, pod, volume, claimNameOf(pod, volume) ?? '').catch((error: unknown) => error);
      expect(failure).toMatchObject({ message });
      expect(failure instanceof UnprocessedVolume).toBe(waits);
    });
  }
});

describe('VolumesNotReady.events', () => {
  it('tells of volumes that could not be processed in one event, of others each in its own', () => {
    const failures = [
      new VolumeError('a', 'secret "s" not found'),
      new VolumeError('b', '', { cause: new UnprocessedVolume('no b') }),
      new VolumeError('c', '', { cause: new UnprocessedVolume('no c') }),
    ];
    expect(new VolumesNotReady(failures).events()).toEqual([
      'MountVolume.SetUp failed for volume "a" : secret "s" not found',
      'Unable to attach or mount volumes: unmounted volumes=[a b c], unattached volumes=[], failed to process volumes=[b c]: no b; no c',
    ]);
  });
});
