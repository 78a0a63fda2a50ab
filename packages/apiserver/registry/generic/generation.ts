import type { KubeObject } from '@coffer/api/meta/object';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { Strategy } from './strategy.ts';

/** Counts the changes of `spec` (and of the other fields named) in `metadata.generation`, in place. */
export function countGeneration(object: KubeObject, old: KubeObject, alsoAnnotations = false): void {
  const same =
    equalJson(object.spec ?? null, old.spec ?? null) &&
    (!alsoAnnotations || equalJson(object.metadata.annotations ?? {}, old.metadata.annotations ?? {}));
  if (!same) object.metadata.generation = (old.metadata.generation ?? 0) + 1;
}

/** The status of the stored object, whatever was sent, in place. */
export function keepStatus(object: KubeObject, old: KubeObject): void {
  if (old.status === undefined) delete object.status;
  else object.status = old.status;
}

/** A kind whose users write `spec` and whose controllers write `status`: created with generation 1 and an empty status. */
export const specAndStatusStrategy: Strategy = {
  prepareForCreate(object) {
    delete object.status;
    object.metadata.generation = 1;
  },
  prepareForUpdate(object, old) {
    keepStatus(object, old);
    countGeneration(object, old);
  },
};
