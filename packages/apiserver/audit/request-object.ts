import type { KubeObject } from '@coffer/api/meta/object';
import { cloneJson } from '@coffer/api/meta/safe-object';
import type { RequestContext } from '../request/context.ts';

/** What a body says of the object it is about, where the address of the request does not. */
export interface BodyReference {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

/**
 * Tells audit of the object that a body holds, once it is decoded and before anything is made of it. `complete` gives it its defaults; it gets
 * a copy. Costs next to nothing where the policy does not ask for bodies.
 */
export function auditRequestObject(context: RequestContext, object: KubeObject, complete?: (copy: KubeObject) => KubeObject): void {
  if (context.auditLevel === undefined) return;
  const { namespace = '', name = '', uid = '', resourceVersion = '' } = object.metadata;
  context.requestReference = { namespace, name, uid, resourceVersion };
  if (!wantsBodies(context)) return;
  context.requestObject = JSON.stringify(complete === undefined ? object : complete(cloneJson(object)));
}

/** Tells audit of the DeleteOptions that a request came with. */
export function auditDeleteOptions(context: RequestContext, options: Readonly<Record<string, unknown>>): void {
  if (!wantsBodies(context)) return;
  context.requestObject = JSON.stringify({ kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', ...options });
}

/** Tells audit of a patch, which is recorded as it came. */
export function auditPatch(context: RequestContext, patch: Uint8Array): void {
  if (wantsBodies(context)) context.requestObject = patch;
}

function wantsBodies({ auditLevel }: RequestContext): boolean {
  return auditLevel === 'Request' || auditLevel === 'RequestResponse';
}
