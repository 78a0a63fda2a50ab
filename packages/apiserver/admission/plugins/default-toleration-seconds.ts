import type { V1PodSpec, V1Toleration } from '@coffer/api/generated/types';
import type { Mutable } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { AdmissionPlugin } from '../plugin.ts';

const keys = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const;
const seconds = 300;

/** A pod stays five minutes on a node that has become unready or unreachable, unless it says something else. */
export const defaultTolerationSeconds: AdmissionPlugin = {
  name: 'DefaultTolerationSeconds',
  admit({ operation, resource, subresource, object }) {
    if (resource.group !== '' || resource.resource !== 'pods' || subresource !== '' || object === undefined) return;
    if (operation !== 'CREATE' && operation !== 'UPDATE') return;
    if (!isRecord(object.spec)) return;
    const spec = object.spec as unknown as Mutable<V1PodSpec>;
    const tolerations = spec.tolerations ?? [];
    const missing = keys.filter((key) => !tolerations.some((toleration) => covers(toleration, key)));
    if (missing.length === 0) return;
    spec.tolerations = [
      ...tolerations,
      ...missing.map((key) => ({ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: seconds })),
    ];
  },
};

function covers({ key = '', effect = '' }: V1Toleration, taint: string): boolean {
  return (key === taint || key === '') && (effect === 'NoExecute' || effect === '');
}
