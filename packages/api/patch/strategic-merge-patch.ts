/**
 * Strategic merge patch: a merge patch that knows from the schema which lists are merged by key, and reads the directives
 * `$patch`, `$setElementOrder/…`, `$deleteFromPrimitiveList/…` and `$retainKeys`. Promises upstream's result, order and error texts.
 */
import { badRequest } from '../errors/status-error.ts';
import type { KubeObject } from '../meta/object.ts';
import { cloneJson, isRecord, setOwn } from '../meta/safe-object.ts';
import type { FieldSchema, SchemaTable, StructSchema, TypeSchema } from '../schema/schema.ts';
import { goTypeOf, jsonWord } from './go-format.ts';
import {
  badArgumentType,
  badPatchType,
  badPrimitiveList,
  badRetainKeys,
  badSetElementOrder,
  noMergeKey,
  plain,
} from './strategic-errors.ts';
import { checkOrder, DIRECTIVE, findByKey, itemKind, orderItems, uniqueScalars, withoutScalars } from './strategic-lists.ts';

type JsonObject = Record<string, unknown>;

const DELETE_LIST = '$deleteFromPrimitiveList';
const ELEMENT_ORDER = '$setElementOrder';
const RETAIN_KEYS = '$retainKeys';

/**
 * The patched copy; neither argument changes. `patch` is parsed JSON. Throws StatusError: 400 for a patch or directive of the
 * wrong shape, 422 for lists of lists, 500 with upstream's text for the rest.
 */
export function applyStrategicMergePatch(original: KubeObject, patch: unknown, schema: StructSchema, table: SchemaTable): KubeObject {
  if (patch === null) return cloneJson(original);
  if (!isRecord(patch)) throw badRequest(`json: cannot unmarshal ${jsonWord(patch)} into Go value of type map[string]interface {}`);
  return mergeMap(cloneJson(original) as JsonObject, cloneJson(patch), { kind: 'struct', struct: schema, table }) as KubeObject;
}

/** What is known about the members of an object: a struct, a map with one value type, or nothing that could be looked up. */
type Level =
  | { readonly kind: 'struct'; readonly struct: StructSchema; readonly table: SchemaTable }
  | { readonly kind: 'map'; readonly value: TypeSchema; readonly table: SchemaTable }
  | { readonly kind: 'opaque'; readonly goName: string };

interface Member {
  readonly type: TypeSchema | undefined;
  readonly strategy: 'merge' | 'replace' | undefined;
  readonly mergeKey: string;
  readonly table: SchemaTable;
}

/** Merges `patch` into `original`; both are private copies and may be changed. */
function mergeMap(original: JsonObject, patch: JsonObject, level: Level): JsonObject {
  if (Object.hasOwn(patch, DIRECTIVE)) return applyDirective(patch);
  retainKeys(original, patch);
  mergeOrderedLists(original, patch, level);
  for (const patchKey of Object.keys(patch)) {
    const patchValue = patch[patchKey];
    const isDeleteList = patchKey.startsWith(DELETE_LIST);
    const key = isDeleteList ? directiveTarget(patchKey, DELETE_LIST) : patchKey;
    if (patchValue === null) {
      delete original[key];
      continue;
    }
    const current = Object.hasOwn(original, key) ? original[key] : undefined;
    if (current === undefined || !sameType(current, patchValue)) {
      if (!isDeleteList) setWithoutDirectives(original, key, withoutNulls(patchValue));
      continue;
    }
    if (isRecord(current) && isRecord(patchValue)) {
      const member = lookUp(level, key);
      setOwn<unknown>(
        original,
        key,
        member.strategy === 'replace' ? patchValue : mergeMap(current, patchValue, levelOf(member.type, member.table)),
      );
    } else if (Array.isArray(current) && Array.isArray(patchValue)) {
      setOwn<unknown>(original, key, mergeList(current, patchValue, lookUp(level, key), isDeleteList));
    } else {
      setOwn<unknown>(original, key, patchValue);
    }
  }
  return original;
}

function applyDirective(patch: JsonObject): JsonObject {
  const directive = patch[DIRECTIVE];
  if (directive === 'replace') {
    delete patch[DIRECTIVE];
    return patch;
  }
  if (directive === 'delete') return {};
  throw badPatchType(directive, patch);
}

/** `$retainKeys` lists the members that survive; a patch may only set members it lists. */
function retainKeys(original: JsonObject, patch: JsonObject): void {
  if (!Object.hasOwn(patch, RETAIN_KEYS)) return;
  const list = patch[RETAIN_KEYS];
  delete patch[RETAIN_KEYS];
  if (!Array.isArray(list)) throw badRetainKeys();
  const kept = new Set<unknown>(list);
  for (const key of Object.keys(patch)) {
    if (patch[key] === null || key.startsWith(DELETE_LIST) || key.startsWith(ELEMENT_ORDER)) continue;
    if (!kept.has(key)) throw badRetainKeys();
  }
  for (const key of Object.keys(original)) if (!kept.has(key)) delete original[key];
}

/** Merges every list that comes with a `$setElementOrder` and takes both out of the patch. */
function mergeOrderedLists(original: JsonObject, patch: JsonObject, level: Level): void {
  for (const orderKey of Object.keys(patch).filter((key) => key.startsWith(ELEMENT_ORDER))) {
    const order = patch[orderKey];
    delete patch[orderKey];
    if (!Array.isArray(order)) throw badArgumentType('list', order);
    const key = directiveTarget(orderKey, ELEMENT_ORDER);
    const live = listMember(original, key);
    const patched = listMember(patch, key);
    const member = lookUp(level, key);
    checkOrder(patched ?? [], order, member.mergeKey);
    if (live === undefined && patched === undefined) continue;
    const before = [...(live ?? [])];
    const merged = live === undefined ? patched : patched === undefined ? live : mergeList(live, patched, member, false);
    if (merged === undefined) continue;
    setOwn<unknown>(original, key, orderItems(merged, order, before, member.mergeKey, itemKind(before, patched ?? [])));
    delete patch[key];
  }
}

