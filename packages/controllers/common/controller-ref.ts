/** The owner reference that says who controls an object. */
import type { V1OwnerReference } from '@coffer/api/generated/types';
import type { ApiObject } from '@coffer/client/rest/api-object';
import type { ResourceRef } from '@coffer/client/rest/resource-ref';
import { refApiVersion } from '@coffer/client/rest/resource-ref';

export function controllerOf(object: ApiObject): V1OwnerReference | undefined {
  return object.metadata?.ownerReferences?.find((owner) => owner.controller === true);
}

export function isControlledBy(object: ApiObject, owner: ApiObject): boolean {
  return controllerOf(object)?.uid === owner.metadata?.uid;
}

/** The reference that makes `owner` the controller of what it creates. */
export function controllerReference(owner: ApiObject, ref: ResourceRef): V1OwnerReference {
  return {
    apiVersion: refApiVersion(ref),
    kind: ref.kind,
    name: owner.metadata?.name ?? '',
    uid: owner.metadata?.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  };
}
