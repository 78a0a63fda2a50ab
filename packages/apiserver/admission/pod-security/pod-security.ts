import { aggregateFieldErrors } from '@coffer/api/errors/field-error';
import { forbidden, internalError, invalidObject } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import { qualifiedResource } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore } from '@coffer/storage/store/store';
import type { PodSecurityMetrics } from '../../metrics/pod-security-metrics.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';
import type { PodToCheck, Violation } from './check.ts';
import { createEvaluator, detailsText, type PodSecurityEvaluator } from './evaluate.ts';
import { existingPodWarnings } from './existing-pods.ts';
import { isSignificantChange, podToCheck } from './pod-changes.ts';
import {
  formatLevelVersion,
  isSameLevelVersion,
  type LevelVersion,
  mayTighten,
  type ParsedPolicy,
  parsePolicy,
  podSecurityPrefix,
} from './policy.ts';

export interface PodSecurityDeps {
  readonly namespaces: ResourceStore;
  readonly pods: ResourceStore;
  readonly clock: Clock;
  readonly metrics: PodSecurityMetrics;
}

/** Subresources of pods that do not carry a pod. */
const otherSubresources: ReadonlySet<string> = new Set(['exec', 'attach', 'binding', 'eviction', 'log', 'portforward', 'proxy', 'status']);

/** Where the pods-to-be of a kind are described. */
const templatePaths: ReadonlyMap<string, readonly string[]> = new Map([
  ['podtemplates', ['template']],
  ['replicationcontrollers', ['spec', 'template']],
  ['replicasets.apps', ['spec', 'template']],
  ['deployments.apps', ['spec', 'template']],
  ['statefulsets.apps', ['spec', 'template']],
  ['daemonsets.apps', ['spec', 'template']],
  ['jobs.batch', ['spec', 'template']],
  ['cronjobs.batch', ['spec', 'jobTemplate', 'spec', 'template']],
]);

/**
 * The Pod Security Standards, as the labels `pod-security.kubernetes.io/{enforce,audit,warn}` of the namespace ask for them: `enforce`
 * refuses pods, `audit` and `warn` also tell about templates of pods. A namespace without labels allows everything.
 */
export function podSecurity(deps: PodSecurityDeps): AdmissionPlugin {
  const evaluator = createEvaluator();
  return {
    name: 'PodSecurity',
    validate(attributes) {
      const { operation, resource } = attributes;
      if (operation !== 'CREATE' && operation !== 'UPDATE') return undefined;
      if (resource.group === '' && resource.resource === 'pods') return validatePod(deps, evaluator, attributes);
      if (resource.group === '' && resource.resource === 'namespaces') return validateNamespace(deps, evaluator, attributes);
      const path = templatePaths.get(qualifiedResource(resource));
      return path === undefined ? undefined : validateTemplateOwner(deps, evaluator, attributes, path);
    },
  };
}

/** Refuses labels that mean nothing, and warns about pods that would not be let in any more. */
async function validateNamespace(deps: PodSecurityDeps, evaluator: PodSecurityEvaluator, attributes: AdmissionAttributes): Promise<void> {
  const { object, oldObject, subresource } = attributes;
  if (subresource !== '' || object === undefined) return;
  const { policy, errors } = parsePolicy(object.metadata.labels);
  const old = oldObject === undefined ? undefined : parsePolicy(oldObject.metadata.labels);
  // What was stored before the labels meant something stays as it is.
  if (errors.length > 0 && aggregateFieldErrors(errors) !== aggregateFieldErrors(old?.errors ?? [])) {
    throw invalidObject({ group: '', kind: 'Namespace' }, attributes.name, errors);
  }
  if (old === undefined || !mayTighten(old.policy.enforce, policy.enforce)) return;
  for (const text of await existingPodWarnings({ ...deps, evaluator }, attributes.name, policy.enforce)) attributes.warnings.add(text);
}

