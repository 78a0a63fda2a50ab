/** Names of compute resources: which are native, which may be overcommitted, which are counted in whole units. */

import type { FieldError } from '../../../errors/field-error.ts';
import { invalid } from '../../../errors/field-error.ts';
import { qualifiedNameProblems } from '../../../validation/names.ts';
import { invalidEach } from '../../../validation/object-meta.ts';

const containerResources = ['cpu', 'memory', 'ephemeral-storage'];
const objectCounts = [
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
];
const standardResources = new Set([
  ...containerResources,
  ...objectCounts,
  'storage',
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
  'requests.storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
]);

export function isHugePage(name: string): boolean {
  return name.startsWith('hugepages-');
}

/** As it is named in a quota: what is used, or what is requested. */
export function isQuotaHugePage(name: string): boolean {
  return isHugePage(name) || name.startsWith('requests.hugepages-');
}

/** Unqualified, or in a `kubernetes.io` domain. */
export function isNative(name: string): boolean {
  return !name.includes('/') || name.includes('kubernetes.io/');
}

/** Device plugins' resources: qualified, outside of `kubernetes.io`, and valid in a quota. */
export function isExtended(name: string): boolean {
  return !isNative(name) && !name.startsWith('requests.') && qualifiedNameProblems(`requests.${name}`).length === 0;
}

/** Whether requests may be lower than limits. */
export function mayOvercommit(name: string): boolean {
  return isNative(name) && !isHugePage(name);
}

export function isCountable(name: string): boolean {
  return objectCounts.includes(name) || isExtended(name);
}

/** Syntax, and for unqualified names one of those that exist. */
export function validateResourceName(name: string, path: string): FieldError[] {
  const problems = qualifiedNameProblems(name);
  if (problems.length > 0) return invalidEach(path, name, problems);
  if (name.includes('/') || standardResources.has(name) || isQuotaHugePage(name)) return [];
  return [invalid(path, name, 'must be a standard resource type or fully qualified')];
}

/** What a quota can limit: everything but `storage`, which is requested. */
export function isStandardQuotaResource(name: string): boolean {
  return (standardResources.has(name) && name !== 'storage') || isQuotaHugePage(name);
}

/** What a container can ask for. */
export function validateContainerResourceName(name: string, path: string): FieldError[] {
  const errors = validateResourceName(name, path);
  if (!name.includes('/')) {
    if (!containerResources.includes(name) && !isHugePage(name)) {
      errors.push(invalid(path, name, 'must be a standard resource for containers'));
    }
  } else if (!isNative(name) && !isExtended(name)) {
    errors.push(invalid(path, name, "doesn't follow extended resource name standard"));
  }
  return errors;
}
