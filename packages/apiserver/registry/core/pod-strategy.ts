import type { V1PodSpec } from '@coffer/api/generated/types';
import { qosClass } from '@coffer/api/kinds/pod-state';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import { countGeneration, keepStatus } from '../generic/generation.ts';
import type { Strategy } from '../generic/strategy.ts';
import { mergeLabelKeys, useAppArmorAnnotations } from './pod-own-metadata.ts';

/** Pods start Pending with their quality of service; a deletion leaves their node time to stop them. */
export const podStrategy: Strategy = {
  returnDeletedObject: true,
  prepareForCreate(object, _context, warnings) {
    object.metadata.generation = 1;
    const spec = podSpec(object);
    const gated = (spec.schedulingGates ?? []).length > 0;
    object.status = { phase: 'Pending', qosClass: qosClass(spec), ...(gated ? { conditions: [gatedCondition(object)] } : {}) };
    mergeLabelKeys(object, spec);
    for (const text of useAppArmorAnnotations(object, spec)) warnings.add(text);
  },
  prepareForUpdate(object, old) {
    keepStatus(object, old);
    countGeneration(object, old);
  },
  gracePeriodSeconds(object, options) {
    const spec = podSpec(object);
    const { phase } = isRecord(object.status) ? object.status : {};
    // Nothing runs where no node was assigned, or where everything has ended.
    if ((spec.nodeName ?? '') === '' || phase === 'Failed' || phase === 'Succeeded') return 0;
    const seconds = options.gracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? 0;
    return seconds < 0 ? 1 : seconds;
  },
};

export function podSpec(pod: KubeObject): V1PodSpec {
  return (isRecord(pod.spec) ? pod.spec : {}) as unknown as V1PodSpec;
}

function gatedCondition(pod: KubeObject): Readonly<Record<string, unknown>> {
  return {
    type: 'PodScheduled',
    observedGeneration: pod.metadata.generation,
    status: 'False',
    reason: 'SchedulingGated',
    message: 'Scheduling is blocked due to non-empty scheduling gates',
  };
}
