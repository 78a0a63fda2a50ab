import { badRequest } from '@coffer/api/errors/status-error';
import type { KindDefinition } from '@coffer/api/kinds/kind';
import type { KubeObject } from '@coffer/api/meta/object';
import { checkFieldSelector, type FieldSelector } from '@coffer/api/selectors/fields';
import type { LabelSelector } from '@coffer/api/selectors/labels';
import type { Selection, StoredObject } from '@coffer/storage/store/store';
import type { ListOptions } from './options/list-options.ts';

/**
 * Label and field selectors as what the store selects by: its index of names, labels and fields, never parsed objects.
 * Throws StatusError 400 for a field the kind does not support.
 */
export interface RequestSelection extends Selection {
  /** True when neither labels nor fields narrow the list: only then the number of remaining items is told. */
  readonly selectsAll: boolean;
}

/** Selectable fields of each kind, found out once: every key is always present. */
const fieldNames = new WeakMap<KindDefinition, readonly string[]>();

export function selectionOf(kind: KindDefinition, namespace: string, name: string, options: ListOptions): RequestSelection {
  const fields = checkFieldSelector(options.fieldSelector, {
    group: kind.resource.group,
    kind: kind.resource.kind,
    namespaced: kind.resource.namespaced,
    fields: selectableFieldNames(kind),
  });
  const pinned = fields.exact('metadata.name');
  if (name !== '' && !fields.empty && pinned !== name) throw badRequest("fieldSelector metadata.name doesn't match requested name");
  const exactName = name !== '' ? name : pinned;
  const matches = predicate(kind, options.labelSelector, fields);
  return {
    ...(namespace === '' ? {} : { namespace }),
    ...(exactName === undefined ? {} : { name: exactName }),
    ...(matches === undefined ? {} : { matches }),
    selectsAll: matches === undefined && exactName === undefined,
  };
}

function predicate(kind: KindDefinition, labels: LabelSelector, fields: FieldSelector): ((object: StoredObject) => boolean) | undefined {
  if (fields.empty) return labels.empty ? undefined : (object) => labels.matches(object.labels);
  const stored = (field: string) => kind.storedField?.(field) ?? field;
  return (object) => labels.matches(object.labels) && fields.matches((field) => fieldOf(object, stored(field)));
}

function fieldOf(object: StoredObject, field: string): string {
  if (field === 'metadata.name') return object.name;
  if (field === 'metadata.namespace') return object.namespace;
  return Object.hasOwn(object.fields, field) ? (object.fields[field] ?? '') : '';
}

function selectableFieldNames(kind: KindDefinition): readonly string[] {
  let names = fieldNames.get(kind);
  if (names === undefined) {
    const { group, version, kind: name } = kind.resource;
    const empty: KubeObject = { apiVersion: group === '' ? version : `${group}/${version}`, kind: name, metadata: {} };
    names = Object.keys(kind.selectableFields(empty));
    fieldNames.set(kind, names);
  }
  return names;
}
