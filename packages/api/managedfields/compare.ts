/**
 * What changed between two objects of one type, as sets of fields: the basis of ownership. Reads its arguments only. Cheap where
 * nothing changed; positions of items in keyed lists do not count as a change.
 */
import { equalJson, isRecord } from '../meta/safe-object.ts';
import type { FieldSet } from './field-set.ts';
import { SetBuilder } from './field-set.ts';
import type { ListType, MapType, MergeType, StructType } from './merge-type.ts';
import { DEDUCED, itemElement } from './merge-type.ts';
import type { PathElement } from './path-element.ts';
import { fieldElement } from './path-element.ts';

export interface Comparison {
  readonly added: FieldSet;
  /** In both, with different values. */
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

/** An object that does not exist yet: every struct that Go always writes is there, and empty. */
export const NEW_OBJECT: unique symbol = Symbol('new object');

type Value = unknown;

/** `live` may be NEW_OBJECT. Fields of the root and of `metadata` that nobody ever owns are left out. */
export function compareObjects(type: StructType, live: Value, next: Value): Comparison {
  const walker = new CompareWalker();
  walker.compare(type, live, next);
  return walker.result();
}

const UNOWNED_ROOT: ReadonlySet<string> = new Set(['apiVersion', 'kind']);
const METADATA = fieldElement('metadata');
const UNOWNED_METADATA: ReadonlySet<string> = new Set([
  'name',
  'namespace',
  'creationTimestamp',
  'selfLink',
  'uid',
  'clusterName',
  'generation',
  'managedFields',
  'resourceVersion',
]);

class CompareWalker {
  readonly #added = new SetBuilder();
  readonly #modified = new SetBuilder();
  readonly #removed = new SetBuilder();
  readonly #path: PathElement[] = [];

  result(): Comparison {
    return { added: this.#added.build(), modified: this.#modified.build(), removed: this.#removed.build() };
  }

  /** Absent is undefined; at most one side is absent. */
  compare(type: MergeType, live: Value, next: Value): void {
    if (live === next) return;
    switch (type.kind) {
      case 'scalar':
        this.#leaf(live, next);
        return;
      case 'struct':
      case 'map':
        this.#object(type, live, next);
        return;
      case 'list':
        this.#list(type, live, next);
        return;
      case 'deduced':
        this.#deduced(live, next);
    }
  }

  #leaf(live: Value, next: Value): void {
    if (live === undefined) this.#added.insert(this.#path);
    else if (next === undefined) this.#removed.insert(this.#path);
    else if (live === NEW_OBJECT || !equalJson(live, next)) this.#modified.insert(this.#path);
  }

  #object(type: StructType | MapType, live: Value, next: Value): void {
    const left = isRecord(live) ? live : undefined;
    const right = isRecord(next) ? next : undefined;
    if (live === NEW_OBJECT) {
      if (right === undefined || isEmptyObject(right)) return;
      if (type.atomic || type.kind === 'map') this.#leaf(live, next);
      else this.#newStruct(type, right);
      return;
    }
    if (type.atomic || (isEmptyObject(left) && isEmptyObject(right))) {
      this.#leaf(live, next);
      return;
    }
    if (left !== undefined) for (const key of Object.keys(left)) this.#member(type, key, left[key], ownValue(right, key));
    if (right !== undefined) {
      for (const key of Object.keys(right)) if (ownValue(left, key) === undefined) this.#member(type, key, undefined, right[key]);
    }
    this.#self(live, next);
  }

  #member(type: StructType | MapType, key: string, live: Value, next: Value): void {
    if (live === next) return;
    const field = type.kind === 'struct' ? type.field(key) : undefined;
    if (this.#isUnowned(key)) return;
    this.#path.push(field?.element ?? fieldElement(key));
    this.compare(field?.type ?? (type.kind === 'map' ? type.value : DEDUCED), live, next);
    this.#path.pop();
  }

