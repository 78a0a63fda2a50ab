/**
 * JSON merge patch (RFC 7386). As in upstream, null members inside objects that the patch adds are dropped, also inside lists;
 * null items of lists stay.
 */
import { badRequest } from '../errors/status-error.ts';
import type { KubeObject } from '../meta/object.ts';
import { cloneJson, isRecord, setOwn } from '../meta/safe-object.ts';
import { jsonWord } from './go-format.ts';

/** The patched copy; neither argument changes. Throws StatusError 400 when the patch is not an object. */
export function applyMergePatch(original: KubeObject, patch: unknown): KubeObject {
  if (patch === null) throw badRequest('Invalid JSON Patch');
  if (!isRecord(patch)) {
    throw badRequest(`error decoding patch: json: cannot unmarshal ${jsonWord(patch)} into Go value of type map[string]interface {}`);
  }
  return mergeObjects(original, patch) as KubeObject;
}

function mergeObjects(original: Readonly<Record<string, unknown>>, patch: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(original)) {
    if (!Object.hasOwn(patch, key)) {
      setOwn(result, key, cloneJson(original[key]));
      continue;
    }
    const value = patch[key];
    if (value !== null) setOwn(result, key, merge(original[key], value));
  }
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    if (value !== null && !Object.hasOwn(original, key)) setOwn(result, key, withoutNulls(value));
  }
  return result;
}

function merge(original: unknown, patch: unknown): unknown {
  if (!isRecord(original)) return withoutNulls(patch);
  return isRecord(patch) ? mergeObjects(original, patch) : cloneJson(patch);
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (!isRecord(value)) return value;
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) if (value[key] !== null) setOwn(copy, key, withoutNulls(value[key]));
  return copy;
}
