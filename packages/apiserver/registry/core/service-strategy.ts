import { type FieldError, invalid } from '@coffer/api/errors/field-error';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { ResourceStore } from '@coffer/storage/store/store';
import { keepStatus } from '../generic/generation.ts';
import type { Strategy } from '../generic/strategy.ts';

/** Where cluster IPs come from: an IPv4 network, e.g. 10.96.0.0/16. The first address belongs to the `kubernetes` service. */
export interface ServiceNetwork {
  readonly baseAddress: number;
  readonly size: number;
}

export function parseServiceNetwork(cidr: string): ServiceNetwork {
  const match = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)$/.exec(cidr);
  const [a, b, c, d, bits] = (match?.slice(1) ?? []).map(Number);
  if (a === undefined || b === undefined || c === undefined || d === undefined || bits === undefined || bits < 8 || bits > 30) {
    throw new Error(`${cidr} is not an IPv4 network for services: it must be like 10.96.0.0/16, with 8 to 30 bits`);
  }
  const size = 2 ** (32 - bits);
  const address = a * 2 ** 24 + b * 2 ** 16 + c * 2 ** 8 + d;
  return { baseAddress: address - (address % size), size };
}

/** As kube-apiserver installations usually choose it. */
export const defaultServiceNetwork: ServiceNetwork = parseServiceNetwork('10.96.0.0/16');

/** Services of the types that have a cluster IP get one of their own; it never changes afterwards. */
export function serviceStrategy(services: ResourceStore, network: ServiceNetwork = defaultServiceNetwork): Strategy {
  return {
    allowCreateOnUpdate: true,
    returnDeletedObject: true,
    prepareForCreate(object) {
      object.status = { loadBalancer: {} };
    },
    prepareForUpdate(object, old) {
      keepStatus(object, old);
      keepClusterIps(object, old);
    },
    allocate: (object, old) => allocateClusterIp(network, services, object, old),
  };
}

/** A client that leaves the addresses out means: as they are. */
function keepClusterIps(object: KubeObject, old: KubeObject): void {
  const spec = specOf(object);
  const oldSpec = specOf(old);
  if (spec.type === 'ExternalName' || oldSpec.type === 'ExternalName') return;
  for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy']) {
    if (spec[field] === undefined || spec[field] === '') spec[field] = oldSpec[field];
  }
}

function allocateClusterIp(
  network: ServiceNetwork,
  services: ResourceStore,
  object: KubeObject,
  old: KubeObject | undefined,
): FieldError[] {
  const spec = specOf(object);
  if (spec.type === 'ExternalName') {
    for (const field of ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy', 'internalTrafficPolicy']) delete spec[field];
    return [];
  }
  spec.ipFamilies ??= ['IPv4'];
  spec.ipFamilyPolicy ??= 'SingleStack';
  const wanted = typeof spec.clusterIP === 'string' ? spec.clusterIP : '';
  if (wanted === 'None') {
    spec.clusterIPs = ['None'];
    return [];
  }
  const oldIp = old === undefined ? '' : specOf(old).clusterIP;
  if (wanted !== '' && wanted === oldIp) return [];
  const taken = takenAddresses(services);
  if (wanted !== '') {
    const address = parseAddress(wanted);
    const inside = address !== undefined && address > network.baseAddress && address < network.baseAddress + network.size - 1;
    if (!inside) {
      return [
        invalid('spec.clusterIPs', [wanted], `failed to allocate IP ${wanted}: the provided IP (${wanted}) is not in the valid range`),
      ];
    }
    if (taken.has(wanted))
      return [invalid('spec.clusterIPs', [wanted], `failed to allocate IP ${wanted}: provided IP is already allocated`)];
    spec.clusterIPs = [wanted];
    return [];
  }
  const address = pickAddress(network, taken);
  if (address === undefined) return [invalid('spec.clusterIPs', [], 'failed to allocate a serviceIP: range is full')];
  spec.clusterIP = address;
  spec.clusterIPs = [address];
  return [];
}

function takenAddresses(services: ResourceStore): ReadonlySet<string> {
  const taken = new Set<string>();
  const list = services.list({});
  if (list instanceof Promise) throw new Error('the services are not in the watch cache');
  for (const stored of list.items) {
    const { clusterIPs } = specOf(stored.peek());
    if (Array.isArray(clusterIPs)) for (const ip of clusterIPs) taken.add(String(ip));
  }
  return taken;
}

/** A random free address; the lower end is left to users who choose their own. */
function pickAddress(network: ServiceNetwork, taken: ReadonlySet<string>): string | undefined {
  const usable = network.size - 2;
  const start = Math.floor(Math.random() * usable);
  for (let i = 0; i < usable; i++) {
    const offset = 1 + ((start + i) % usable);
    const address = formatAddress(network.baseAddress + offset);
    if (offset > 1 && !taken.has(address)) return address;
  }
  return undefined;
}

function parseAddress(text: string): number | undefined {
  const parts = text.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) return undefined;
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

function specOf(service: KubeObject): Record<string, unknown> {
  return isRecord(service.spec) ? service.spec : {};
}
