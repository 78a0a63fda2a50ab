import type { V1Container, V1LimitRangeItem, V1Pod, V1PodSpec } from '@coffer/api/generated/types';
import { itemsOf } from '@coffer/api/kinds/core/limit-range';
import { aggregateLimits, aggregateRequests } from '@coffer/api/kinds/pod-state';
import type { KubeObject, Mutable } from '@coffer/api/meta/object';
import { getOwn, setOwn } from '@coffer/api/meta/safe-object';
import { parseQuantity, quantityMilliValue } from '@coffer/api/quantity/quantity';
import { canonicalQuantity, compareQuantities } from '@coffer/api/validation/quantities';
import type { ResourceStore } from '@coffer/storage/store/store';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';

type Amounts = Readonly<Record<string, string>>;
type Container = Mutable<V1Container> & { resources?: { requests?: Amounts; limits?: Amounts } };

const annotation = 'kubernetes.io/limit-ranger';

/**
 * Containers of new pods get the usual amounts of the namespace's LimitRanges where they say nothing, and pods that ask for less than the
 * least or may use more than the most are refused. Resizes are held to the same limits.
 */
export function limitRanger(limitRanges: ResourceStore): AdmissionPlugin {
  return {
    name: 'LimitRanger',
    admit(attributes) {
      const pod = limitedPod(attributes);
      return pod === undefined || limitRanges.count() === 0 ? undefined : fillInAll(limitRanges, attributes.namespace, pod);
    },
    validate(attributes) {
      const pod = limitedPod(attributes);
      return pod === undefined || limitRanges.count() === 0 ? undefined : checkAll(limitRanges, attributes, pod);
    },
  };
}

/** The pod of a create or a resize; undefined for everything else. */
function limitedPod({ operation, resource, subresource, object, oldObject }: AdmissionAttributes): V1Pod | undefined {
  if (resource.group !== '' || resource.resource !== 'pods' || object === undefined) return undefined;
  const isResize = operation === 'UPDATE' && subresource === 'resize' && oldObject?.metadata.deletionTimestamp === undefined;
  return isResize || (operation === 'CREATE' && subresource === '') ? (object as unknown as V1Pod) : undefined;
}

async function fillInAll(store: ResourceStore, namespace: string, pod: V1Pod): Promise<void> {
  for (const range of await rangesOf(store, namespace)) fillIn(pod, itemsOf(range));
}

async function checkAll(store: ResourceStore, attributes: AdmissionAttributes, pod: V1Pod): Promise<void> {
  for (const range of await rangesOf(store, attributes.namespace)) {
    const problems = [...new Set(itemsOf(range).flatMap((item) => problemsOf(pod.spec ?? { containers: [] }, item)))];
    if (problems.length === 1) throw admissionForbidden(attributes, problems[0] ?? '');
    if (problems.length > 1) throw admissionForbidden(attributes, `[${problems.join(', ')}]`);
  }
}

async function rangesOf(store: ResourceStore, namespace: string): Promise<readonly KubeObject[]> {
  const { items } = await store.list({ namespace });
  return items.map((item) => item.peek());
}

function fillIn(pod: V1Pod, items: readonly V1LimitRangeItem[]): void {
  const usual = { limits: {} as Record<string, string>, requests: {} as Record<string, string> };
  for (const item of items.filter(({ type }) => type === 'Container')) {
    for (const [name, amount] of Object.entries(item.default ?? {})) setOwn(usual.limits, name, amount);
    for (const [name, amount] of Object.entries(item.defaultRequest ?? {})) setOwn(usual.requests, name, amount);
  }
  const texts = [
    ...(pod.spec?.containers ?? []).flatMap((container) => fillInContainer(container, usual, 'container')),
    ...(pod.spec?.initContainers ?? []).flatMap((container) => fillInContainer(container, usual, 'init container')),
  ];
  if (texts.length === 0) return;
  const metadata = pod.metadata as Mutable<NonNullable<V1Pod['metadata']>>;
  metadata.annotations = { ...metadata.annotations, [annotation]: `LimitRanger plugin set: ${texts.join('; ')}` };
}

