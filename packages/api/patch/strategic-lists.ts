/**
 * Order and identity of list items in strategic merge patch. A list holds either objects with a merge key or scalars; the order
 * of a merged list is: $setElementOrder, then the patch, then the live list. Pure helpers, no directive is read here except
 * `$patch: delete`, whose items stay at the end.
 */
import { equalJson, isRecord } from '../meta/safe-object.ts';
import { formatGoValue, goTypeOf } from './go-format.ts';
import { badArgumentType, noListOfLists, noMergeKey, plain } from './strategic-errors.ts';

export const DIRECTIVE = '$patch';

/** What the items of some lists are. Throws when they differ, are lists, or there is none. */
export function itemKind(...lists: readonly (readonly unknown[])[]): 'map' | 'scalar' {
  let type: string | undefined;
  for (const list of lists) {
    for (const item of list) {
      const current = goTypeOf(item);
      if (type === undefined) {
        if (Array.isArray(item)) throw noListOfLists();
        type = current;
      } else if (type !== current) {
        throw plain(`list element types are not identical: ${formatGoValue(lists)}`);
      }
    }
  }
  if (type === undefined) throw plain('no elements in any of the given slices');
  return type === 'map[string]interface {}' ? 'map' : 'scalar';
}

/** Position of the item whose merge key has that value; -1 when there is none. */
export function findByKey(list: readonly unknown[], mergeKey: string, value: unknown): number {
  for (let i = 0; i < list.length; i += 1) {
    const item = list[i];
    if (!isRecord(item)) throw plain(`value for key ${i} is not a map.`);
    if (Object.hasOwn(item, mergeKey) && item[mergeKey] === value) return i;
  }
  return -1;
}

/** The merge key's value of an item; throws when the item has none. */
export function keyOf(item: unknown, mergeKey: string): unknown {
  if (!isRecord(item)) throw badArgumentType('map', item);
  if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
  return item[mergeKey];
}

/** Splits the merged list into what `named` lists and the rest, and orders both: named as in `named`, the rest as in `live`. */
export function orderItems(
  merged: readonly unknown[],
  named: readonly unknown[],
  live: readonly unknown[],
  mergeKey: string,
  kind: 'map' | 'scalar',
): unknown[] {
  const isNamed = (item: unknown): boolean =>
    mergeKey === '' ? named.includes(item) : findByKey(named, mergeKey, keyOf(item, mergeKey)) >= 0;
  const patched: unknown[] = [];
  const rest: unknown[] = [];
  for (const item of merged) (isNamed(item) ? patched : rest).push(item);
  return interleave(sortLike(rest, live, mergeKey, kind), sortLike(patched, named, mergeKey, kind), live, mergeKey, kind);
}

/** Checks that the patch's items come in the order that $setElementOrder gives, and that all of them are in it. */
export function checkOrder(patch: readonly unknown[], order: readonly unknown[], mergeKey: string): void {
  if (order.length === 0 || patch.length === 0) return;
  const kept = mergeKey === '' ? [...patch] : patch.filter((item) => !isDeleted(item));
  let at = 0;
  let next = 0;
  while (at < kept.length && next < order.length) {
    const item = kept[at];
    if (isRecord(item) && Object.hasOwn(item, DIRECTIVE)) {
      at += 1;
      continue;
    }
    const same = mergeKey === '' ? item === order[next] : keyOf(item, mergeKey) === keyOf(order[next], mergeKey);
    if (same) at += 1;
    next += 1;
  }
  if (at < kept.length && next >= order.length) {
    throw plain(`The order in patch list:\n${formatGoValue(patch)}\n doesn't match $setElementOrder list:\n${formatGoValue(order)}\n`);
  }
}

/** Scalars without repetition, the first of each kept. */
export function uniqueScalars(list: readonly unknown[]): unknown[] {
  return [...new Set(list)];
}

/** A copy without the members of `removed`. */
export function withoutScalars(list: readonly unknown[], removed: readonly unknown[]): unknown[] {
  return list.filter((item) => !removed.some((other) => equalJson(item, other)));
}

function isDeleted(item: unknown): boolean {
  if (!isRecord(item)) throw badArgumentType('map', item);
  return item[DIRECTIVE] === 'delete';
}

function position(list: readonly unknown[], item: unknown, mergeKey: string, kind: 'map' | 'scalar'): number {
  if (kind === 'scalar') return list.indexOf(item);
  const key = isRecord(item) ? item[mergeKey] : undefined;
  return list.findIndex((other) => isRecord(other) && other[mergeKey] === key);
}

function sortLike(items: readonly unknown[], order: readonly unknown[], mergeKey: string, kind: 'map' | 'scalar'): unknown[] {
  let kept = items;
  let deleted: readonly unknown[] = [];
  if (kind === 'map') {
    for (const item of [...items, ...order]) keyOf(item, mergeKey);
    kept = items.filter((item) => !isDeleted(item));
    deleted = items.filter(isDeleted);
  }
  const ranked = kept.map((item) => ({ item, rank: position(order, item, mergeKey, kind) }));
  ranked.sort((a, b) => (a.rank >= 0 && b.rank >= 0 ? a.rank - b.rank : 0));
  return [...ranked.map((entry) => entry.item), ...deleted];
}

/** Merges two ordered lists: an item of `rest` comes before one of `patched` only when the live list says so. */
function interleave(
  rest: readonly unknown[],
  patched: readonly unknown[],
  live: readonly unknown[],
  mergeKey: string,
  kind: 'map' | 'scalar',
): unknown[] {
  const result: unknown[] = [];
  let i = 0;
  let j = 0;
  while (i < rest.length && j < patched.length) {
    const left = position(live, rest[i], mergeKey, kind);
    const right = position(live, patched[j], mergeKey, kind);
    if (left >= 0 && right >= 0 && left < right) result.push(rest[i++]);
    else result.push(patched[j++]);
  }
  return [...result, ...rest.slice(i), ...patched.slice(j)];
}
