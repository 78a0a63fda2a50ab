/**
 * JSON Patch (RFC 6902) with upstream's reading of it: negative indices count from the end, `replace` of a missing member of an
 * object adds it, `copy` of a missing member adds null. Whatever cannot be applied is one and the same 422.
 */
import { badRequest, requestEntityTooLarge, StatusError } from '../errors/status-error.ts';
import type { KubeObject } from '../meta/object.ts';
import { cloneJson, equalJson, isRecord, setOwn } from '../meta/safe-object.ts';
import { jsonWord } from './go-format.ts';

/** One step of a patch as the client wrote it. `value` is undefined when it was absent. */
export interface JsonPatchOperation {
  readonly op: string;
  readonly path: string | undefined;
  readonly from: string | undefined;
  readonly value: unknown;
}

/** Operations plus what strict field validation has to say about them (`json patch unknown field "[0].x"`). */
export interface DecodedJsonPatch {
  readonly operations: readonly JsonPatchOperation[];
  readonly strictErrors: readonly string[];
}

/** More steps than this are refused with 413. */
export const MAX_JSON_PATCH_OPERATIONS = 10_000;
/** `copy` steps of one patch may add this much JSON together; otherwise a short patch could double an object again and again. */
const MAX_COPIED_BYTES = 3 * 1024 * 1024;

/** Checks the shape of a parsed patch; throws StatusError 400 or 413. */
export function decodeJsonPatch(patch: unknown): DecodedJsonPatch {
  if (patch === null) return { operations: [], strictErrors: [] };
  if (!Array.isArray(patch)) throw cannotDecode(`${jsonWord(patch)} into Go value of type []handlers.jsonPatchOp`);
  const strictErrors: string[] = [];
  const operations = patch.map((item: unknown, index): JsonPatchOperation => {
    if (item === null) return { op: 'unknown', path: undefined, from: undefined, value: undefined };
    if (!isRecord(item)) throw cannotDecode(`${jsonWord(item)} into Go value of type handlers.jsonPatchOp`);
    for (const key of Object.keys(item)) {
      if (key !== 'op' && key !== 'path' && key !== 'from' && key !== 'value') {
        strictErrors.push(`json patch unknown field "[${index}].${key}"`);
      }
    }
    return { op: text(item, 'op') ?? 'unknown', path: text(item, 'path'), from: text(item, 'from'), value: item.value };
  });
  if (operations.length > MAX_JSON_PATCH_OPERATIONS) {
    throw requestEntityTooLarge(`The allowed maximum operations in a JSON patch is ${MAX_JSON_PATCH_OPERATIONS}, got ${operations.length}`);
  }
  return { operations, strictErrors };
}

/** The patched copy; neither argument changes. Throws StatusError 422 when a step cannot be applied or a test fails. */
export function applyJsonPatch(original: KubeObject, patch: DecodedJsonPatch): KubeObject {
  let root: unknown = cloneJson(original);
  let copiedBytes = 0;
  for (const operation of patch.operations) {
    if (operation.op === 'copy') {
      copiedBytes += JSON.stringify(get(find(root, operation.from)) ?? null).length;
      if (copiedBytes > MAX_COPIED_BYTES) throw rejected();
    }
    root = applyOperation(root, operation);
  }
  return root as KubeObject;
}

function text(item: Readonly<Record<string, unknown>>, field: string): string | undefined {
  const value = Object.hasOwn(item, field) ? item[field] : undefined;
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw cannotDecode(`${jsonWord(value)} into Go struct field jsonPatchOp.${field} of type string`);
  return value;
}

function applyOperation(root: unknown, { op, path, from, value }: JsonPatchOperation): unknown {
  switch (op) {
    case 'add': {
      const target = find(root, path);
      add(target, cloneJson(value ?? null));
      return root;
    }
    case 'remove':
      remove(find(root, path));
      return root;
    case 'replace':
      if (path === '') {
        if (!isRecord(value)) throw rejected();
        return cloneJson(value);
      }
      replace(find(root, path), cloneJson(value ?? null));
      return root;
    case 'move': {
      const source = find(root, from);
      const moved = get(source);
      remove(source);
      add(find(root, path), moved ?? null);
      return root;
    }
    case 'copy': {
      const copied = cloneJson(get(find(root, from)) ?? null);
      add(find(root, path), copied);
      return root;
    }
    case 'test': {
      const actual = path === '' ? root : get(find(root, path));
      if (!equalJson(actual ?? null, value ?? null)) throw rejected();
      return root;
    }
    default:
      throw rejected();
  }
}

/** The container that holds the last step of a pointer, and that step. */
interface Target {
  readonly container: Record<string, unknown> | unknown[];
  readonly key: string;
}

function find(root: unknown, pointer: string | undefined): Target {
  const steps = pointer?.split('/');
  if (steps === undefined || steps.length < 2) throw rejected();
  let current: unknown = root;
  for (const step of steps.slice(1, -1)) current = get({ container: asContainer(current), key: decodeStep(step) });
  return { container: asContainer(current), key: decodeStep(steps[steps.length - 1] ?? '') };
}

function asContainer(value: unknown): Record<string, unknown> | unknown[] {
  if (Array.isArray(value) || isRecord(value)) return value;
  throw rejected();
}

function decodeStep(step: string): string {
  return step.replaceAll('~1', '/').replaceAll('~0', '~');
}

function get({ container, key }: Target): unknown {
  if (Array.isArray(container)) return container[index(key, container.length, container.length - 1)];
  return Object.hasOwn(container, key) ? container[key] : undefined;
}

function add({ container, key }: Target, value: unknown): void {
  if (!Array.isArray(container)) setOwn(container, key, value);
  else if (key === '-') container.push(value);
  else container.splice(index(key, container.length + 1, container.length), 0, value);
}

function remove({ container, key }: Target): void {
  if (Array.isArray(container)) container.splice(index(key, container.length, container.length - 1), 1);
  else if (Object.hasOwn(container, key)) delete container[key];
  else throw rejected();
}

function replace({ container, key }: Target, value: unknown): void {
  if (Array.isArray(container)) container[index(key, container.length, container.length - 1)] = value;
  else setOwn(container, key, value);
}

/** An index that may count from the end of `length`; at most `last`. */
function index(key: string, length: number, last: number): number {
  if (!/^[+-]?\d{1,15}$/.test(key)) throw rejected();
  const number = Number(key);
  const position = number < 0 ? number + length : number;
  if (position < 0 || position > last) throw rejected();
  return position;
}

function cannotDecode(detail: string): StatusError {
  return badRequest(`error decoding patch: json: cannot unmarshal ${detail}`);
}

function rejected(): StatusError {
  return new StatusError(422, 'Invalid', 'the server rejected our request due to an error in our request', {});
}
