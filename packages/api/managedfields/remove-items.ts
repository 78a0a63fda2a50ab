/** Taking fields out of an object, and the sets that say which. */
import { isRecord, setOwn } from '../meta/safe-object.ts';
import type { FieldSet } from './field-set.ts';
import { below, hasMember, isEmptySet, SetBuilder, union } from './field-set.ts';
import type { ListType, MapType, MergeType, StructType } from './merge-type.ts';
import { DEDUCED, itemElement } from './merge-type.ts';
import type { PathElement } from './path-element.ts';
import { fieldElement } from './path-element.ts';

/** Stands where something lost all its content: the place is still known, as for null, but nothing was there to be null. */
export const EMPTIED: unique symbol = Symbol('emptied');

/** A copy without the fields of the set. What loses all its content becomes `EMPTIED` until `dropEmptied` takes it out. */
export function removeItems(type: MergeType, value: unknown, remove: FieldSet): unknown {
  switch (type.kind) {
    case 'scalar':
      return value;
    case 'struct':
    case 'map':
      return removeMembers(type, value, remove);
    case 'list':
      return removeListItems(type, value, remove);
    case 'deduced':
      if (isRecord(value)) return removeMembers(FREE_MAP, value, remove);
      return Array.isArray(value) ? EMPTIED : value;
  }
}

/**
 * The set with every named field above a member added: `spec` and `template` of `spec.template.labels.a`, but not the map
 * `labels`. Comparing such sets tells fields that exist from fields that are only on the way.
 */
export function withNamedFields(type: MergeType, set: FieldSet): FieldSet {
  const builder = new SetBuilder();
  collectNamed(type, set, [], builder);
  return union(set, builder.build());
}

/** Takes every `EMPTIED` out, in place; they stand only in containers that `removeItems` made. */
export function dropEmptied(value: unknown): void {
  if (Array.isArray(value)) {
    for (const item of value) dropEmptied(item);
  } else if (isRecord(value)) {
    for (const key of Object.keys(value)) {
      if (value[key] === EMPTIED) delete value[key];
      else dropEmptied(value[key]);
    }
  }
}

const FREE_MAP: MapType = { kind: 'map', atomic: false, value: DEDUCED };

function removeMembers(type: StructType | MapType, value: unknown, remove: FieldSet): unknown {
  if (!isRecord(value) || type.atomic) return EMPTIED;
  const out: Record<string, unknown> = {};
  for (const key of Object.keys(value)) {
    const field = type.kind === 'struct' ? type.field(key) : undefined;
    const element = field?.element ?? fieldElement(key);
    if (hasMember(remove, element)) continue;
    const inside = below(remove, element);
    const memberType = field?.type ?? (type.kind === 'map' ? type.value : DEDUCED);
    setOwn<unknown>(out, key, isEmptySet(inside) ? value[key] : removeItems(memberType, value[key], inside));
  }
  return Object.keys(out).length === 0 ? EMPTIED : out;
}

function removeListItems(type: ListType, value: unknown, remove: FieldSet): unknown {
  if (!Array.isArray(value) || type.relationship === 'atomic') return EMPTIED;
  const out: unknown[] = [];
  for (const item of value as unknown[]) {
    const element = itemElement(type, item);
    if (element instanceof Error) {
      out.push(item);
      continue;
    }
    if (hasMember(remove, element)) continue;
    const inside = below(remove, element);
    out.push(isEmptySet(inside) ? item : removeItems(type.element, item, inside));
  }
  return out.length === 0 ? EMPTIED : out;
}

function collectNamed(type: MergeType | undefined, set: FieldSet, path: PathElement[], out: SetBuilder): void {
  for (const element in set) {
    const inside = below(set, element);
    if (element === '.' || isEmptySet(inside)) continue;
    let childType: MergeType | undefined;
    path.push(element);
    if (element.startsWith('f:')) {
      const field = type?.kind === 'struct' ? type.field(element.slice(2)) : undefined;
      if (field !== undefined) out.insert(path);
      childType = field?.type ?? (type?.kind === 'map' ? type.value : type?.kind === 'deduced' ? DEDUCED : undefined);
    } else if (element.startsWith('k:') && type?.kind === 'list') {
      childType = type.element;
    }
    collectNamed(childType, inside, path, out);
    path.pop();
  }
}
