import { badRequest } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';

/** The object of PUT and PATCH must carry the name of the URL, and its namespace if it has one. Throws StatusError 400. */
export function checkName(object: KubeObject, name: string, namespace: string): void {
  const { name: own = '', namespace: ownNamespace = '' } = object.metadata;
  if (own === '') throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
  if (own !== name) throw badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`);
  if (namespace !== '' && ownNamespace !== '' && ownNamespace !== namespace) {
    throw badRequest(`the namespace of the object (${ownNamespace}) does not match the namespace on the request (${namespace})`);
  }
}
