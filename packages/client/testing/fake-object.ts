/** What the fake API does with single objects: selectors, merge patch, the metadata view. */
import type { KubeObject } from '@coffer/api/meta/object';
import { getOwn, isRecord, setOwn } from '@coffer/api/meta/safe-object';

export type FakeObject = KubeObject;

/** Equality requirements only: `a=b,c!=d,e`. */
export function matchesLabels(selector: string, object: FakeObject): boolean {
  return requirements(selector).every(({ key, operator, value }) => {
    const actual = getOwn(object.metadata.labels, key);
    if (operator === 'exists') return actual !== undefined;
    return operator === '=' ? actual === value : actual !== value;
  });
}

/** Fields are read as paths: `spec.nodeName`, `metadata.name`. */
export function matchesFields(selector: string, object: FakeObject): boolean {
  return requirements(selector).every(({ key, operator, value }) => {
    let actual: unknown = object;
    for (const part of key.split('.')) actual = isRecord(actual) ? actual[part] : undefined;
    const text = typeof actual === 'string' ? actual : actual === undefined ? '' : JSON.stringify(actual);
    return operator === '=' ? text === value : text !== value;
  });
}

function requirements(selector: string): { key: string; operator: '=' | '!=' | 'exists'; value: string }[] {
  if (selector === '') return [];
  return selector.split(',').map((term) => {
    const match = /^([^=!]+)(!=|==|=)(.*)$/.exec(term);
    if (match === null) return { key: term, operator: 'exists', value: '' };
    return { key: match[1] ?? '', operator: match[2] === '!=' ? '!=' : '=', value: match[3] ?? '' };
  });
}

/** RFC 7386, and for strategic patches the lists whose items have a `type`, `uid` or `name`. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (Array.isArray(patch)) return mergeLists(Array.isArray(target) ? target : [], patch);
  if (!isRecord(patch)) return patch;
  const merged: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const key of Object.keys(patch)) {
    if (key.startsWith('$')) continue;
    const value = patch[key];
    if (value === null) delete merged[key];
    else setOwn(merged, key, mergePatch(getOwn(merged, key), value));
  }
  return merged;
}

function mergeLists(target: readonly unknown[], patch: readonly unknown[]): unknown[] {
  const first = patch[0];
  const mergeKey = isRecord(first) ? ['uid', 'type', 'name'].find((key) => key in first) : undefined;
  const isStrategic = patch.some((item) => isRecord(item) && '$patch' in item) || (mergeKey === 'type' && target.length > 0);
  if (mergeKey === undefined || !isStrategic) return [...patch];
  const merged = [...target];
  for (const item of patch) {
    if (!isRecord(item)) continue;
    const at = merged.findIndex((other) => isRecord(other) && other[mergeKey] === item[mergeKey]);
    if (item.$patch === 'delete') {
      if (at >= 0) merged.splice(at, 1);
    } else if (at >= 0) merged[at] = mergePatch(merged[at], item);
    else merged.push(item);
  }
  return merged;
}

export function partialMetadata(object: FakeObject): FakeObject {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}
