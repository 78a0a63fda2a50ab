import type { V1Container, V1EphemeralContainer, V1PodSpec } from '@coffer/api/generated/types';

/** What one check of the Pod Security Standards looks at, and what it answers. */
export interface PodToCheck {
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: V1PodSpec;
}

export interface Violation {
  /** Short: what is wrong, whichever pod it is. */
  readonly reason: string;
  /** Which containers, values or volumes of this pod. */
  readonly detail: string;
}

/** Undefined when the pod is fine. */
export type PodCheck = (pod: PodToCheck) => Violation | undefined;

/** A check of one level, with the policy versions (`v1.N`) from which each of its variants holds. */
export interface VersionedCheck {
  readonly id: string;
  readonly variants: readonly CheckVariant[];
}

export interface CheckVariant {
  readonly sinceMinor: number;
  readonly check: PodCheck;
  /** Baseline checks that this restricted one replaces. */
  readonly replaces?: readonly string[];
}

export type AnyContainer = V1Container | V1EphemeralContainer;

/** All containers in the order in which messages name them. */
export function allContainers(spec: V1PodSpec): readonly AnyContainer[] {
  return [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])];
}

/** `container "a"`, `containers "a", "b"`. */
export function containersText(names: readonly string[]): string {
  return `${plural('container', names.length)} ${quoteAll(names)}`;
}

export function plural(word: string, count: number): string {
  return count === 1 ? word : `${word}s`;
}

export function quoteAll(texts: readonly string[]): string {
  return texts.map((text) => `"${text}"`).join(', ');
}

/** Each once, in the order of their characters. */
export function sortedOnce(texts: Iterable<string>): string[] {
  return [...new Set(texts)].sort();
}

/** The pod runs in a user namespace: root in its containers is nobody on the node. */
export function isInUserNamespace({ spec }: PodToCheck): boolean {
  return spec.hostUsers === false;
}

/** `check` for every pod but those of the kind that `isExempt` knows. */
export function unless(isExempt: (pod: PodToCheck) => boolean, check: PodCheck): PodCheck {
  return (pod) => (isExempt(pod) ? undefined : check(pod));
}
