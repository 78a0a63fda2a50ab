/** `resources` of containers and pods: names, amounts, requests within limits, claims. */

import type { FieldError } from '../../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, notFoundField, notSupported, required } from '../../../errors/field-error.ts';
import type { CoreV1ResourceClaim, V1PodSpec, V1ResourceRequirements } from '../../../generated/types.ts';
import { getOwn } from '../../../meta/safe-object.ts';
import { dnsLabelProblems } from '../../../validation/names.ts';
import { invalidEach } from '../../../validation/object-meta.ts';
import { canonicalQuantity, compareQuantities, isInteger, isMultiple, isNegative } from '../../../validation/quantities.ts';
import { aggregateLimits, aggregateRequests } from '../../pod-state.ts';
import { isCountable, isHugePage, mayOvercommit, validateContainerResourceName, validateResourceName } from './resource-names.ts';

type ResourceList = Readonly<Record<string, string>>;
type NameCheck = (name: string, path: string) => FieldError[];

/** `claimNames` are the names of the pod's resource claims. */
export function validateContainerResources(
  requirements: V1ResourceRequirements,
  claimNames: ReadonlySet<string>,
  path: string,
): FieldError[] {
  return validateRequirements(requirements, validateContainerResourceName, claimNames, path);
}

/** Resources of the pod as a whole; containers must fit into them. */
export function validatePodResources(spec: V1PodSpec, path: string): FieldError[] {
  const requirements = spec.resources;
  if (requirements == null) return [];
  if (spec.os?.name === 'windows') return [forbiddenField(path, 'may not be set for a windows pod')];
  const errors: FieldError[] = [];
  if (requirements.claims != null) errors.push(forbiddenField(`${path}.claims`, 'claims may not be set for Resources at pod-level'));
  errors.push(...validateRequirements(requirements, validatePodResourceName, new Set(), path));
  errors.push(...validateTotal(aggregateRequests(spec), requirements.requests, 'requests', path));
  // Huge pages cannot be promised twice: their limits count in sum, too.
  const hugePages = Object.entries(aggregateLimits(spec)).filter(([name]) => isHugePage(name));
  errors.push(...validateTotal(Object.fromEntries(hugePages), requirements.limits, 'limits', path));
  (spec.containers ?? []).forEach((container, i) => {
    for (const [name, limit] of Object.entries(container.resources?.limits ?? {})) {
      const ofPod = getOwn(requirements.limits, name);
      if (ofPod === undefined || compareQuantities(limit, ofPod) <= 0) continue;
      const detail = `must be less than or equal to pod limits of ${canonicalQuantity(ofPod)}`;
      errors.push(invalid(`${path}.containers[${i}][${name}].limits`, canonicalQuantity(limit), detail));
    }
  });
  return errors;
}

/** What the pod as a whole has of a resource is enough for its containers. */
function validateTotal(total: ResourceList, ofPod: ResourceList | undefined, list: 'limits' | 'requests', path: string): FieldError[] {
  return Object.keys(total)
    .sort()
    .flatMap((name) => {
      const needed = getOwn(total, name) ?? '0';
      const given = getOwn(ofPod, name);
      if (given === undefined || compareQuantities(needed, given) <= 0) return [];
      const detail = `must be greater than or equal to aggregate container ${list} of ${canonicalQuantity(needed)}`;
      return [invalid(`${path}.${list}[${name}]`, canonicalQuantity(given), detail)];
    });
}

/** An amount of a resource: not negative, whole where the resource is counted. */
export function validateResourceAmount(name: string, amount: string, path: string): FieldError[] {
  const errors = isNegative(amount) ? [invalid(path, canonicalQuantity(amount), 'must be greater than or equal to 0')] : [];
  if (isCountable(name) && !isInteger(amount)) errors.push(invalid(path, canonicalQuantity(amount), 'must be an integer'));
  return errors;
}

