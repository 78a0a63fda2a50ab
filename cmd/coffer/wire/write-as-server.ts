import type { Handler } from '@coffer/base/http/handler';
import { inProcessTransport } from '@coffer/client/transport/in-process';
import type { Transport } from '@coffer/client/transport/transport';

/** The API server's own identity, as kube-apiserver's loopback client has it. Used for what the server itself writes only. */
const serverIdentity = { name: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] };

/** A way to the server with its own identity. */
export function transportAsServer(handler: Handler): Transport {
  return inProcessTransport({ handler, identity: serverIdentity, userAgent: 'kube-apiserver/v1.36.0' });
}

/** Creates (`POST` to the collection) or replaces (`PUT`) one object; an object that is there already is fine. */
export async function writeAsServer(handler: Handler, collection: string, object: object, existing: boolean): Promise<void> {
  const transport = transportAsServer(handler);
  const { name } = (object as { readonly metadata: { readonly name: string } }).metadata;
  const response = await transport.request({
    method: existing ? 'PUT' : 'POST',
    path: existing ? `${collection}/${name}` : collection,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(object),
  });
  transport.close();
  if (response.status >= 300 && response.status !== 409) {
    throw new Error(`cannot write ${collection}/${name}: ${Buffer.from(response.body).toString('utf8').slice(0, 500)}`);
  }
}

/** Merges a patch into one object. */
export async function patchAsServer(handler: Handler, path: string, patch: object): Promise<void> {
  const transport = transportAsServer(handler);
  const headers = { 'content-type': 'application/merge-patch+json' };
  const response = await transport.request({ method: 'PATCH', path, headers, body: JSON.stringify(patch) });
  transport.close();
  if (response.status >= 300) throw new Error(`cannot patch ${path}: ${response.status}`);
}

/** Replaces a subresource at the resourceVersion that the object has; false when that is not the newest any more, or it is gone. */
export async function replaceAsServer(handler: Handler, path: string, object: object): Promise<boolean> {
  const transport = inProcessTransport({ handler, identity: serverIdentity, userAgent: 'kube-apiserver/v1.36.0' });
  const headers = { 'content-type': 'application/json' };
  const response = await transport.request({ method: 'PUT', path, headers, body: JSON.stringify(object) });
  transport.close();
  if (response.status === 409 || response.status === 404) return false;
  if (response.status >= 300) throw new Error(`cannot replace ${path}: ${Buffer.from(response.body).toString('utf8').slice(0, 500)}`);
  return true;
}
