import type { V1NodeSpec } from '@coffer/api/generated/types';
import type { Mutable } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { AdmissionPlugin } from '../plugin.ts';

const notReady = { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' } as const;

/**
 * A new node takes no pods until its conditions say that it is ready: it is created with the taint that the node controller takes
 * away then, so that nothing is scheduled in between.
 */
export const nodeTaint: AdmissionPlugin = {
  name: 'TaintNodesByCondition',
  admit({ operation, resource, subresource, object }) {
    if (resource.group !== '' || resource.resource !== 'nodes' || subresource !== '') return;
    if (operation !== 'CREATE' || object === undefined) return;
    const spec = (isRecord(object.spec) ? object.spec : {}) as Mutable<V1NodeSpec>;
    const taints = spec.taints ?? [];
    if (taints.some((taint) => taint.key === notReady.key && taint.effect === notReady.effect)) return;
    spec.taints = [...taints, { ...notReady }];
    object.spec = spec;
  },
};
