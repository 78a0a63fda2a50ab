import type { KubeObject } from '@coffer/api/meta/object';

/**
 * Makes `pod` the stored one again, for subresources that change one part of it: only what identifies the object and who owns its
 * fields stays as it was sent.
 */
export function restorePod(pod: KubeObject, old: KubeObject): void {
  const { name, namespace, uid, resourceVersion, managedFields } = pod.metadata;
  for (const field of Object.keys(pod)) if (!Object.hasOwn(old, field)) delete pod[field];
  for (const field of Object.keys(old)) pod[field] = old[field];
  pod.metadata = { ...old.metadata };
  for (const [field, value] of Object.entries({ name, namespace, uid, resourceVersion, managedFields })) {
    if (value !== undefined) (pod.metadata as Record<string, unknown>)[field] = value;
  }
}
