/**
 * The form in which Kubernetes keeps the subsets of Endpoints: ports that the very same addresses offer, equally ready, come together in one
 * subset. Addresses are in order of their text, ports in an order that means nothing but is always the same (a hash of what Go prints of
 * each), so that a client which compares sees no difference.
 */
import { createHash } from 'node:crypto';
import type { CoreV1EndpointPort, V1EndpointAddress, V1EndpointSubset } from '@coffer/api/generated/types';

/** Addresses are told apart by address and target. One that is ready and not ready for a port is not. */
export function repackSubsets(subsets: readonly V1EndpointSubset[]): V1EndpointSubset[] {
  const addresses = new Map<string, V1EndpointAddress>();
  const offers = new Map<string, Offer>();
  for (const { addresses: ready = [], notReadyAddresses: notReady = [], ports = [] } of subsets) {
    for (const port of ports.length === 0 ? [undefined] : ports) {
      const key = JSON.stringify(port === undefined ? [] : [port.name, port.port, port.protocol, port.appProtocol]);
      const offer = offers.get(key) ?? { port, readyByAddress: new Map<string, boolean>() };
      offers.set(key, offer);
      for (const address of ready) add(addresses, offer, address, true);
      for (const address of notReady) add(addresses, offer, address, false);
    }
  }
  const groups = new Map<string, Offer[]>();
  for (const offer of offers.values()) {
    const key = JSON.stringify([...offer.readyByAddress].toSorted(([a], [b]) => compare(a, b)));
    groups.set(key, [...(groups.get(key) ?? []), offer]);
  }
  return [...groups.values()].map((group) => subsetOf(group, addresses)).toSorted(subsetOrder);
}

interface Offer {
  readonly port: CoreV1EndpointPort | undefined;
  readonly readyByAddress: Map<string, boolean>;
}

function add(addresses: Map<string, V1EndpointAddress>, { readyByAddress }: Offer, address: V1EndpointAddress, ready: boolean): void {
  const key = `${address.ip}\n${address.targetRef?.uid ?? ''}`;
  if (!addresses.has(key)) addresses.set(key, address);
  if (readyByAddress.get(key) !== false) readyByAddress.set(key, ready);
}

function subsetOf(group: readonly Offer[], all: ReadonlyMap<string, V1EndpointAddress>): V1EndpointSubset {
  const states = [...(group[0]?.readyByAddress ?? [])].toSorted(([a], [b]) => compare(a, b));
  const pick = (wanted: boolean) => states.flatMap(([key, ready]) => (ready === wanted ? (all.get(key) ?? []) : []));
  const [ready, notReady] = [pick(true), pick(false)];
  const ports = group.flatMap(({ port }) => port ?? []).toSorted(portOrder);
  return {
    ...(ready.length === 0 ? {} : { addresses: ready }),
    ...(notReady.length === 0 ? {} : { notReadyAddresses: notReady }),
    ...(ports.length === 0 ? {} : { ports }),
  };
}

function subsetOrder({ ports: [a] = [] }: V1EndpointSubset, { ports: [b] = [] }: V1EndpointSubset): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return portOrder(a, b);
}

function portOrder(a: CoreV1EndpointPort, b: CoreV1EndpointPort): number {
  return Buffer.compare(hashOf(a), hashOf(b));
}

function hashOf({ name = '', port, protocol = 'TCP', appProtocol = '<nil>' }: CoreV1EndpointPort): Buffer {
  const printed =
    `(v1.EndpointPort){Name:(string)${name} Port:(int32)${port} Protocol:(v1.Protocol)${protocol} ` +
    `AppProtocol:(*string)${appProtocol}}`;
  return createHash('md5').update(printed).digest();
}

function compare(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}