function validatePod(deps: PodSecurityDeps, evaluator: PodSecurityEvaluator, attributes: AdmissionAttributes): void {
  const { object, oldObject } = attributes;
  if (otherSubresources.has(attributes.subresource) || object === undefined) return;
  const parsed = policyOf(deps, attributes);
  if (parsed === undefined) throw internalError(`failed to lookup namespace ${attributes.namespace}`);
  const { policy, errors } = parsed;
  if (errors.length === 0 && Object.values(policy).every(({ level }) => level === 'privileged')) {
    annotate(attributes, 'enforce-policy', 'privileged:latest');
    deps.metrics.countEvaluation(attributes, 'allow', 'enforce', policy.enforce);
    return;
  }
  const pod = podToCheck(object);
  if (oldObject !== undefined && !isSignificantChange(pod, podToCheck(oldObject))) return;
  evaluatePod(deps, evaluator, attributes, parsed, pod, true);
}

/** Controllers are told, never refused: their pods are. */
function validateTemplateOwner(
  deps: PodSecurityDeps,
  evaluator: PodSecurityEvaluator,
  attributes: AdmissionAttributes,
  path: readonly string[],
): void {
  if (attributes.subresource !== '' || attributes.object === undefined) return;
  const parsed = policyOf(deps, attributes);
  if (parsed === undefined) return;
  const { audit, warn } = parsed.policy;
  if (parsed.errors.length === 0 && audit.level === 'privileged' && warn.level === 'privileged') return;
  const template = templateAt(attributes.object, path);
  if (template !== undefined) evaluatePod(deps, evaluator, attributes, parsed, podToCheck(template), false);
}

function policyOf({ namespaces }: PodSecurityDeps, { namespace }: AdmissionAttributes): ParsedPolicy | undefined {
  const found = namespaces.get('', namespace);
  return found === undefined ? undefined : parsePolicy(found.labels);
}

function templateAt(object: KubeObject, path: readonly string[]): Record<string, unknown> | undefined {
  let value: unknown = object;
  for (const key of path) value = isRecord(value) ? value[key] : undefined;
  return isRecord(value) ? value : undefined;
}

/** Throws StatusError 403 when `enforce` is set and the pod violates what is enforced. */
function evaluatePod(
  { metrics }: PodSecurityDeps,
  evaluator: PodSecurityEvaluator,
  attributes: AdmissionAttributes,
  { policy, errors }: ParsedPolicy,
  pod: PodToCheck,
  enforce: boolean,
): void {
  if (errors.length > 0) {
    annotate(attributes, 'error', `Failed to parse policy: ${aggregateFieldErrors(errors)}`);
    metrics.countError(attributes);
  }
  const results: { readonly policy: LevelVersion; readonly violations: readonly Violation[] }[] = [];
  const violationsOf = (levelVersion: LevelVersion): readonly Violation[] => {
    const known = results.find((result) => isSameLevelVersion(result.policy, levelVersion));
    if (known !== undefined) return known.violations;
    const violations = evaluator.evaluate(levelVersion, pod);
    results.push({ policy: levelVersion, violations });
    return violations;
  };

  const enforced = enforce ? violationsOf(policy.enforce) : [];
  if (enforce) {
    annotate(attributes, 'enforce-policy', formatLevelVersion(policy.enforce));
    metrics.countEvaluation(attributes, enforced.length === 0 ? 'allow' : 'deny', 'enforce', policy.enforce);
  }
  const audited = violationsOf(policy.audit);
  if (audited.length > 0) {
    annotate(attributes, 'audit-violations', `would ${violatesText(policy.audit, audited, 'violate')}`);
    metrics.countEvaluation(attributes, 'deny', 'audit', policy.audit);
  }
  if (enforced.length > 0) throw forbidden(attributes.resource, attributes.name, violatesText(policy.enforce, enforced, 'violates'));
  const warned = violationsOf(policy.warn);
  if (warned.length > 0) {
    attributes.warnings.add(`would ${violatesText(policy.warn, warned, 'violate')}`);
    metrics.countEvaluation(attributes, 'deny', 'warn', policy.warn);
  }
}

function violatesText(policy: LevelVersion, violations: readonly Violation[], verb: 'violate' | 'violates'): string {
  return `${verb} PodSecurity "${formatLevelVersion(policy)}": ${detailsText(violations)}`;
}

function annotate({ auditAnnotations }: AdmissionAttributes, key: string, value: string): void {
  auditAnnotations.set(`${podSecurityPrefix}${key}`, value);
}
