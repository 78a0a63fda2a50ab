import type { KubeObject } from '@coffer/api/meta/object';
import type { DeleteOptions } from '../../endpoints/options/delete-options.ts';

/** Which garbage-collection finalizers a DELETE leaves on its object: `orphan` or `foregroundDeletion`, by policy. */
export const orphanFinalizer = 'orphan';
export const foregroundFinalizer = 'foregroundDeletion';

export type DefaultPolicy = 'background' | 'orphan' | 'unsupported';

/** The finalizers after this DELETE, or undefined when they stay as they are. */
export function finalizersForDeletion(
  object: KubeObject,
  options: DeleteOptions,
  defaultPolicy: DefaultPolicy,
): readonly string[] | undefined {
  const current = object.metadata.finalizers ?? [];
  const wanted = current.filter((f) => f !== orphanFinalizer && f !== foregroundFinalizer);
  if (shouldOrphan(current, options, defaultPolicy)) wanted.push(orphanFinalizer);
  if (shouldWaitForDependents(current, options, defaultPolicy)) wanted.push(foregroundFinalizer);
  const same = wanted.length === current.length && wanted.every((f) => current.includes(f));
  return same ? undefined : wanted;
}

function shouldOrphan(finalizers: readonly string[], options: DeleteOptions, defaultPolicy: DefaultPolicy): boolean {
  if (defaultPolicy === 'unsupported') return false;
  if (options.orphanDependents !== undefined) return options.orphanDependents;
  if (options.propagationPolicy !== undefined) return options.propagationPolicy === 'Orphan';
  const decided = finalizers.find((f) => f === orphanFinalizer || f === foregroundFinalizer);
  return decided === undefined ? defaultPolicy === 'orphan' : decided === orphanFinalizer;
}

function shouldWaitForDependents(finalizers: readonly string[], options: DeleteOptions, defaultPolicy: DefaultPolicy): boolean {
  if (defaultPolicy === 'unsupported' || options.orphanDependents !== undefined) return false;
  if (options.propagationPolicy !== undefined) return options.propagationPolicy === 'Foreground';
  return finalizers.find((f) => f === orphanFinalizer || f === foregroundFinalizer) === foregroundFinalizer;
}
