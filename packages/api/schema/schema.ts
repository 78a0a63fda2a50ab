/**
 * The shape of the types of Kubernetes 1.36, as one table: what decoding, strict validation, strategic merge patch,
 * server-side apply, protobuf and OpenAPI need to know about a field. Facts, no behaviour; `schema-table.ts` builds it.
 */
export type TypeSchema =
  | {
      readonly kind: 'scalar';
      readonly type: 'string' | 'integer' | 'number' | 'boolean';
      readonly format?: 'int32' | 'int64' | 'double' | 'byte' | 'date-time';
    }
  /** Go types with a JSON form of their own. `micro-time` has six decimals; `any` is RawExtension or free JSON. */
  | { readonly kind: 'special'; readonly type: 'quantity' | 'int-or-string' | 'time' | 'micro-time' | 'duration' | 'fields-v1' | 'any' }
  | { readonly kind: 'struct'; readonly name: string }
  | {
      readonly kind: 'list';
      readonly element: TypeSchema;
      readonly listType: 'atomic' | 'set' | 'map';
      readonly mapKeys: readonly string[];
    }
  | { readonly kind: 'map'; readonly value: TypeSchema; readonly mapType: 'granular' | 'atomic' };

export interface FieldSchema {
  /** JSON name. */
  readonly name: string;
  readonly type: TypeSchema;
  readonly required: boolean;
  /** Strategic merge patch: empty means replace. */
  readonly patchStrategy: readonly ('merge' | 'replace' | 'retainKeys')[];
  readonly patchMergeKey: string | undefined;
  /** Protobuf field number in upstream's generated.proto; undefined where the type has no protobuf form. */
  readonly number: number | undefined;
  /** For server-side apply: the whole struct or map below this field is owned as one (`x-kubernetes-map-type: atomic`). */
  readonly atomic: boolean;
}

export interface StructSchema {
  /** OpenAPI name: `io.k8s.api.core.v1.PodSpec`. */
  readonly name: string;
  /** In upstream's protobuf order where known, else alphabetical. Keys are JSON names. */
  readonly fields: ReadonlyMap<string, FieldSchema>;
  /** `x-kubernetes-map-type: atomic` on the type itself (LabelSelector, ObjectReference, …). */
  readonly atomic: boolean;
}

export interface SchemaTable {
  /** The struct of that OpenAPI name; throws for an unknown one (a programming error). */
  struct(name: string): StructSchema;
  /** The struct of a served kind, e.g. ('apps', 'v1', 'Deployment'); undefined when there is none. */
  kind(group: string, version: string, kind: string): StructSchema | undefined;
}
