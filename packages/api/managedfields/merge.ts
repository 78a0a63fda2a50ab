/**
 * Merges an applied configuration into the live object, type by type: objects and associative lists are merged, what is atomic
 * is taken from the configuration. Returns new containers; leaves are shared with the arguments.
 */
import { isRecord, setOwn } from '../meta/safe-object.ts';
import type { ListType, MapType, MergeType, StructType } from './merge-type.ts';
import { DEDUCED, itemElement } from './merge-type.ts';
import type { PathElement } from './path-element.ts';

/** The merged value; undefined when nothing is left. Absent is undefined; at most one side is absent. */
export function mergeValues(type: MergeType, live: unknown, applied: unknown): unknown {
  switch (type.kind) {
    case 'scalar':
      return keepApplied(live, applied);
    case 'struct':
    case 'map':
      return mergeObjects(type, live, applied);
    case 'list':
      return mergeLists(type, live, applied);
    case 'deduced': {
      const objects = [live, applied].filter((value) => value !== undefined && value !== null);
      return objects.length > 0 && objects.every(isRecord) ? mergeObjects(FREE_MAP, live, applied) : keepApplied(live, applied);
    }
  }
}

const FREE_MAP: MapType = { kind: 'map', atomic: false, value: DEDUCED };

function keepApplied(live: unknown, applied: unknown): unknown {
  return applied === undefined ? live : applied;
}

function mergeObjects(type: StructType | MapType, live: unknown, applied: unknown): unknown {
  const left = isRecord(live) ? live : {};
  const right = isRecord(applied) ? applied : {};
  const leftKeys = Object.keys(left);
  const rightKeys = Object.keys(right);
  if (type.atomic || (leftKeys.length === 0 && rightKeys.length === 0)) return keepApplied(live, applied);
  const out: Record<string, unknown> = {};
  for (const key of [...leftKeys, ...rightKeys.filter((name) => !Object.hasOwn(left, name))]) {
    const before = Object.hasOwn(left, key) ? left[key] : undefined;
    const after = Object.hasOwn(right, key) ? right[key] : undefined;
    if (before === undefined && after === undefined) continue;
    const memberType = type.kind === 'map' ? type.value : (type.field(key)?.type ?? DEDUCED);
    const merged = mergeValues(memberType, before, after);
    if (merged !== undefined) setOwn(out, key, merged);
  }
  return Object.keys(out).length === 0 ? undefined : out;
}

/**
 * Order of a merged list: that of the configuration; items that only the live list has stay before the shared item that they
 * preceded.
 */
function mergeLists(type: ListType, live: unknown, applied: unknown): unknown {
  const left = Array.isArray(live) ? (live as unknown[]) : [];
  const right = Array.isArray(applied) ? (applied as unknown[]) : [];
  if (type.relationship === 'atomic' || (left.length === 0 && right.length === 0)) return keepApplied(live, applied);

  const liveItems = named(type, left);
  const appliedItems = named(type, right);
  const liveByElement = new Map<PathElement, unknown>();
  // Items that share a key are not merged with the configuration but replaced by it.
  for (const { element, item } of liveItems) liveByElement.set(element, liveByElement.has(element) ? null : item);
  const appliedByElement = new Map(appliedItems.map(({ element, item }) => [element, item]));
  const shared = appliedItems.map(({ element }) => element).filter((element) => liveByElement.has(element));

  const out: unknown[] = [];
  const push = (before: unknown, after: unknown): void => {
    const merged = mergeValues(type.element, before, after);
    if (merged !== undefined) out.push(merged);
  };
  const done = new Set<PathElement>();
  let nextShared = shared.shift();
  let l = 0;
  let r = 0;
  while (l < liveItems.length || r < appliedItems.length) {
    const current = liveItems[l];
    const wanted = appliedItems[r];
    if (current !== undefined && wanted !== undefined) {
      if (current.element === wanted.element) {
        done.add(current.element);
        push(liveByElement.get(current.element), wanted.item);
        l += 1;
        r += 1;
        nextShared = shared.shift();
        continue;
      }
      if (appliedByElement.has(current.element) && nextShared !== undefined && nextShared !== current.element) {
        l += 1;
        continue;
      }
    }
    if (current !== undefined) {
      if (!appliedByElement.has(current.element)) {
        push(current.item, undefined);
        l += 1;
        continue;
      }
      if (done.has(current.element)) l += 1;
    }
    if (wanted !== undefined) {
      done.add(wanted.element);
      push(liveByElement.get(wanted.element), wanted.item);
      r += 1;
      if (nextShared === wanted.element) nextShared = shared.shift();
    }
  }
  return out.length === 0 ? undefined : out;
}

function named(type: ListType, items: readonly unknown[]): { element: PathElement; item: unknown }[] {
  return items.flatMap((item) => {
    const element = itemElement(type, item);
    return element instanceof Error ? [] : [{ element, item }];
  });
}
