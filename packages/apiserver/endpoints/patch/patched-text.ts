import { canonicalize } from '@coffer/api/codec/canonicalize';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord, setOwn } from '@coffer/api/meta/safe-object';
import { applyJsonPatch } from '@coffer/api/patch/json-patch';
import { applyMergePatch } from '@coffer/api/patch/merge-patch';
import type { PatchTarget } from './apply-patch.ts';
import type { Patch } from './read-patch.ts';

/**
 * The patched document as upstream prints it in its refusal: fields in Go's order, except for the objects that the patch went into,
 * whose keys are sorted.
 */
export function patchedText(tree: unknown, live: KubeObject, patch: Patch, target: PatchTarget): string {
  const ordered = canonicalize(live, target.schema, target.table);
  switch (patch.type) {
    case 'merge':
      return JSON.stringify(sortTouched(applyMergePatch(ordered, patch.patch), patch.patch));
    case 'json': {
      const touched: Record<string, unknown> = {};
      for (const operation of patch.patch.operations) for (const path of [operation.path, operation.from]) markTouched(touched, path);
      return JSON.stringify(sortTouched(applyJsonPatch(ordered, patch.patch), touched));
    }
    default:
      return JSON.stringify(tree);
  }
}

function markTouched(root: Record<string, unknown>, path: string | undefined): void {
  let at = root;
  for (const segment of (path ?? '').split('/').slice(1, -1)) {
    const next = isRecord(at[segment]) && Object.hasOwn(at, segment) ? at[segment] : {};
    setOwn(at, segment, next);
    at = next;
  }
}

function sortTouched(value: unknown, patch: unknown): unknown {
  if (!isRecord(value) || !isRecord(patch)) return value;
  const sorted: Record<string, unknown> = {};
  for (const key of Object.keys(value).sort()) {
    setOwn(sorted, key, Object.hasOwn(patch, key) ? sortTouched(value[key], patch[key]) : value[key]);
  }
  return sorted;
}
