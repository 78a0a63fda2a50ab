/** ResourceQuota: how much the objects of a namespace may use in total, and how much they do. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, required } from '../../errors/field-error.ts';
import type { V1ResourceQuota, V1ResourceQuotaSpec, V1ScopedResourceSelectorRequirement } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { getOwn } from '../../meta/safe-object.ts';
import { immutableText } from '../../validation/object-meta.ts';
import { canonicalQuantity, compareQuantities } from '../../validation/quantities.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, column, nameColumn } from '../table-columns.ts';
import { type Draft, roundList } from './pod/pod-defaults.ts';
import { isStandardQuotaResource, validateResourceName } from './pod/resource-names.ts';
import { validateResourceAmount } from './pod/resource-validation.ts';

type ResourceList = Readonly<Record<string, string>>;

const podScopes = ['Terminating', 'NotTerminating', 'BestEffort', 'NotBestEffort', 'PriorityClass', 'CrossNamespacePodAffinity'];
const scopes: ReadonlySet<string> = new Set([...podScopes, 'VolumeAttributesClass']);
/** Scopes a pod either has or has not. */
const existsOnly: ReadonlySet<string> = new Set(podScopes.filter((scope) => scope !== 'PriorityClass'));
const opposites = [
  ['BestEffort', 'NotBestEffort'],
  ['Terminating', 'NotTerminating'],
] as const;
const computeResources: ReadonlySet<string> = new Set(['cpu', 'memory', 'limits.cpu', 'limits.memory', 'requests.cpu', 'requests.memory']);

export const resourceQuota = defineKind('', 'resourcequotas', {
  schema: 'io.k8s.api.core.v1.ResourceQuota',
  nameSyntax: 'dns-subdomain',
  applyDefaults(object) {
    const { spec, status } = object as Draft<V1ResourceQuota>;
    for (const list of [spec?.hard, status?.hard, status?.used]) roundList(list);
  },
  validate: (object) => [...validateSpec(specOf(object)), ...validateStatus(object)],
  validateUpdate: (object, old) => [...validateSpec(specOf(object)), ...keepScopes(specOf(object), specOf(old))],
  updateOrder: ['meta-update', 'update'],
  validateStatusUpdate: validateStatus,
  warnings: (object, old) => (old === undefined ? requestWarnings(specOf(object).hard) : []),
  hasStatus: true,
  table: {
    columns: [
      nameColumn,
      column('Request', 'Request represents a minimum amount of cpu/memory that a container may consume.'),
      column('Limit', 'Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.'),
      ageColumn,
    ],
    cells(object, now) {
      const { metadata, status } = viewAs<V1ResourceQuota>(object);
      const amount = (list: ResourceList | undefined, name: string) => canonicalQuantity(getOwn(list, name) ?? '0');
      const cell = (limits: boolean): string =>
        Object.keys(status?.hard ?? {})
          .filter((name) => name.startsWith('limits.') === limits)
          .sort()
          .map((name) => `${name}: ${amount(status?.used, name)}/${amount(status?.hard, name)}`)
          .join(', ');
      return [metadata?.name ?? '', cell(false), cell(true), timeSince(metadata?.creationTimestamp, now)];
    },
  },
});

function specOf(object: KubeObject): V1ResourceQuotaSpec {
  return viewAs<V1ResourceQuota>(object).spec ?? {};
}

function validateSpec(spec: V1ResourceQuotaSpec): FieldError[] {
  return [...validateAmounts(spec.hard, 'spec.hard'), ...validateScopes(spec), ...validateSelector(spec)];
}

/** Requests may not exceed limits in a pod, so that more of them than of limits cannot be used. */
function requestWarnings(hard: ResourceList | undefined): string[] {
  return ['cpu', 'memory', 'storage', 'ephemeral-storage'].flatMap((resource) => {
    const short = resource === 'cpu' || resource === 'memory' ? [resource] : [];
    const name = [`requests.${resource}`, ...short].find((candidate) => getOwn(hard, candidate) !== undefined);
    const request = name === undefined ? undefined : getOwn(hard, name);
    const limit = getOwn(hard, `limits.${resource}`);
    if (request === undefined || limit === undefined || compareQuantities(request, limit) <= 0) return [];
    const amounts = [canonicalQuantity(request), canonicalQuantity(limit)];
    return [`ResourceQuota ${name} (${amounts[0]}) should be less than limits.${resource} (${amounts[1]})`];
  });
}

