import type { ResourceInfo } from '../catalog/resource.ts';
import type { FieldError } from '../errors/field-error.ts';
import type { KubeObject } from '../meta/object.ts';

/**
 * What the objects of one kind are: defaults, validation, warnings, selectable fields, table columns. Pure functions over
 * JSON data. What a request does to them (status, generation, subresources) is the API server's strategy.
 */
export interface KindDefinition {
  readonly resource: ResourceInfo;
  /** OpenAPI name of the struct in the schema table: `io.k8s.api.core.v1.ConfigMap`. */
  readonly schema: string;
  /** Fills in defaults, in place, as upstream's `SetDefaults_*` of this version. Idempotent. */
  applyDefaults(object: KubeObject): void;
  /** Changes that are not defaults but happen to every write before validation (stringData → data, …), in place. `old` on update. */
  normalize?(object: KubeObject, old: KubeObject | undefined): void;
  /** Kind of `metadata.name`: which syntax it must have. */
  readonly nameSyntax: 'dns-subdomain' | 'dns-label' | 'path-segment';
  /** Everything but metadata (validated generically). Errors in upstream's order. */
  validate(object: KubeObject): FieldError[];
  /** What may not change, in addition to `validate` of the new object. */
  validateUpdate(object: KubeObject, old: KubeObject): FieldError[];
  /** `PUT/PATCH …/status`: default none. */
  validateStatusUpdate?(object: KubeObject, old: KubeObject): FieldError[];
  /**
   * Who checks metadata: the kind and then the generic server (default), only the generic server (events, whose names may be
   * anything that fits into a path), or nobody (reviews, which are answered and not stored).
   */
  readonly metaChecks?: 'kind' | 'generic' | 'none';
  /** Checks of a create only, in addition to `validate`: default none. */
  validateCreate?(object: KubeObject): FieldError[];
  /** In which order an update is checked; default: metadata, what may not change, then the new object as on create. */
  readonly updateOrder?: readonly UpdateStep[];
  /** Text for a `Warning` header of every answer, where this version of the API should not be used any more. */
  readonly deprecation?: string;
  /** Texts for `Warning` headers (deprecated fields and the like). */
  warnings(object: KubeObject, old: KubeObject | undefined): string[];
  /** Texts for `Warning` headers that help to understand why `validate` refused the object. */
  refusalWarnings?(object: KubeObject): string[];
  /** Where the served version is not the stored one: the stored object in this version, and back. Neither changes its argument. */
  fromStored?(stored: KubeObject): KubeObject;
  toStored?(object: KubeObject): KubeObject;
  /** Fields a field selector may use, besides metadata.name and metadata.namespace; every key always present. */
  selectableFields(object: KubeObject): Record<string, string>;
  /** Where the served version is not the stored one: under which name the store knows a selectable field. */
  storedField?(name: string): string;
  readonly table: TableDefinition;
  /** True when the kind has a `status` that only the status subresource writes. */
  readonly hasStatus: boolean;
  /** True when `metadata.generation` counts changes of `spec`. */
  readonly hasGeneration: boolean;
}

/** `meta-update`: changes of metadata; `meta`: metadata as on create; `update`: `validateUpdate`; `object`: `validate`. */
export type UpdateStep = 'meta-update' | 'meta' | 'update' | 'object';

export interface TableDefinition {
  readonly columns: readonly TableColumn[];
  /** One cell per column: string, number, boolean or null. `now` in ms for ages. */
  cells(object: KubeObject, now: number): unknown[];
  /** Conditions of the row (pods that are done), as upstream. */
  conditions?(object: KubeObject): readonly Readonly<Record<string, unknown>>[];
}

export interface TableColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date' | 'boolean' | 'number';
  readonly format: string;
  readonly description: string;
  /** 0 is shown always, 1 with `-o wide`. */
  readonly priority: number;
}
