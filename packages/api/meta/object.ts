import type { V1ManagedFieldsEntry, V1ObjectMeta, V1OwnerReference } from '../generated/types.ts';

/** `metadata` as JSON has it. Times are RFC 3339 strings in UTC with whole seconds. */
export type ObjectMeta = Mutable<V1ObjectMeta>;
export type OwnerReference = V1OwnerReference;
export type ManagedFieldsEntry = V1ManagedFieldsEntry;

/** Any API object. What the request decoded is its own and may be changed; what the store or cache hands out must not be. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface GroupVersionKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

export interface GroupResource {
  readonly group: string;
  readonly resource: string;
}

/** `apps/v1` or, for the core group, `v1`. */
export function apiVersionOf(gv: { readonly group: string; readonly version: string }): string {
  return gv.group === '' ? gv.version : `${gv.group}/${gv.version}`;
}

/** Splits an apiVersion; the core group is the empty string. */
export function parseApiVersion(apiVersion: string): { group: string; version: string } {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? { group: '', version: apiVersion } : { group: apiVersion.slice(0, slash), version: apiVersion.slice(slash + 1) };
}

/** `deployments.apps`; for the core group just `configmaps`. */
export function qualifiedResource(gr: GroupResource): string {
  return gr.group === '' ? gr.resource : `${gr.resource}.${gr.group}`;
}
