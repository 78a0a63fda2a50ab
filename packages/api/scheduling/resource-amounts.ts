/** Amounts of resources as numbers that add and compare quickly: thousandths of a CPU, whole units of everything else. */
import type { V1Pod } from '../generated/types.ts';
import { podRequests } from '../kinds/pod-state.ts';
import { parseQuantity, quantityMilliValue, quantityValue } from '../quantity/quantity.ts';

export type Amounts = ReadonlyMap<string, number>;

export function amountsOf(list: Readonly<Record<string, string>> | undefined): Amounts {
  const amounts = new Map<string, number>();
  for (const [name, text] of Object.entries(list ?? {})) {
    const quantity = parseQuantity(text);
    amounts.set(name, Number(name === 'cpu' ? quantityMilliValue(quantity) : quantityValue(quantity)));
  }
  return amounts;
}

const cache = new WeakMap<object, Amounts>();

/** What a pod needs on its node. Remembered per object, because informer objects do not change. */
export function requestedAmounts(pod: V1Pod): Amounts {
  const known = cache.get(pod);
  if (known !== undefined) return known;
  const amounts = pod.spec === undefined ? new Map<string, number>() : amountsOf(podRequests(pod.spec));
  cache.set(pod, amounts);
  return amounts;
}
