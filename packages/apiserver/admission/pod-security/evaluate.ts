import { baselineChecks } from './baseline-checks.ts';
import type { PodCheck, PodToCheck, VersionedCheck, Violation } from './check.ts';
import { formatLevelVersion, type LevelVersion } from './policy.ts';
import { restrictedChecks } from './restricted-checks.ts';

/** Evaluates a pod against a level in a version. */
export interface PodSecurityEvaluator {
  /** What the pod violates, in a fixed order: baseline first. Nothing at the level privileged. */
  evaluate(policy: LevelVersion, pod: PodToCheck): readonly Violation[];
}

/** Versions above the newest variant of any check, `latest` among them, are that one. */
const newestMinor = Math.max(...[...baselineChecks, ...restrictedChecks].flatMap(({ variants }) => variants.map((v) => v.sinceMinor)));

export function createEvaluator(): PodSecurityEvaluator {
  const known = new Map<string, readonly PodCheck[]>();
  return {
    evaluate(policy, pod) {
      if (policy.level === 'privileged') return [];
      const key = formatLevelVersion(policy);
      let checks = known.get(key);
      if (checks === undefined) {
        checks = selectChecks(policy);
        if (policy.version.minor <= newestMinor || policy.version.text === 'latest') known.set(key, checks);
      }
      return checks.map((check) => check(pod)).filter((violation) => violation !== undefined);
    },
  };
}

function selectChecks({ level, version }: LevelVersion): readonly PodCheck[] {
  const minor = Math.min(version.minor, newestMinor);
  const baseline = variantsAt(baselineChecks, minor);
  if (level === 'baseline') return baseline.map(({ check }) => check);
  const restricted = variantsAt(restrictedChecks, minor);
  const replaced = new Set(restricted.flatMap(({ replaces }) => replaces ?? []));
  return [...baseline.filter(({ id }) => !replaced.has(id)), ...restricted].map(({ check }) => check);
}

function variantsAt(checks: readonly VersionedCheck[], minor: number) {
  return checks.flatMap(({ id, variants }) => {
    const variant = variants.findLast(({ sinceMinor }) => sinceMinor <= minor);
    return variant === undefined ? [] : [{ id, ...variant }];
  });
}

/** `hostPort, privileged`: the same for every pod that violates the same. */
export function reasonsText(violations: readonly Violation[]): string {
  return violations.map(({ reason }) => reason).join(', ');
}

/** `hostPort (container "a" uses hostPort 80), privileged (…)`. */
export function detailsText(violations: readonly Violation[]): string {
  return violations.map(({ reason, detail }) => (detail === '' ? reason : `${reason} (${detail})`)).join(', ');
}
