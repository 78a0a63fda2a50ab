/** Rules that Deployments, ReplicaSets and ReplicationControllers share. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, required } from '../../errors/field-error.ts';
import type { V1LabelSelector, V1ReplicaSet } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { nonNegative, validateLabelSelector } from '../../validation/object-meta.ts';
import { viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import type { TableColumn, TableDefinition } from '../kind.ts';
import { containerCells } from '../pod-template.ts';
import { ageColumn, column, fieldColumn, nameColumn } from '../table-columns.ts';

/** Required and not empty: a selector without conditions would take over every pod. */
export function validateSelector(selector: V1LabelSelector | undefined, path: string): FieldError[] {
  if (selector == null) return [required(path)];
  const errors = validateLabelSelector(selector, path);
  const conditions = Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length;
  if (conditions === 0) errors.push(invalid(path, selector, 'empty selector is invalid for deployment'));
  if (errors.length > 0 && conditions > 0) errors.push(invalid(path, selector, 'invalid label selector'));
  return errors;
}

/** Counters are not negative; parts are not greater than `replicas`, and available pods are ready. */
export function validateCounters<F extends string>(
  status: { readonly [field in F]?: number },
  fields: readonly F[],
  parts: readonly F[],
): FieldError[] {
  const count = (field: string): number => (status as Readonly<Record<string, number | undefined>>)[field] ?? 0;
  const errors = fields.flatMap((field) => nonNegative(count(field), `status.${field}`));
  for (const field of parts) {
    if (count(field) > count('replicas')) errors.push(invalid(`status.${field}`, count(field), 'cannot be greater than status.replicas'));
  }
  if (count('availableReplicas') > count('readyReplicas')) {
    errors.push(invalid('status.availableReplicas', count('availableReplicas'), 'cannot be greater than readyReplicas'));
  }
  return errors;
}

/** The table of a kind that keeps replicas of a template: how many are wanted, there and ready. */
export function replicaTable(
  specStruct: string,
  statusStruct: string,
  selector: { readonly column: TableColumn; cell(object: KubeObject): string },
): TableDefinition {
  return {
    columns: [
      nameColumn,
      fieldColumn('Desired', specStruct, 'replicas', 'integer'),
      fieldColumn('Current', statusStruct, 'replicas', 'integer'),
      fieldColumn('Ready', statusStruct, 'readyReplicas', 'integer'),
      ageColumn,
      column('Containers', 'Names of each container in the template.', 'string', 1),
      column('Images', 'Images referenced by each container in the template.', 'string', 1),
      selector.column,
    ],
    cells(object, now) {
      const { metadata, spec, status } = viewAs<V1ReplicaSet>(object);
      return [
        metadata?.name ?? '',
        spec?.replicas ?? 0,
        status?.replicas ?? 0,
        status?.readyReplicas ?? 0,
        timeSince(metadata?.creationTimestamp, now),
        ...containerCells(spec?.template?.spec?.containers ?? []),
        selector.cell(object),
      ];
    },
  };
}

/** `status.replicas` as a field selector sees it. */
export function replicaFields(object: KubeObject): Readonly<Record<string, string>> {
  return { 'status.replicas': `${viewAs<V1ReplicaSet>(object).status?.replicas ?? 0}` };
}