function validateStatus(object: KubeObject): FieldError[] {
  const { hard, used } = viewAs<V1ResourceQuota>(object).status ?? {};
  return [...validateAmounts(hard, 'status.hard'), ...validateAmounts(used, 'status.used')];
}

function validateAmounts(list: ResourceList | undefined, path: string): FieldError[] {
  return Object.keys(list ?? {}).flatMap((name) => {
    const at = `${path}[${name}]`;
    const errors = validateResourceName(name, at);
    if (!name.includes('/') && !isStandardQuotaResource(name)) errors.push(invalid(at, name, 'must be a standard resource for quota'));
    return [...errors, ...validateResourceAmount(name, getOwn(list, name) ?? '0', at)];
  });
}

function validateScopes(spec: V1ResourceQuotaSpec): FieldError[] {
  const path = 'spec.scopes';
  const given = spec.scopes ?? [];
  const errors = given.flatMap((scope) => [
    ...(scopes.has(scope) ? [] : [invalid(path, given, 'unsupported scope')]),
    ...limitedOutside(spec, scope).map(() => invalid(path, given, 'unsupported scope applied to resource')),
  ]);
  return [...errors, ...conflicts(given, path, given)];
}

function validateSelector(spec: V1ResourceQuotaSpec): FieldError[] {
  const path = 'spec.scopeSelector.matchExpressions';
  const requirements = spec.scopeSelector?.matchExpressions ?? [];
  // As the server's own struct, whose fields are always there.
  const shown = { MatchExpressions: requirements.map((r) => ({ ScopeName: r.scopeName, Operator: r.operator, Values: r.values ?? null })) };
  const errors = requirements.flatMap((requirement) => [
    ...(scopes.has(requirement.scopeName) ? [] : [invalid(`${path}.scopeName`, requirement.scopeName, 'unsupported scope')]),
    ...limitedOutside(spec, requirement.scopeName).map(() => invalid(path, shown, 'unsupported scope applied to resource')),
    ...validateOperator(requirement, path),
  ]);
  const names = requirements.map(({ scopeName }) => scopeName);
  return [...errors, ...conflicts(names, path, spec.scopes ?? null)];
}

function validateOperator({ scopeName, operator, values = [] }: V1ScopedResourceSelectorRequirement, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (existsOnly.has(scopeName) && operator !== 'Exists') {
    const detail =
      "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
    errors.push(invalid(`${path}.operator`, operator, detail));
  }
  switch (operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0) {
        errors.push(required(`${path}.values`, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"));
      }
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0) {
        errors.push(invalid(`${path}.values`, values, "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"));
      }
      break;
    default:
      errors.push(invalid(`${path}.operator`, operator, 'not a valid selector operator'));
  }
  return errors;
}

/** The limited standard resources that objects of this scope do not use. */
function limitedOutside(spec: V1ResourceQuotaSpec, scope: string): string[] {
  const applies = (name: string): boolean => {
    if (scope === 'BestEffort') return name === 'pods';
    if (scope === 'VolumeAttributesClass') return name === 'persistentvolumeclaims' || name === 'requests.storage';
    return !scopes.has(scope) || name === 'pods' || computeResources.has(name);
  };
  return Object.keys(spec.hard ?? {}).filter((name) => isStandardQuotaResource(name) && !applies(name));
}

function conflicts(given: readonly string[], path: string, shown: unknown): FieldError[] {
  return opposites.filter((pair) => pair.every((scope) => given.includes(scope))).map(() => invalid(path, shown, 'conflicting scopes'));
}

function keepScopes(spec: V1ResourceQuotaSpec, old: V1ResourceQuotaSpec): FieldError[] {
  const setOf = ({ scopes: given = [] }: V1ResourceQuotaSpec) => [...new Set(given)].sort().join();
  return setOf(spec) === setOf(old) ? [] : [invalid('spec.scopes', spec.scopes ?? null, immutableText)];
}
