/** Names a resource of the API and the type of its objects; the address of every call of the client. */
import type { ApiObject } from './api-object.ts';

export interface ResourceRef<T extends ApiObject = ApiObject> {
  readonly group: string;
  readonly version: string;
  /** Plural, lower case. */
  readonly resource: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /** Never set: carries the type of the objects. */
  readonly objectType?: T;
}

/** The path of a collection, of one object when `name` is given, or of its subresource. */
export function resourcePath(
  ref: Pick<ResourceRef, 'group' | 'version' | 'resource'>,
  namespace: string | undefined,
  name?: string,
  subresource?: string,
): string {
  let path = ref.group === '' ? `/api/${ref.version}` : `/apis/${ref.group}/${ref.version}`;
  if (namespace !== undefined && namespace !== '') path += `/namespaces/${encodeURIComponent(namespace)}`;
  path += `/${ref.resource}`;
  if (name !== undefined) path += `/${encodeURIComponent(name)}`;
  if (subresource !== undefined) path += `/${subresource}`;
  return path;
}

/** `apps/v1`, or `v1` for the core group. */
export function refApiVersion(ref: Pick<ResourceRef, 'group' | 'version'>): string {
  return ref.group === '' ? ref.version : `${ref.group}/${ref.version}`;
}

/** `deployments.apps`; one string per resource whatever the version. */
export function refId(ref: Pick<ResourceRef, 'group' | 'resource'>): string {
  return ref.group === '' ? ref.resource : `${ref.resource}.${ref.group}`;
}