function validatePodResourceName(name: string, path: string): FieldError[] {
  const errors = validateResourceName(name, path);
  if (errors.length > 0) return errors;
  return name === 'cpu' || name === 'memory' || isHugePage(name) ? [] : [notSupported(path, name, ['cpu', 'memory'])];
}

function validateRequirements(
  requirements: V1ResourceRequirements,
  checkName: NameCheck,
  claimNames: ReadonlySet<string>,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  const limits = requirements.limits ?? {};
  const requests = requirements.requests ?? {};
  errors.push(...validateList(limits, checkName, `${path}.limits`));
  for (const name of Object.keys(requests)) {
    const amount = getOwn(requests, name) ?? '0';
    const at = `${path}.requests[${name}]`;
    errors.push(...checkName(name, at), ...validateResourceAmount(name, amount, at));
    errors.push(...validateAgainstLimit(name, amount, getOwn(limits, name), path));
    errors.push(...validateHugePageAmount(name, amount, at));
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHugePage) && !names.some((name) => name === 'cpu' || name === 'memory')) {
    errors.push(forbiddenField(path, 'HugePages require cpu or memory'));
  }
  errors.push(...validateClaims(requirements, claimNames, `${path}.claims`));
  return errors;
}

function validateList(list: ResourceList, checkName: NameCheck, path: string): FieldError[] {
  return Object.keys(list).flatMap((name) => {
    const amount = getOwn(list, name) ?? '0';
    const at = `${path}[${name}]`;
    return [...checkName(name, at), ...validateResourceAmount(name, amount, at), ...validateHugePageAmount(name, amount, at)];
  });
}

function validateAgainstLimit(name: string, amount: string, limit: string | undefined, path: string): FieldError[] {
  if (limit === undefined) {
    return mayOvercommit(name) ? [] : [required(`${path}.limits`, 'Limit must be set for non overcommitable resources')];
  }
  const order = compareQuantities(amount, limit);
  const refuse = (relation: string): FieldError[] => [
    invalid(`${path}.requests`, canonicalQuantity(amount), `must be ${relation} ${name} limit of ${canonicalQuantity(limit)}`),
  ];
  if (order !== 0 && !mayOvercommit(name)) return refuse('equal to');
  return order > 0 ? refuse('less than or equal to') : [];
}

/** Nothing at all is a multiple, too; that an amount is not negative is checked for every resource. */
function validateHugePageAmount(name: string, amount: string, path: string): FieldError[] {
  if (!isHugePage(name)) return [];
  const size = name.slice('hugepages-'.length);
  const sized = /^\d+([KMGTPE]i|[kMGTPE])?$/.test(size);
  if (sized && isMultiple(amount, size)) return [];
  return [invalid(path, canonicalQuantity(amount), `${canonicalQuantity(amount)} is not positive integer multiple of ${name}`)];
}

function validateClaims(requirements: V1ResourceRequirements, known: ReadonlySet<string>, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const seen = new Set<string>();
  (requirements.claims ?? []).forEach((claim, i) => {
    const at = `${path}[${i}]`;
    const { name = '', request = '' } = claim as Partial<CoreV1ResourceClaim>;
    if (name === '') {
      errors.push(required(at));
      return;
    }
    const key = request === '' ? name : `${name}/${request}`;
    if (seen.has(name)) {
      errors.push(duplicate(at, name));
    } else {
      if (request !== '') errors.push(...invalidEach(`${at}.request`, request, dnsLabelProblems(request)));
      if (seen.has(key)) errors.push(duplicate(at, key));
      else if (request === '' && [...seen].some((other) => other.startsWith(`${name}/`))) errors.push(duplicate(at, name));
      seen.add(key);
    }
    if (known.has(name)) return;
    const names = known.size === 0 ? ' which is empty' : `: ${[...known].sort().join(', ')}`;
    const error = notFoundField(at, name);
    errors.push({ ...error, message: `${error.message}: must be one of the names in pod.spec.resourceClaims${names}` });
  });
  return errors;
}
