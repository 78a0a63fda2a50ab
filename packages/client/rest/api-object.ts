/** Reading the metadata of API objects whose generated types make every field optional. */
import type { V1ObjectMeta } from '@coffer/api/generated/types';

/** What every generated kind has in common. */
export interface ApiObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata?: V1ObjectMeta;
}

export function nameOf(object: ApiObject): string {
  return object.metadata?.name ?? '';
}

/** Empty for objects of the cluster. */
export function namespaceOf(object: ApiObject): string {
  return object.metadata?.namespace ?? '';
}

export function uidOf(object: ApiObject): string {
  return object.metadata?.uid ?? '';
}

export function revisionOf(object: ApiObject): string {
  return object.metadata?.resourceVersion ?? '';
}

/** `namespace/name`, or the bare name for objects of the cluster: the key of informers and work queues. */
export function keyOf(object: ApiObject): string {
  const namespace = namespaceOf(object);
  return namespace === '' ? nameOf(object) : `${namespace}/${nameOf(object)}`;
}

/** Splits what `keyOf` made. */
export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return slash < 0 ? { namespace: '', name: key } : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
