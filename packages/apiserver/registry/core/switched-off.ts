import type { V1PodSpec } from '@coffer/api/generated/types';
import { dropSwitchedOffFields } from '@coffer/api/kinds/core/pod/switched-off-fields';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { Strategy } from '../generic/strategy.ts';

/** Where an object has its pod spec. */
type PodSpecOf = (object: KubeObject) => V1PodSpec | undefined;

/** The strategy of a kind with a pod spec in it: fields of features that are off go before anything else looks at the object. */
export function withoutSwitchedOffFields(strategy: Strategy, podSpecOf: PodSpecOf): Strategy {
  return {
    ...strategy,
    prepareForCreate(object, context, warnings) {
      dropSwitchedOffFields(podSpecOf(object), undefined);
      strategy.prepareForCreate?.(object, context, warnings);
    },
    prepareForUpdate(object, old, context) {
      dropSwitchedOffFields(podSpecOf(object), podSpecOf(old));
      strategy.prepareForUpdate?.(object, old, context);
    },
  };
}

/** The spec of a pod. */
export const ownSpec: PodSpecOf = (object) => specIn(object);
/** The pod spec of a PodTemplate. */
export const specOfTemplate: PodSpecOf = (object) => specIn(object.template);
/** The pod spec of what makes pods. */
export const specOfPodTemplate: PodSpecOf = (object) => (isRecord(object.spec) ? specIn(object.spec.template) : undefined);

function specIn(holder: unknown): V1PodSpec | undefined {
  return isRecord(holder) && isRecord(holder.spec) ? (holder.spec as unknown as V1PodSpec) : undefined;
}
