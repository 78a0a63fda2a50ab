/**
 * Fields that a request cannot set because the strategy of its resource restores them, so that nobody owns them through it:
 * writers of an object do not own its status, writers of the status own nothing else.
 */
import type { FieldSet } from './field-set.ts';
import { EMPTY_SET, SetBuilder } from './field-set.ts';
import { fieldElement } from './path-element.ts';

export interface ResetScope {
  readonly group: string;
  readonly kind: string;
  /** Empty for the object itself. */
  readonly subresource: string;
  readonly hasStatus: boolean;
}

/** The fields, as a set for `TypeContext.resetFields`. The same object for the same scope. */
export function resetFieldsOf(scope: ResetScope): FieldSet {
  const key = `${scope.group}/${scope.kind}/${scope.subresource}/${scope.hasStatus}`;
  let set = cache.get(key);
  if (set === undefined) {
    set = build(pathsOf(scope));
    cache.set(key, set);
  }
  return set;
}

const cache = new Map<string, FieldSet>();

/** What status writers of some kinds cannot set besides the spec; dotted paths. */
const STATUS_EXTRAS: ReadonlyMap<string, readonly string[]> = new Map([
  ['/Pod', ['metadata.deletionTimestamp', 'metadata.ownerReferences']],
  ['apps/Deployment', ['metadata.labels']],
  ['certificates.k8s.io/CertificateSigningRequest', ['status.conditions']],
]);

function pathsOf({ group, kind, subresource, hasStatus }: ResetScope): readonly string[] {
  const id = `${group}/${kind}`;
  if (subresource === '') return hasStatus ? ['status'] : [];
  if (subresource === 'status') return ['spec', ...(STATUS_EXTRAS.get(id) ?? [])];
  if (subresource === 'approval') return ['spec', 'status.certificate'];
  if (subresource === 'finalize' || subresource === 'resize' || subresource === 'ephemeralcontainers') return ['status'];
  return [];
}

function build(paths: readonly string[]): FieldSet {
  if (paths.length === 0) return EMPTY_SET;
  const builder = new SetBuilder();
  for (const path of paths) builder.insert(path.split('.').map(fieldElement));
  return builder.build();
}