/** Says what was filled in. */
function fillInContainer(container: Container, usual: { readonly limits: Amounts; readonly requests: Amounts }, what: string): string[] {
  const texts: string[] = [];
  for (const [field, word] of [
    ['requests', 'request'],
    ['limits', 'limit'],
  ] as const) {
    const given = container.resources?.[field] ?? {};
    const missing = Object.keys(usual[field]).filter((name) => !Object.hasOwn(given, name));
    if (missing.length === 0) continue;
    const filled = { ...given };
    for (const name of missing) setOwn(filled, name, getOwn(usual[field], name) ?? '0');
    container.resources = { ...container.resources, [field]: filled };
    texts.push(`${missing.sort().join(', ')} ${word} for ${what} ${container.name}`);
  }
  return texts;
}

function problemsOf(spec: V1PodSpec, item: V1LimitRangeItem): string[] {
  if (item.type === 'Container') {
    return [...(spec.containers ?? []), ...(spec.initContainers ?? [])].flatMap(({ resources }) =>
      compare(item, resources?.requests ?? {}, resources?.limits ?? {}),
    );
  }
  if (item.type !== 'Pod') return [];
  const requests = { ...aggregateRequests(spec), ...spec.resources?.requests };
  const limits = { ...aggregateLimits(spec), ...spec.resources?.limits };
  return compare(item, requests, limits);
}

function compare({ type, min, max, maxLimitRequestRatio }: V1LimitRangeItem, requests: Amounts, limits: Amounts): string[] {
  const each = (list: Amounts | undefined, check: (name: string, bound: string) => string | undefined): string[] =>
    Object.keys(list ?? {}).flatMap((name) => check(name, getOwn(list, name) ?? '0') ?? []);
  return [
    ...each(min, (name, least) =>
      belowMinimum(`minimum ${name} usage per ${type} is`, least, getOwn(requests, name), getOwn(limits, name)),
    ),
    ...each(max, (name, most) => aboveMaximum(`maximum ${name} usage per ${type} is`, most, getOwn(requests, name), getOwn(limits, name))),
    ...each(maxLimitRequestRatio, (name, ratio) =>
      aboveRatio(`${name} max limit to request ratio per ${type} is`, ratio, getOwn(requests, name), getOwn(limits, name)),
    ),
  ];
}

function belowMinimum(rule: string, least: string, request: string | undefined, limit: string | undefined): string | undefined {
  const start = `${rule} ${canonicalQuantity(least)}`;
  if (request === undefined) return `${start}.  No request is specified`;
  if (compareQuantities(request, least) < 0) return `${start}, but request is ${canonicalQuantity(request)}`;
  return limit !== undefined && compareQuantities(limit, least) < 0 ? `${start}, but limit is ${canonicalQuantity(limit)}` : undefined;
}

function aboveMaximum(rule: string, most: string, request: string | undefined, limit: string | undefined): string | undefined {
  const start = `${rule} ${canonicalQuantity(most)}`;
  if (limit === undefined) return `${start}.  No limit is specified`;
  if (compareQuantities(limit, most) > 0) return `${start}, but limit is ${canonicalQuantity(limit)}`;
  return request !== undefined && compareQuantities(request, most) > 0
    ? `${start}, but request is ${canonicalQuantity(request)}`
    : undefined;
}

function aboveRatio(rule: string, ratio: string, request: string | undefined, limit: string | undefined): string | undefined {
  const milli = (amount: string) => Number(quantityMilliValue(parseQuantity(amount)));
  const start = `${rule} ${canonicalQuantity(ratio)}`;
  if (request === undefined || milli(request) === 0) return `${start}, but no request is specified or request is 0`;
  if (limit === undefined || milli(limit) === 0) return `${start}, but no limit is specified or limit is 0`;
  const observed = milli(limit) / milli(request);
  return observed * 1000 > milli(ratio) ? `${start}, but provided ratio is ${observed.toFixed(6)}` : undefined;
}
