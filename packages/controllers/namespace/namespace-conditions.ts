/** The conditions of a namespace that is being emptied: what could not be discovered or deleted, and what remains. Pure. */
import type { V1NamespaceCondition } from '@coffer/api/generated/types';
import { apiTime } from '@coffer/client/rest/api-time';

/** What one pass over the content of a namespace found. */
export interface ContentReport {
  readonly discoveryErrors: readonly string[];
  readonly deletionErrors: readonly string[];
  /** Objects left, by resource and group as printed: `pods.`, `deployments.apps`. */
  readonly remaining: ReadonlyMap<string, number>;
  readonly finalizers: ReadonlyMap<string, number>;
}

interface Finding {
  readonly type: string;
  readonly okReason: string;
  readonly okMessage: string;
  readonly failure: { readonly reason: string; readonly message: string } | undefined;
}

/** The conditions after a pass, or undefined when they say what they said before. */
export function nextConditions(
  old: readonly V1NamespaceCondition[],
  report: ContentReport,
  nowMs: number,
): readonly V1NamespaceCondition[] | undefined {
  let changed = false;
  const conditions = [...old];
  for (const finding of findings(report)) {
    const status = finding.failure === undefined ? 'False' : 'True';
    const reason = finding.failure?.reason ?? finding.okReason;
    const message = finding.failure?.message ?? finding.okMessage;
    const at = conditions.findIndex((condition) => condition.type === finding.type);
    const current = conditions[at];
    if (current !== undefined && current.status === status && current.reason === reason && current.message === message) continue;
    const next = { type: finding.type, status, lastTransitionTime: apiTime(nowMs), reason, message };
    changed = true;
    if (at < 0) conditions.push(next);
    else conditions[at] = next;
  }
  return changed ? conditions : undefined;
}

function findings(report: ContentReport): Finding[] {
  const { discoveryErrors, deletionErrors, remaining, finalizers } = report;
  return [
    {
      type: 'NamespaceDeletionDiscoveryFailure',
      okReason: 'ResourcesDiscovered',
      okMessage: 'All resources successfully discovered',
      failure: failure(
        'DiscoveryFailed',
        discoveryErrors.length,
        `Discovery failed for some groups, ${discoveryErrors.length} failing: ${joined(discoveryErrors)}`,
      ),
    },
    {
      type: 'NamespaceDeletionGroupVersionParsingFailure',
      okReason: 'ParsedGroupVersions',
      okMessage: 'All legacy kube types successfully parsed',
      failure: undefined,
    },
    {
      type: 'NamespaceDeletionContentFailure',
      okReason: 'ContentDeleted',
      okMessage: 'All content successfully deleted, may be waiting on finalization',
      failure: failure(
        'ContentDeletionFailed',
        deletionErrors.length,
        `Failed to delete all resource types, ${deletionErrors.length} remaining: ${joined(deletionErrors)}`,
      ),
    },
    {
      type: 'NamespaceContentRemaining',
      okReason: 'ContentRemoved',
      okMessage: 'All content successfully removed',
      failure: failure(
        'SomeResourcesRemain',
        remaining.size,
        `Some resources are remaining: ${counted(remaining, (name, count) => `${name} has ${count} resource instances`)}`,
      ),
    },
    {
      type: 'NamespaceFinalizersRemaining',
      okReason: 'ContentHasNoFinalizers',
      okMessage: 'All content-preserving finalizers finished',
      failure: failure(
        'SomeFinalizersRemain',
        finalizers.size,
        `Some content in the namespace has finalizers remaining: ${counted(finalizers, (name, count) => `${name} in ${count} resource instances`)}`,
      ),
    },
  ];
}

function failure(reason: string, count: number, message: string): Finding['failure'] {
  return count === 0 ? undefined : { reason, message };
}

function joined(errors: readonly string[]): string {
  return [...errors].sort().join(', ');
}

function counted(counts: ReadonlyMap<string, number>, print: (name: string, count: number) => string): string {
  return [...counts]
    .map(([name, count]) => print(name, count))
    .sort()
    .join(', ');
}
