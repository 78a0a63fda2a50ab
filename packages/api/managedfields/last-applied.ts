/**
 * Moving from client-side to server-side apply: kubectl's annotation with the configuration it last applied. Only the manager
 * named `kubectl` is concerned.
 */
import type { KubeObject } from '../meta/object.ts';
import { cloneJson, isRecord } from '../meta/safe-object.ts';
import { compareObjects } from './compare.ts';
import type { FieldSet } from './field-set.ts';
import { difference } from './field-set.ts';
import { mergeTypeOf } from './merge-type.ts';
import type { TypeContext } from './ownership.ts';
import { goJson } from './path-element.ts';
import { toFieldSet } from './to-field-set.ts';
import { appliedErrors } from './validate-applied.ts';

export const LAST_APPLIED_MANAGER = 'kubectl';
const ANNOTATION = 'kubectl.kubernetes.io/last-applied-configuration';
/** All annotations of an object together. */
const MAX_ANNOTATION_BYTES = 256 * 1024;

/**
 * Fields that client-side apply set and that still have that value: kubectl may take them over without conflict. Undefined when
 * there is no usable annotation.
 */
export function lastAppliedFields(context: TypeContext, live: KubeObject): FieldSet | undefined {
  const text = live.metadata.annotations?.[ANNOTATION];
  if (text === undefined || text === '') return undefined;
  let applied: unknown;
  try {
    applied = JSON.parse(text);
  } catch {
    return undefined;
  }
  const type = mergeTypeOf(context.schema, context.table);
  if (!isRecord(applied) || applied.apiVersion !== context.apiVersion || appliedErrors(type, applied) !== undefined) return undefined;
  const { added, modified, removed } = compareObjects(type, applied, live);
  return difference(difference(difference(toFieldSet(type, applied), modified), added), removed);
}

/** Keeps the annotation in step when the object has one: what is applied now becomes what was last applied. In place. */
export function syncLastApplied(object: KubeObject, applied: KubeObject): void {
  const annotations = object.metadata.annotations;
  if (annotations === undefined || !Object.hasOwn(annotations, ANNOTATION) || annotations[ANNOTATION] === '') return;
  const copy = cloneJson(applied);
  if (copy.metadata.annotations !== undefined) {
    const rest: Record<string, string> = cloneJson(copy.metadata.annotations);
    delete rest[ANNOTATION];
    if (Object.keys(rest).length > 0) copy.metadata.annotations = rest;
    else delete copy.metadata.annotations;
  }
  const updated: Record<string, string> = { ...cloneJson(annotations), [ANNOTATION]: `${goJson(copy)}\n` };
  let bytes = 0;
  for (const [key, value] of Object.entries(updated)) bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  if (bytes > MAX_ANNOTATION_BYTES) delete updated[ANNOTATION];
  object.metadata.annotations = updated;
}
