import { randomUUID } from 'node:crypto';
import { badRequest } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';

/** Metadata only the server decides: cleared from what clients send, filled in on create. Everything works in place. */

/** Drops what a create request may not choose. */
export function wipeSystemMetadata(object: KubeObject): void {
  const metadata = object.metadata;
  delete metadata.creationTimestamp;
  delete metadata.uid;
  delete metadata.deletionTimestamp;
  delete metadata.deletionGracePeriodSeconds;
  delete metadata.selfLink;
}

export function fillSystemMetadata(object: KubeObject, now: string): void {
  const metadata = object.metadata as { creationTimestamp?: unknown; uid?: string };
  metadata.creationTimestamp = now;
  metadata.uid = randomUUID();
}

/** Takes the request's namespace over into the object; a different one in the object is refused, or dropped where there are none. */
export function ensureNamespace(object: KubeObject, namespace: string): void {
  const own = object.metadata.namespace ?? '';
  if (own === namespace) return;
  if (namespace === '') {
    delete object.metadata.namespace;
    return;
  }
  if (own !== '') throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  object.metadata.namespace = namespace;
}

let lastSecond = 0;
let lastText = '1970-01-01T00:00:00Z';

/** RFC 3339 in UTC with whole seconds, as every time in `metadata`. Asked for on every write: the last answer is kept. */
export function rfc3339(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== lastSecond) {
    lastText = `${new Date(ms).toISOString().slice(0, 19)}Z`;
    lastSecond = second;
  }
  return lastText;
}
