/** LimitRange: the least, the most and the usual amounts of resources of containers, pods and claims in a namespace. */

import type { FieldError } from '../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, required } from '../../errors/field-error.ts';
import type { V1LimitRange, V1LimitRangeItem } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { getOwn, setOwn } from '../../meta/safe-object.ts';
import { parseQuantity, quantityMilliValue, quantityValue } from '../../quantity/quantity.ts';
import { qualifiedNameProblems } from '../../validation/names.ts';
import { invalidEach } from '../../validation/object-meta.ts';
import { canonicalQuantity, compareQuantities } from '../../validation/quantities.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { createdTable } from '../table-columns.ts';
import { type Draft, roundList } from './pod/pod-defaults.ts';
import { mayOvercommit, validateContainerResourceName, validateResourceName } from './pod/resource-names.ts';

type ResourceList = Readonly<Record<string, string>>;

const types = ['Pod', 'Container', 'PersistentVolumeClaim'];
/** Amounts from here on are compared in whole units: thousandths of them would not fit an int64. */
const maxMilliUnits = (2n ** 63n - 1n) / 1000n;

export const limitRange = defineKind('', 'limitranges', {
  schema: 'io.k8s.api.core.v1.LimitRange',
  nameSyntax: 'dns-subdomain',
  applyDefaults(object) {
    for (const item of itemsOf(object)) applyItemDefaults(item as Draft<V1LimitRangeItem>);
  },
  validate,
  updateOrder: ['meta', 'object'],
  table: createdTable,
});

/** The limits of a LimitRange; none of an object that is not decoded yet. */
export function itemsOf(object: KubeObject): readonly V1LimitRangeItem[] {
  return viewAs<V1LimitRange>(object).spec?.limits ?? [];
}

/** What a container gets where it says nothing: the most as its limit, its limit or else the least as its request. */
function applyItemDefaults(item: Draft<V1LimitRangeItem>): void {
  if (item.type === 'Container') {
    const limits = withMissing(item.default ?? {}, item.max);
    const requests = withMissing(withMissing(item.defaultRequest ?? {}, limits), item.min);
    if (Object.keys(limits).length > 0) item.default = limits;
    if (Object.keys(requests).length > 0) item.defaultRequest = requests;
  }
  for (const list of [item.max, item.min, item.default, item.defaultRequest, item.maxLimitRequestRatio]) roundList(list);
}

function withMissing(list: Record<string, string>, others: ResourceList | undefined): Record<string, string> {
  for (const name of Object.keys(others ?? {})) {
    if (!Object.hasOwn(list, name)) setOwn(list, name, getOwn(others, name) ?? '0');
  }
  return list;
}

function validate(object: KubeObject): FieldError[] {
  const seen = new Set<string>();
  return itemsOf(object).flatMap((item, i) => {
    const path = `spec.limits[${i}]`;
    const type = item.type ?? '';
    const errors = validateType(type, `${path}.type`);
    if (seen.has(type)) errors.push(duplicate(`${path}.type`, type));
    seen.add(type);
    return [...errors, ...validateNames(item, path), ...validateAmounts(item, path)];
  });
}

function validateType(type: string, path: string): FieldError[] {
  const problems = qualifiedNameProblems(type);
  if (problems.length > 0) return invalidEach(path, type, problems);
  if (type.includes('/') || types.includes(type)) return [];
  return [invalid(path, type, 'must be a standard limit type or fully qualified')];
}