  #newStruct(type: StructType, next: Readonly<Record<string, unknown>>): void {
    for (const key of Object.keys(next)) {
      const value = next[key];
      if (value === undefined || this.#isUnowned(key)) continue;
      const field = type.field(key);
      const zero = field?.zero ?? 'absent';
      const live = zero === 'absent' ? undefined : zero === 'struct' ? NEW_OBJECT : zero === 'null' ? null : zero;
      if (live === value) continue;
      this.#path.push(field?.element ?? fieldElement(key));
      this.compare(field?.type ?? DEDUCED, live, value);
      this.#path.pop();
    }
  }

  #isUnowned(key: string): boolean {
    if (this.#path.length === 0) return UNOWNED_ROOT.has(key);
    return this.#path.length === 1 && this.#path[0] === METADATA && UNOWNED_METADATA.has(key);
  }

  #list(type: ListType, live: Value, next: Value): void {
    const left = Array.isArray(live) ? (live as unknown[]) : [];
    const right = Array.isArray(next) ? (next as unknown[]) : [];
    if (type.relationship === 'atomic' || (left.length === 0 && right.length === 0)) {
      this.#leaf(live, next);
      return;
    }
    if (live !== undefined && next !== undefined && equalJson(left, right)) return;
    const before = groupItems(type, left);
    const after = groupItems(type, right);
    for (const [element, items] of before) this.#item(type, element, items, after.get(element) ?? []);
    for (const [element, items] of after) if (!before.has(element)) this.#item(type, element, [], items);
    this.#self(live, next);
  }

  /** Items that share a key are owned as one; going to or from that state adds or removes the marker. */
  #item(type: ListType, element: PathElement, before: readonly unknown[], after: readonly unknown[]): void {
    this.#path.push(element);
    if (before.length <= 1 && after.length <= 1) {
      this.compare(type.element, before[0], after[0]);
    } else if (before.length >= 2 && after.length >= 2) {
      if (!equalJson(before, after)) this.#modified.insert(this.#path);
    } else if (before.length >= 2) {
      if (after.length > 0) this.compare(type.element, undefined, after[0]);
      this.#removed.insert(this.#path);
    } else {
      if (before.length > 0) this.compare(type.element, before[0], undefined);
      this.#added.insert(this.#path);
    }
    this.#path.pop();
  }

  #deduced(live: Value, next: Value): void {
    const left = isRecord(live);
    const right = isRecord(next);
    if (
      (left && (right || next === undefined || next === null)) ||
      (right && (live === undefined || live === null || live === NEW_OBJECT))
    ) {
      this.#object(FREE_MAP, live === NEW_OBJECT ? undefined : live, next);
      return;
    }
    this.#leaf(live, next);
    if (left) this.#object(FREE_MAP, live, undefined);
    if (right) this.#object(FREE_MAP, undefined, next);
  }

  #self(live: Value, next: Value): void {
    if (live === undefined) this.#added.insert(this.#path);
    else if (next === undefined) this.#removed.insert(this.#path);
  }
}

const FREE_MAP: MapType = { kind: 'map', atomic: false, value: DEDUCED };

function groupItems(type: ListType, items: readonly unknown[]): Map<PathElement, unknown[]> {
  const groups = new Map<PathElement, unknown[]>();
  for (const item of items) {
    const element = itemElement(type, item);
    if (element instanceof Error) continue;
    const group = groups.get(element);
    if (group === undefined) groups.set(element, [item]);
    else group.push(item);
  }
  return groups;
}

function isEmptyObject(value: Readonly<Record<string, unknown>> | undefined): boolean {
  if (value === undefined) return true;
  for (const _ in value) return false;
  return true;
}

function ownValue(object: Readonly<Record<string, unknown>> | undefined, key: string): unknown {
  return object !== undefined && Object.hasOwn(object, key) ? object[key] : undefined;
}