function mergeList(original: unknown[], patch: unknown[], member: Member, isDeleteList: boolean): unknown[] {
  if (member.strategy !== 'merge') return patch;
  if (original.length === 0 && patch.length === 0) return original;
  const kind = itemKind(original, patch);
  if (kind === 'scalar') {
    if (isDeleteList) return withoutScalars(original, patch);
    return orderItems(uniqueScalars([...original, ...patch]), patch, original, member.mergeKey, kind);
  }
  const { mergeKey } = member;
  if (mergeKey === '') throw plain(`cannot merge lists without merge key for type ${elementKind(member.type)}`);
  const { live, items } = takeSpecialItems(original as JsonObject[], patch as JsonObject[], mergeKey);
  return orderItems(mergeItems(live, items, member), items, live, mergeKey, kind);
}

/** Applies items that are directives: deletions to the live list, `$patch: replace` by making the patch the live list. */
function takeSpecialItems(
  original: readonly JsonObject[],
  patch: readonly JsonObject[],
  mergeKey: string,
): { live: unknown[]; items: JsonObject[] } {
  let live: unknown[] = [...original];
  let replaced = false;
  const items: JsonObject[] = [];
  for (const item of patch) {
    if (!Object.hasOwn(item, DIRECTIVE)) {
      items.push(item);
      continue;
    }
    switch (item[DIRECTIVE]) {
      case 'delete': {
        if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
        const removed = item[mergeKey];
        if (findByKey(live, mergeKey, removed) >= 0) live = live.filter((other) => !(isRecord(other) && other[mergeKey] === removed));
        break;
      }
      case 'replace':
        replaced = true;
        break;
      case 'merge':
        throw plain('merging lists cannot yet be specified in the patch');
      default:
        throw badPatchType(item[DIRECTIVE], item);
    }
  }
  return replaced ? { live: items, items: [] } : { live, items };
}

function mergeItems(live: readonly unknown[], items: readonly JsonObject[], member: Member): unknown[] {
  const merged = [...live];
  const level = levelOf(elementType(member.type), member.table);
  for (const item of items) {
    if (!Object.hasOwn(item, member.mergeKey)) throw noMergeKey(item, member.mergeKey);
    const at = findByKey(merged, member.mergeKey, item[member.mergeKey]);
    const existing = merged[at];
    if (isRecord(existing)) {
      merged[at] = mergeMap(existing, item, level);
      continue;
    }
    merged.push(item);
  }
  return merged;
}

function directiveTarget(key: string, prefix: string): string {
  const slash = key.indexOf('/');
  if (slash >= 0 && key.slice(0, slash) === prefix) return key.slice(slash + 1);
  throw prefix === DELETE_LIST ? badPrimitiveList() : badSetElementOrder();
}

function listMember(object: Readonly<JsonObject>, key: string): unknown[] | undefined {
  if (!Object.hasOwn(object, key)) return undefined;
  const value = object[key];
  if (!Array.isArray(value)) throw badArgumentType('list', value);
  return value;
}

function lookUp(level: Level, key: string): Member {
  if (level.kind === 'map') return { type: level.value, strategy: undefined, mergeKey: '', table: level.table };
  const field: FieldSchema | undefined = level.kind === 'struct' ? level.struct.fields.get(key) : undefined;
  if (field === undefined || level.kind !== 'struct') {
    const name = level.kind === 'struct' ? shortName(level.struct.name) : level.goName;
    throw plain(`unable to find api field in struct ${name} for the json field ${JSON.stringify(key)}`);
  }
  const strategy = field.patchStrategy.find((name) => name !== 'retainKeys');
  return {
    type: field.type,
    strategy: strategy === 'merge' || strategy === 'replace' ? strategy : undefined,
    mergeKey: field.patchMergeKey ?? '',
    table: level.table,
  };
}

function levelOf(type: TypeSchema | undefined, table: SchemaTable): Level {
  if (type?.kind === 'struct') return { kind: 'struct', struct: table.struct(type.name), table };
  if (type?.kind === 'map') return { kind: 'map', value: type.value, table };
  return { kind: 'opaque', goName: 'RawExtension' };
}

function elementType(type: TypeSchema | undefined): TypeSchema | undefined {
  return type?.kind === 'list' ? type.element : undefined;
}

function elementKind(type: TypeSchema | undefined): string {
  const element = elementType(type);
  return element?.kind === 'map' ? 'map' : element?.kind === 'scalar' ? element.type : 'struct';
}

function shortName(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1);
}

function sameType(a: unknown, b: unknown): boolean {
  return goTypeOf(a) === goTypeOf(b);
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isRecord(value)) return value;
  for (const key of Object.keys(value)) {
    if (value[key] === null) delete value[key];
    else setOwn<unknown>(value, key, withoutNulls(value[key]));
  }
  return value;
}

/** Sets a value that had no counterpart to merge with: objects that are directives vanish with everything below them. */
function setWithoutDirectives(target: JsonObject, key: string, value: unknown): void {
  const cleaned = withoutDirectives(value);
  if (cleaned === undefined) delete target[key];
  else setOwn<unknown>(target, key, cleaned);
}

function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives).filter((item) => item !== undefined);
  if (!isRecord(value)) return value;
  if (Object.hasOwn(value, DIRECTIVE)) return undefined;
  for (const key of Object.keys(value)) setWithoutDirectives(value, key, value[key]);
  return value;
}
