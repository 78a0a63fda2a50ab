/** Annotations and labels by which deployments and their replica sets remember things; the names are Kubernetes'. */
import type { V1Deployment, V1ReplicaSet } from '@coffer/api/generated/types';
import { getOwn, setOwn } from '@coffer/api/meta/safe-object';

export const REVISION = 'deployment.kubernetes.io/revision';
export const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas';
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas';
export const POD_TEMPLATE_HASH = 'pod-template-hash';
/** A user asks for an earlier revision (0: the last one) by this annotation. */
export const ROLLBACK_TO = 'deprecated.deployment.rollback.to';

/** What a replica set does not take over from its deployment. */
const NOT_COPIED: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  ROLLBACK_TO,
]);

/** The revision of a deployment or replica set, which has 64 bits; 0 when it has none. */
export function revisionOf(object: V1Deployment | V1ReplicaSet): bigint {
  return parseRevision(getOwn(object.metadata?.annotations, REVISION)) ?? 0n;
}

/** The revision that a text names, or undefined when it names none. */
export function parseRevision(text: string | undefined): bigint | undefined {
  if (text === undefined || !/^[+-]?[0-9]+$/.test(text)) return undefined;
  const value = BigInt(text.replace(/^\+/, ''));
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

/** A number an earlier sync wrote on a replica set, or undefined when it is absent or unreadable. */
export function numberAnnotation(set: V1ReplicaSet, name: string): number | undefined {
  const text = getOwn(set.metadata?.annotations, name);
  return text !== undefined && /^-?[0-9]+$/.test(text) ? Number(text) : undefined;
}

/**
 * The annotations a replica set should have: those of the deployment, and the new revision when it is higher than the one there, which
 * then joins the revision history. Returns undefined when nothing changes.
 */
export function newSetAnnotations(
  deployment: V1Deployment,
  current: Readonly<Record<string, string>>,
  revision: bigint,
  exists: boolean,
): Record<string, string> | undefined {
  const next: Record<string, string> = { ...current };
  let changed = false;
  for (const [name, value] of Object.entries(deployment.metadata?.annotations ?? {})) {
    if (NOT_COPIED.has(name) || getOwn(next, name) === value) continue;
    setOwn(next, name, value);
    changed = true;
  }
  const oldRevision = getOwn(current, REVISION);
  const oldNumber = oldRevision === undefined || oldRevision === '' ? 0n : parseRevision(oldRevision);
  // Somebody wrote what is no revision: the set is left alone.
  if (oldNumber === undefined) return undefined;
  if (oldNumber < revision) {
    next[REVISION] = String(revision);
    changed = true;
    if (exists && oldRevision !== undefined) {
      const history = getOwn(current, REVISION_HISTORY);
      next[REVISION_HISTORY] = history === undefined || history === '' ? oldRevision : boundedHistory(`${history},${oldRevision}`);
    }
  }
  return changed ? next : undefined;
}

const MAX_HISTORY_CHARS = 2000;

/** Drops the oldest revisions of a history that has become too long. */
function boundedHistory(history: string): string {
  let bounded = history;
  while (bounded.length > MAX_HISTORY_CHARS && bounded.includes(',')) bounded = bounded.slice(bounded.indexOf(',') + 1);
  return bounded;
}

/** Adds the sizes by which a later sync recognises that the deployment was scaled. Returns undefined when they are there already. */
export function withSizes(current: Readonly<Record<string, string>>, desired: number, max: number): Record<string, string> | undefined {
  if (getOwn(current, DESIRED_REPLICAS) === String(desired) && getOwn(current, MAX_REPLICAS) === String(max)) return undefined;
  return { ...current, [DESIRED_REPLICAS]: String(desired), [MAX_REPLICAS]: String(max) };
}

/** The deployment's annotations after it went back to a replica set: its own about itself, and what the set once took over. */
export function annotationsOfSet(deployment: V1Deployment, set: V1ReplicaSet): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(deployment.metadata?.annotations ?? {})) if (NOT_COPIED.has(name)) setOwn(kept, name, value);
  for (const [name, value] of Object.entries(set.metadata?.annotations ?? {})) if (!NOT_COPIED.has(name)) setOwn(kept, name, value);
  return kept;
}
