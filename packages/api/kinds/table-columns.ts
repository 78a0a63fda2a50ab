/** Columns that many tables share, and the helpers to build the others. */

import { fieldDescription } from './field-descriptions.ts';
import type { TableColumn, TableDefinition } from './kind.ts';

/** A column; priority 1 is shown with `-o wide` only. */
export function column(name: string, description: string, type: TableColumn['type'] = 'string', priority = 0): TableColumn {
  return { name, type, format: '', description, priority };
}

export const nameColumn: TableColumn = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description:
    'Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names',
  priority: 0,
};

export const ageColumn: TableColumn = column(
  'Age',
  'CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata',
);

/** A column that shows a field: it has the field's description. */
export function fieldColumn(name: string, struct: string, field: string, type: TableColumn['type'] = 'string', priority = 0): TableColumn {
  return {
    name,
    type,
    format: '',
    priority,
    get description() {
      return fieldDescription(struct, field);
    },
  };
}

/** What Go prints for a time that was never set. */
const zeroTime = '0001-01-01T00:00:00Z';

/** The table of kinds without one of their own. */
export const createdTable: TableDefinition = {
  columns: [
    nameColumn,
    {
      name: 'Created At',
      type: 'date',
      format: '',
      priority: 0,
      description: ageColumn.description,
    },
  ],
  cells: (object) => [object.metadata.name ?? '', object.metadata.creationTimestamp ?? zeroTime],
};
