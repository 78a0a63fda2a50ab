import type { V1PodSpec } from '@coffer/api/generated/types';
import type { Mutable } from '@coffer/api/meta/object';
import { getOwn, isRecord } from '@coffer/api/meta/safe-object';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';

/** The classes every cluster has. */
const systemClasses: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
};
const defaultPolicy = 'PreemptLowerPriority';

/** A pod's priority comes from its class, never from its author; pods without a class have priority 0. */
export const priority: AdmissionPlugin = {
  name: 'Priority',
  admit(attributes) {
    const { operation, resource, subresource, object, oldObject } = attributes;
    if (resource.group !== '' || resource.resource !== 'pods' || subresource !== '' || !isRecord(object?.spec)) return;
    const spec = object.spec as unknown as Mutable<V1PodSpec>;
    if (operation === 'CREATE') setPriority(attributes, spec);
    if (operation === 'UPDATE' && isRecord(oldObject?.spec)) keepPriority(spec, oldObject.spec as unknown as V1PodSpec);
  },
};

function setPriority(attributes: AdmissionAttributes, spec: Mutable<V1PodSpec>): void {
  const className = spec.priorityClassName ?? '';
  const value = className === '' ? 0 : getOwn(systemClasses, className);
  if (value === undefined) throw admissionForbidden(attributes, `no PriorityClass with name ${className} was found`);
  if (spec.priority !== undefined && spec.priority !== value) {
    throw admissionForbidden(
      attributes,
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
    );
  }
  if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== defaultPolicy) {
    throw admissionForbidden(
      attributes,
      `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${defaultPolicy} from the given PriorityClass name`,
    );
  }
  spec.priority = value;
  spec.preemptionPolicy = defaultPolicy;
}

/** A client that leaves the computed fields out of an update does not mean to change them. */
function keepPriority(spec: Mutable<V1PodSpec>, old: V1PodSpec): void {
  if (spec.priority === undefined && old.priority !== undefined) spec.priority = old.priority;
  if (spec.preemptionPolicy === undefined && old.preemptionPolicy !== undefined) spec.preemptionPolicy = old.preemptionPolicy;
}
