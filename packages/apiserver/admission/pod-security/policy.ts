import { type FieldError, invalid } from '@coffer/api/errors/field-error';
import { getOwn } from '@coffer/api/meta/safe-object';

/** What the `pod-security.kubernetes.io/*` labels of a namespace ask for. */

export type Level = 'privileged' | 'baseline' | 'restricted';

/** `latest` or `v1.N`. */
export interface PolicyVersion {
  readonly text: string;
  /** Infinity for the latest. */
  readonly minor: number;
}

export interface LevelVersion {
  readonly level: Level;
  readonly version: PolicyVersion;
}

export interface Policy {
  readonly enforce: LevelVersion;
  readonly audit: LevelVersion;
  readonly warn: LevelVersion;
}

export const podSecurityPrefix = 'pod-security.kubernetes.io/';
const levels: readonly Level[] = ['privileged', 'baseline', 'restricted'];
const latest: PolicyVersion = { text: 'latest', minor: Number.POSITIVE_INFINITY };
const nothing: LevelVersion = { level: 'privileged', version: latest };
const unlabelled: ParsedPolicy = { policy: { enforce: nothing, audit: nothing, warn: nothing }, errors: [] };
const maxInt64 = 2n ** 63n - 1n;

export interface ParsedPolicy {
  /** Always usable: a level to enforce that cannot be read counts as restricted, one to audit or warn as privileged. */
  readonly policy: Policy;
  readonly errors: readonly FieldError[];
}

/** Without labels nothing is asked for. */
export function parsePolicy(labels: Readonly<Record<string, string>> | undefined): ParsedPolicy {
  if (labels === undefined || !Object.keys(labels).some((key) => key.startsWith(podSecurityPrefix))) return unlabelled;
  const errors: FieldError[] = [];
  return {
    policy: {
      enforce: parseMode(labels, 'enforce', 'restricted', errors),
      audit: parseMode(labels, 'audit', 'privileged', errors),
      warn: parseMode(labels, 'warn', 'privileged', errors),
    },
    errors,
  };
}

function parseMode(labels: Readonly<Record<string, string>>, mode: string, levelWhenInvalid: Level, errors: FieldError[]): LevelVersion {
  const levelText = getOwn(labels, `${podSecurityPrefix}${mode}`) ?? 'privileged';
  const versionText = getOwn(labels, `${podSecurityPrefix}${mode}-version`) ?? 'latest';
  const level = levels.find((known) => known === levelText);
  const version = parseVersion(versionText);
  if (level === undefined) errors.push(labelError(mode, levelText, `must be one of ${levels.join(', ')}`));
  if (version === undefined) errors.push(labelError(`${mode}-version`, versionText, 'must be "latest" or "v1.x"'));
  return { level: level ?? levelWhenInvalid, version: version ?? latest };
}

function parseVersion(text: string): PolicyVersion | undefined {
  if (text === 'latest') return latest;
  const minor = /^v1\.(0|[1-9][0-9]*)$/.exec(text)?.[1];
  return minor === undefined || BigInt(minor) > maxInt64 ? undefined : { text, minor: Number(minor) };
}

function labelError(label: string, value: string, detail: string): FieldError {
  return invalid(`metadata.labels[${podSecurityPrefix}${label}]`, value, detail);
}

/** `restricted:v1.30`. */
export function formatLevelVersion({ level, version }: LevelVersion): string {
  return `${level}:${version.text}`;
}

export function isSameLevelVersion(a: LevelVersion, b: LevelVersion): boolean {
  return a.level === b.level && a.version.text === b.version.text;
}

/** Whether pods that were fine under `old` may violate `next`. */
export function mayTighten(old: LevelVersion, next: LevelVersion): boolean {
  if (isSameLevelVersion(old, next) || next.level === 'privileged') return false;
  return old.version.text !== next.version.text || levels.indexOf(next.level) > levels.indexOf(old.level);
}