function validateNames(item: V1LimitRangeItem, path: string): FieldError[] {
  const forContainers = item.type === 'Pod' || item.type === 'Container';
  const check = forContainers ? validateContainerResourceName : validateResourceName;
  const namesOf = (field: 'max' | 'min' | 'default' | 'defaultRequest' | 'maxLimitRequestRatio'): FieldError[] =>
    Object.keys(item[field] ?? {}).flatMap((name) => check(name, `${path}.${field}[${name}]`));
  const errors = [...namesOf('max'), ...namesOf('min')];
  for (const field of ['default', 'defaultRequest'] as const) {
    if (item.type !== 'Pod') errors.push(...namesOf(field));
    else if (Object.keys(item[field] ?? {}).length > 0) {
      errors.push(forbiddenField(`${path}.${field}`, "may not be specified when `type` is 'Pod'"));
    }
  }
  if (item.type === 'PersistentVolumeClaim' && getOwn(item.min, 'storage') === undefined && getOwn(item.max, 'storage') === undefined) {
    errors.push(required(`${path}.limits`, 'either minimum or maximum storage value is required, but neither was provided'));
  }
  return [...errors, ...namesOf('maxLimitRequestRatio')];
}

/** Least ≤ usual request ≤ usual limit ≤ most, for each resource, and a ratio that these leave room for. */
function validateAmounts(item: V1LimitRangeItem, path: string): FieldError[] {
  const usual = item.type === 'Pod' ? {} : { limits: item.default, requests: item.defaultRequest };
  const lists = [item.max, item.min, usual.limits, usual.requests, item.maxLimitRequestRatio];
  const names = new Set(lists.flatMap((list) => Object.keys(list ?? {})));
  return [...names].sort().flatMap((name) => {
    const [max, min, limit, request, ratio] = lists.map((list) => getOwn(list, name));
    const errors: FieldError[] = [];
    const ordered = (
      low: string | undefined,
      high: string | undefined,
      field: string,
      shown: string | undefined,
      words: [string, string],
    ) => {
      if (low === undefined || high === undefined || shown === undefined || compareQuantities(low, high) <= 0) return;
      const detail = `${words[0]} ${canonicalQuantity(low)} is greater than ${words[1]} ${canonicalQuantity(high)}`;
      errors.push(invalid(`${path}.${field}[${name}]`, canonicalQuantity(shown), detail));
    };
    ordered(min, max, 'min', min, ['min value', 'max value']);
    ordered(min, request, 'defaultRequest', request, ['min value', 'default request value']);
    ordered(request, max, 'defaultRequest', request, ['default request value', 'max value']);
    ordered(request, limit, 'defaultRequest', request, ['default request value', 'default limit value']);
    ordered(min, limit, 'default', min, ['min value', 'default value']);
    ordered(limit, max, 'default', max, ['default value', 'max value']);
    if (ratio !== undefined) errors.push(...validateRatio(ratio, min, max, `${path}.maxLimitRequestRatio[${name}]`));
    if (!mayOvercommit(name) && limit !== undefined && request !== undefined && compareQuantities(limit, request) !== 0) {
      const values = [canonicalQuantity(limit), canonicalQuantity(request)] as const;
      const detail = `default value ${values[0]} must equal to defaultRequest value ${values[1]} in ${name}`;
      errors.push(invalid(`${path}.defaultRequest[${name}]`, values[1], detail));
    }
    return errors;
  });
}

function validateRatio(ratio: string, min: string | undefined, max: string | undefined, path: string): FieldError[] {
  const text = canonicalQuantity(ratio);
  const errors: FieldError[] = [];
  if (compareQuantities(ratio, '1') < 0) errors.push(invalid(path, text, `ratio ${text} is less than 1`));
  if (min === undefined || max === undefined) return errors;
  const amounts = [ratio, min, max].map(parseQuantity);
  const fine = amounts.every((amount) => quantityValue(amount) < maxMilliUnits);
  const [most, least, highest] = amounts.map((amount) => Number(fine ? quantityMilliValue(amount) : quantityValue(amount))) as [
    number,
    number,
    number,
  ];
  const possible = highest / least;
  if ((fine ? most / 1000 : most) > possible) {
    errors.push(invalid(path, text, `ratio ${text} is greater than max/min = ${possible.toFixed(6)}`));
  }
  return errors;
}
