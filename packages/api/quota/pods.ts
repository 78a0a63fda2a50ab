/** What pods use of a quota: their number, and the resources that they request and are limited to while they run. */

import type { V1Pod, V1PodAffinityTerm } from '../generated/types.ts';
import { isExtended, isHugePage, isNative, isQuotaHugePage } from '../kinds/core/pod/resource-names.ts';
import { viewAs } from '../kinds/define-kind.ts';
import { isPodTerminal, podLimits, podRequests, qosClass } from '../kinds/pod-state.ts';
import type { KubeObject } from '../meta/object.ts';
import { getOwn, setOwn } from '../meta/safe-object.ts';
import type { Amounts } from './amounts.ts';
import { objectCountName, type QuotaEvaluator, type ScopeRequirement } from './evaluator.ts';

const pods = { group: '', resource: 'pods' };
const countName = objectCountName(pods);
/** Resources whose limits every container must say something about. */
const demanded: ReadonlySet<string> = new Set(['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory']);
const names: ReadonlySet<string> = new Set([
  ...demanded,
  countName,
  'pods',
  'ephemeral-storage',
  'requests.ephemeral-storage',
  'limits.ephemeral-storage',
]);

export const podEvaluator: QuotaEvaluator = {
  ...pods,
  matchingNames: (given) =>
    given.filter((name) => names.has(name) || isQuotaHugePage(name) || (!isNative(name) && name.startsWith('requests.'))),
  usage(object, nowMs) {
    const pod = viewAs<V1Pod>(object);
    if (hasEnded(pod, nowMs)) return { [countName]: '1' };
    const spec = pod.spec ?? { containers: [] };
    return { [countName]: '1', ...computeUsage(podRequests(spec), podLimits(spec)) };
  },
  hasScope,
  problem,
  handles: (operation, subresource) =>
    (operation === 'CREATE' && subresource === '') || (operation === 'UPDATE' && subresource === 'resize'),
};

/** The pod has come to its end, or should have by now. */
function hasEnded(pod: V1Pod, nowMs: number): boolean {
  if (isPodTerminal(pod)) return true;
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata ?? {};
  if (deletionTimestamp == null || deletionGracePeriodSeconds == null) return false;
  return nowMs > Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000;
}

function computeUsage(requests: Amounts, limits: Amounts): Amounts {
  const used: Record<string, string> = { pods: '1' };
  for (const name of ['cpu', 'memory', 'ephemeral-storage']) {
    const request = getOwn(requests, name);
    const limit = getOwn(limits, name);
    if (request !== undefined) {
      used[name] = request;
      used[`requests.${name}`] = request;
    }
    if (limit !== undefined) used[`limits.${name}`] = limit;
  }
  for (const name of Object.keys(requests)) {
    const request = getOwn(requests, name) ?? '0';
    if (isHugePage(name)) setOwn(used, name, request);
    if (isHugePage(name) || isExtended(name)) setOwn(used, `requests.${name}`, request);
  }
  return used;
}

function problem(object: KubeObject, limited: readonly string[]): string | undefined {
  const { containers = [], initContainers = [] } = viewAs<V1Pod>(object).spec ?? {};
  const missing = limited
    .filter((name) => demanded.has(name))
    .sort()
    .flatMap((name) => {
      const without = [...containers, ...initContainers]
        .filter(({ resources }) => !Object.hasOwn(computeUsage(resources?.requests ?? {}, resources?.limits ?? {}), name))
        .map((container) => container.name);
      return without.length === 0 ? [] : [`${name} for: ${[...new Set(without)].sort().join(',')}`];
    });
  return missing.length === 0 ? undefined : `must specify ${missing.join('; ')}`;
}

function hasScope(object: KubeObject, requirement: ScopeRequirement): boolean {
  const spec = viewAs<V1Pod>(object).spec ?? { containers: [] };
  switch (requirement.scopeName) {
    case 'Terminating':
      return (spec.activeDeadlineSeconds ?? -1) >= 0;
    case 'NotTerminating':
      return (spec.activeDeadlineSeconds ?? -1) < 0;
    case 'BestEffort':
      return qosClass(spec) === 'BestEffort';
    case 'NotBestEffort':
      return qosClass(spec) !== 'BestEffort';
    case 'PriorityClass':
      return matchesValue(spec.priorityClassName ?? '', requirement);
    case 'CrossNamespacePodAffinity': {
      const terms = [spec.affinity?.podAffinity, spec.affinity?.podAntiAffinity].flatMap((affinity) => [
        ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
        ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(({ podAffinityTerm }) => podAffinityTerm),
      ]);
      return terms.some(looksElsewhere);
    }
    default:
      return false;
  }
}

function looksElsewhere({ namespaces, namespaceSelector }: V1PodAffinityTerm): boolean {
  return (namespaces ?? []).length > 0 || namespaceSelector != null;
}

function matchesValue(value: string, { operator, values = [] }: ScopeRequirement): boolean {
  switch (operator) {
    case 'Exists':
      return value !== '';
    case 'DoesNotExist':
      return value === '';
    case 'In':
      return value !== '' && values.includes(value);
    case 'NotIn':
      return value === '' || !values.includes(value);
    default:
      return false;
  }
}
