import type { V1PodSpec } from '@coffer/api/generated/types';
import { isRecord } from '@coffer/api/meta/safe-object';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';

/** There are no RuntimeClasses here: a pod that asks for one is refused, and so is the overhead only a class may set. */
export const runtimeClass: AdmissionPlugin = {
  name: 'RuntimeClass',
  admit(attributes) {
    const { runtimeClassName } = newPodSpec(attributes);
    if (runtimeClassName === undefined) return;
    throw admissionForbidden(attributes, `pod rejected: RuntimeClass ${JSON.stringify(runtimeClassName)} not found`);
  },
  validate(attributes) {
    if (newPodSpec(attributes).overhead === undefined) return;
    throw admissionForbidden(attributes, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead');
  },
};

/** Empty for everything but the creation of a pod. */
function newPodSpec({ operation, resource, subresource, object }: AdmissionAttributes): Partial<V1PodSpec> {
  if (operation !== 'CREATE' || resource.group !== '' || resource.resource !== 'pods' || subresource !== '') return {};
  return (isRecord(object?.spec) ? object.spec : {}) as Partial<V1PodSpec>;
}
