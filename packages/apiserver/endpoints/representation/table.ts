import { formatFieldError, invalid } from '@coffer/api/errors/field-error';
import { badRequest } from '@coffer/api/errors/status-error';
import type { TableDefinition } from '@coffer/api/kinds/kind';
import type { KubeObject } from '@coffer/api/meta/object';
import { partialMetadata } from './partial-metadata.ts';

/** `as=Table`: rows of cells for people, as `kubectl get` shows them, and what each row carries along of its object. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableOptions {
  readonly version: 'v1' | 'v1beta1';
  readonly include: IncludeObject;
  /** False in all but the first table of a watch. */
  readonly headers: boolean;
  readonly nowMs: number;
  /** Of the list, or of the single object. */
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** The query parameter `includeObject`; throws StatusError 400. */
export function parseIncludeObject(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject') ?? '';
  if (value === '') return 'Metadata';
  if (value === 'None' || value === 'Metadata' || value === 'Object') return value;
  const problem = invalid('includeObject', value, "must be 'Metadata', 'Object', 'None', or empty");
  throw badRequest(`Unable to convert to Table as requested: ${formatFieldError(problem)}`);
}

export function tableOf(table: TableDefinition, objects: readonly KubeObject[], options: TableOptions): Readonly<Record<string, unknown>> {
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${options.version}`,
    metadata: options.metadata,
    columnDefinitions: options.headers ? table.columns : null,
    rows: objects.map((object) => {
      const conditions = table.conditions?.(object) ?? [];
      return {
        cells: table.cells(object, options.nowMs),
        ...(conditions.length > 0 ? { conditions } : {}),
        object: rowObject(object, options),
      };
    }),
  };
}

function rowObject(object: KubeObject, options: TableOptions): unknown {
  switch (options.include) {
    case 'None':
      return null;
    case 'Metadata':
      return partialMetadata(object, options.version);
    case 'Object':
      return object;
  }
}
