/** PriorityClass: how important pods are, under a name. */

import type { FieldError } from '../../errors/field-error.ts';
import { forbiddenField, notSupported } from '../../errors/field-error.ts';
import type { V1PriorityClass } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { immutable } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, fieldColumn, nameColumn } from '../table-columns.ts';

const struct = 'io.k8s.api.scheduling.v1.PriorityClass';
const maxUserValue = 1_000_000_000;
export const defaultPreemptionPolicy = 'PreemptLowerPriority';
const policies = [defaultPreemptionPolicy, 'Never'];

/** The classes every cluster has; nobody changes or deletes them. */
export const systemPriorityClasses: readonly { readonly name: string; readonly value: number; readonly description: string }[] = [
  {
    name: 'system-node-critical',
    value: 2_000_001_000,
    description: 'Used for system critical pods that must not be moved from their current node.',
  },
  {
    name: 'system-cluster-critical',
    value: 2_000_000_000,
    description: 'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.',
  },
];

export const priorityClass = defineKind('scheduling.k8s.io', 'priorityclasses', {
  schema: struct,
  nameSyntax: 'dns-subdomain',
  applyDefaults(object) {
    object.preemptionPolicy ??= defaultPreemptionPolicy;
  },
  validate,
  validateUpdate(object, old) {
    const [next, before] = [viewAs<V1PriorityClass>(object), viewAs<V1PriorityClass>(old)];
    const errors = (next.value ?? 0) === (before.value ?? 0) ? [] : [forbiddenField('value', 'may not be changed in an update.')];
    return [...errors, ...immutable(next.preemptionPolicy, before.preemptionPolicy, 'preemptionPolicy')];
  },
  updateOrder: ['meta-update', 'update'],
  hasGeneration: true,
  table: {
    columns: [
      nameColumn,
      fieldColumn('Value', struct, 'value', 'integer'),
      fieldColumn('Global-Default', struct, 'globalDefault', 'boolean'),
      ageColumn,
      fieldColumn('PreemptionPolicy', struct, 'preemptionPolicy'),
    ],
    cells(object, now) {
      const { metadata, value, globalDefault, preemptionPolicy } = viewAs<V1PriorityClass>(object);
      return [
        metadata?.name ?? '',
        value ?? 0,
        globalDefault ?? false,
        timeSince(metadata?.creationTimestamp, now),
        preemptionPolicy ?? defaultPreemptionPolicy,
      ];
    },
  },
});

function validate(object: KubeObject): FieldError[] {
  const { metadata, value = 0, globalDefault = false, preemptionPolicy = '' } = viewAs<V1PriorityClass>(object);
  const errors: FieldError[] = [];
  const name = metadata?.name ?? '';
  if (name.startsWith('system-')) {
    const reason = systemProblem(name, value, globalDefault);
    const text = "priority class names with 'system-' prefix are reserved for system use only. error: ";
    if (reason !== undefined) errors.push(forbiddenField('metadata.name', text + reason));
  } else if (value > maxUserValue) {
    errors.push(forbiddenField('value', `maximum allowed value of a user defined priority is ${maxUserValue}`));
  }
  if (!policies.includes(preemptionPolicy)) errors.push(notSupported('preemptionPolicy', preemptionPolicy, policies));
  return errors;
}

function systemProblem(name: string, value: number, globalDefault: boolean): string | undefined {
  const known = systemPriorityClasses.find((candidate) => candidate.name === name);
  if (known === undefined) return `${name} is not a known system priority class`;
  if (known.value !== value) return `value of ${name} PriorityClass must be ${known.value}`;
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : undefined;
}
