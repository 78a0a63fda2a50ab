import type { KubeObject, OwnerReference } from '@coffer/api/meta/object';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { WarningList } from '../request/context.ts';

/**
 * Drops repeated owner references, in place; clients that send them are warned. What a PATCH repeats is worded as found after mutating
 * admission, which is when kube-apiserver looks at a patched object.
 */
export function dropDuplicateOwners(object: KubeObject, warnings: WarningList | undefined, patched = false): void {
  const owners = object.metadata.ownerReferences;
  if (owners === undefined || owners.length < 2) return;
  const unique: OwnerReference[] = [];
  const repeated = new Set<string>();
  for (const owner of owners) {
    if (unique.some((known) => equalJson(known, owner))) repeated.add(owner.uid);
    else unique.push(owner);
  }
  if (repeated.size === 0) return;
  object.metadata.ownerReferences = unique;
  warnings?.add(
    `.metadata.ownerReferences contains duplicate entries${patched ? ' after mutating admission happens' : ''}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${[...repeated].join(', ')}`,
  );
}
