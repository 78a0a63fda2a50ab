/** What a served resource is called and where it is stored. Facts only; the catalogue of all of them is `catalog.ts`. */
export interface ResourceInfo {
  /** API group; empty for the core group. */
  readonly group: string;
  /** Version of this row; a resource served in two versions has two rows with the same `storagePrefix`. */
  readonly version: string;
  /** Group and version of the stored form, e.g. events are stored as `v1` whichever group wrote them. */
  readonly storageApiVersion: string;
  /** Plural, lower case: `configmaps`. */
  readonly resource: string;
  readonly singular: string;
  readonly kind: string;
  /** `ConfigMapList` unless said otherwise. */
  readonly listKind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly verbs: readonly string[];
  /** Path below `/registry/`: `configmaps`, `minions`, `services/specs`. Empty for kinds that are never stored (reviews). */
  readonly storagePrefix: string;
  readonly subresources: readonly SubresourceInfo[];
}

export interface SubresourceInfo {
  /** `status`, `scale`, `log`, `exec`, `binding`, `eviction`, `token`, … */
  readonly name: string;
  /** Kind of the body, with its group and version where they differ from the parent's. */
  readonly kind: string;
  readonly group?: string;
  readonly version?: string;
  readonly verbs: readonly string[];
}
