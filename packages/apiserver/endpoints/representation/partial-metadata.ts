import type { KubeObject } from '@coffer/api/meta/object';

/** `as=PartialObjectMetadata`: an object reduced to its metadata. */
export function partialMetadata(object: KubeObject, version: 'v1' | 'v1beta1'): KubeObject {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}

/** `as=PartialObjectMetadataList`; each item says its own kind, as upstream. */
export function partialMetadataList(
  objects: readonly KubeObject[],
  version: 'v1' | 'v1beta1',
  metadata: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  return {
    kind: 'PartialObjectMetadataList',
    apiVersion: `meta.k8s.io/${version}`,
    metadata,
    items: objects.map((object) => partialMetadata(object, version)),
  };
}
