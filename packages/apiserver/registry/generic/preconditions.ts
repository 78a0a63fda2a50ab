import { conflict } from '@coffer/api/errors/status-error';
import type { GroupResource, KubeObject } from '@coffer/api/meta/object';

export interface Preconditions {
  readonly uid?: string | undefined;
  readonly resourceVersion?: string | undefined;
}

/** The storage's own check of preconditions: 409 with the words of the storage layer, the key included. */
export function checkStoragePreconditions(
  gr: GroupResource,
  name: string,
  key: string,
  wanted: Preconditions,
  current: KubeObject | undefined,
): void {
  const uid = current?.metadata.uid ?? '';
  if (wanted.uid !== undefined && wanted.uid !== uid) {
    throw invalidObject(gr, name, key, `UID in precondition: ${wanted.uid}, UID in object meta: ${uid}`);
  }
  const revision = current?.metadata.resourceVersion ?? '';
  if (wanted.resourceVersion !== undefined && wanted.resourceVersion !== revision) {
    throw invalidObject(
      gr,
      name,
      key,
      `ResourceVersion in precondition: ${wanted.resourceVersion}, ResourceVersion in object meta: ${revision}`,
    );
  }
}

function invalidObject(gr: GroupResource, name: string, key: string, detail: string) {
  return conflict(
    gr,
    name,
    `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: ${detail}`,
  );
}
