import type { V1PodSpec, V1PriorityClass } from '@coffer/api/generated/types';
import { viewAs } from '@coffer/api/kinds/define-kind';
import { defaultPreemptionPolicy, systemPriorityClasses } from '@coffer/api/kinds/scheduling/priority-class';
import type { Mutable } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { ResourceStore } from '@coffer/storage/store/store';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';

/**
 * A pod's priority comes from its class, or the class that is the default, and never from its author; without any class it is 0. There is
 * one default class at most.
 */
export function priority(classes: ResourceStore): AdmissionPlugin {
  return {
    name: 'Priority',
    admit(attributes) {
      const { operation, resource, subresource, object, oldObject } = attributes;
      if (resource.group !== '' || resource.resource !== 'pods' || subresource !== '' || !isRecord(object?.spec)) return undefined;
      const spec = object.spec as unknown as Mutable<V1PodSpec>;
      if (operation === 'UPDATE' && isRecord(oldObject?.spec)) keepPriority(spec, oldObject.spec as unknown as V1PodSpec);
      return operation === 'CREATE' ? setPriority(classes, attributes, spec) : undefined;
    },
    validate(attributes) {
      const { resource, object } = attributes;
      if (resource.group !== 'scheduling.k8s.io' || resource.resource !== 'priorityclasses' || object === undefined) return undefined;
      return viewAs<V1PriorityClass>(object).globalDefault === true ? checkOnlyDefault(classes, attributes) : undefined;
    },
  };
}

async function checkOnlyDefault(classes: ResourceStore, attributes: AdmissionAttributes): Promise<void> {
  const current = await defaultClass(classes);
  const other = current?.metadata?.name ?? '';
  if (current === undefined || (attributes.operation === 'UPDATE' && other === attributes.name)) return;
  throw admissionForbidden(attributes, `PriorityClass ${other} is already marked as default. Only one default can exist`);
}

async function setPriority(classes: ResourceStore, attributes: AdmissionAttributes, spec: Mutable<V1PodSpec>): Promise<void> {
  const given = spec.priorityClassName ?? '';
  const found = given === '' ? await defaultClass(classes) : classNamed(classes, given);
  if (given !== '' && found === undefined) throw admissionForbidden(attributes, `no PriorityClass with name ${given} was found`);
  const value = found?.value ?? 0;
  const policy = found?.preemptionPolicy ?? defaultPreemptionPolicy;
  if (spec.priority !== undefined && spec.priority !== value) {
    throw admissionForbidden(
      attributes,
      `the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`,
    );
  }
  if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) {
    throw admissionForbidden(
      attributes,
      `the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`,
    );
  }
  if (given === '' && found?.metadata?.name !== undefined) spec.priorityClassName = found.metadata.name;
  spec.priority = value;
  spec.preemptionPolicy = policy;
}

/** The system's classes are known before they are stored. */
function classNamed(classes: ResourceStore, name: string): V1PriorityClass | undefined {
  const stored = classes.get('', name);
  return stored === undefined ? systemPriorityClasses.find((known) => known.name === name) : viewAs<V1PriorityClass>(stored.peek());
}

/** Of several defaults, which only writes at one time can leave, the least important one. */
async function defaultClass(classes: ResourceStore): Promise<V1PriorityClass | undefined> {
  const { items } = await classes.list({});
  const defaults = items.map((item) => viewAs<V1PriorityClass>(item.peek())).filter(({ globalDefault }) => globalDefault === true);
  return defaults.sort((a, b) => (a.value ?? 0) - (b.value ?? 0))[0];
}

/** A client that leaves the computed fields out of an update does not mean to change them. */
function keepPriority(spec: Mutable<V1PodSpec>, old: V1PodSpec): void {
  if (spec.priority === undefined && old.priority !== undefined) spec.priority = old.priority;
  if (spec.preemptionPolicy === undefined && old.preemptionPolicy !== undefined) spec.preemptionPolicy = old.preemptionPolicy;
}
