/** The fields that an applied configuration owns. */
import { isRecord } from '../meta/safe-object.ts';
import type { FieldSet } from './field-set.ts';
import { SetBuilder } from './field-set.ts';
import type { ListType, MapType, MergeType, StructType } from './merge-type.ts';
import { DEDUCED, itemElement } from './merge-type.ts';
import type { PathElement } from './path-element.ts';
import { fieldElement } from './path-element.ts';
import { EMPTIED } from './remove-items.ts';

/**
 * Every leaf, every item of a list, every entry of a map; a struct itself only when it is empty or null. `apiVersion`, `kind` and
 * the object's name are in it: who applies takes them off when they are stored.
 */
export function toFieldSet(type: MergeType, value: unknown): FieldSet {
  const builder = new SetBuilder();
  visit(type, value, [], builder);
  return builder.build();
}

function visit(type: MergeType, value: unknown, path: PathElement[], out: SetBuilder): void {
  switch (type.kind) {
    case 'scalar':
      out.insert(path);
      return;
    case 'struct':
    case 'map':
      if (type.atomic) out.insert(path);
      else if (isRecord(value)) visitMembers(type, value, path, out);
      return;
    case 'list':
      if (type.relationship === 'atomic') out.insert(path);
      else if (Array.isArray(value)) visitItems(type, value, path, out);
      return;
    case 'deduced':
      if (isRecord(value)) visitMembers(FREE_MAP, value, path, out);
      else out.insert(path);
  }
}

const FREE_MAP: MapType = { kind: 'map', atomic: false, value: DEDUCED };

function visitMembers(type: StructType | MapType, value: Readonly<Record<string, unknown>>, path: PathElement[], out: SetBuilder): void {
  for (const key of Object.keys(value)) {
    const member = value[key];
    if (member === undefined) continue;
    const field = type.kind === 'struct' ? type.field(key) : undefined;
    path.push(field?.element ?? fieldElement(key));
    visit(field?.type ?? (type.kind === 'map' ? type.value : DEDUCED), member, path, out);
    const isEmpty = member === null || member === EMPTIED || (isRecord(member) && Object.keys(member).length === 0);
    if (isEmpty || field === undefined) out.insert(path);
    path.pop();
  }
}

function visitItems(type: ListType, items: readonly unknown[], path: PathElement[], out: SetBuilder): void {
  const counts = new Map<PathElement, number>();
  const elements = items.map((item) => {
    const element = itemElement(type, item);
    if (element instanceof Error) return undefined;
    counts.set(element, (counts.get(element) ?? 0) + 1);
    return element;
  });
  items.forEach((item, i) => {
    const element = elements[i];
    if (element === undefined) return;
    path.push(element);
    if (counts.get(element) === 1) visit(type.element, item, path, out);
    out.insert(path);
    path.pop();
  });
}
