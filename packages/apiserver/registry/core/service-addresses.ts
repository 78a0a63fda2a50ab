import { type FieldError, invalid } from '@coffer/api/errors/field-error';
import type { V1ServiceSpec } from '@coffer/api/generated/types';
import { isHeadless } from '@coffer/api/kinds/core/service-validation';
import type { Mutable } from '@coffer/api/meta/object';

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

/**
 * Gives a service its families and its address, in place; refuses what this cluster does not have. `taken` lists the addresses of all
 * services, `before` is the spec that is replaced.
 */
export function assignAddress(
  spec: Mutable<V1ServiceSpec>,
  before: V1ServiceSpec | undefined,
  network: ServiceNetwork,
  taken: () => ReadonlySet<string>,
): FieldError[] {
  if (spec.type === 'ExternalName') return [];
  const errors = assignFamilies(spec);
  if (errors.length > 0 || isHeadless(spec)) return errors;
  const wanted = spec.clusterIP ?? '';
  if (wanted !== '' && wanted === before?.clusterIP) return [];
  const used = taken();
  if (wanted !== '') {
    const problem = addressProblem(wanted, network, used);
    return problem === undefined
      ? []
      : [invalid('spec.clusterIPs', spec.clusterIPs ?? [wanted], `failed to allocate IP ${wanted}: ${problem}`)];
  }
  const address = pickAddress(network, used);
  if (address === undefined) return [invalid('spec.clusterIPs', null, 'failed to allocate a serviceIP: range is full')];
  spec.clusterIP = address;
  spec.clusterIPs = [address];
  return [];
}

/** Services have IPv4 addresses here. Without selector and address whoever writes the endpoints decides, so both families are open. */
function assignFamilies(spec: Mutable<V1ServiceSpec>): FieldError[] {
  const families = spec.ipFamilies ?? [];
  if (isHeadless(spec) && Object.keys(spec.selector ?? {}).length === 0) {
    spec.ipFamilyPolicy ??= 'RequireDualStack';
    const first = families[0] ?? 'IPv4';
    const both = families.length > 1 || spec.ipFamilyPolicy !== 'SingleStack';
    spec.ipFamilies = both ? [first, first === 'IPv4' ? 'IPv6' : 'IPv4'] : [first];
    return [];
  }
  const errors = families.flatMap((family, i) =>
    family === 'IPv4' ? [] : [invalid(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster')],
  );
  if (spec.ipFamilyPolicy === 'RequireDualStack') {
    errors.push(invalid('spec.ipFamilyPolicy', spec.ipFamilyPolicy, 'this cluster is not configured for dual-stack services'));
  }
  spec.ipFamilyPolicy ??= 'SingleStack';
  if (families.length === 0) spec.ipFamilies = ['IPv4'];
  return errors;
}

function addressProblem(wanted: string, network: ServiceNetwork, taken: ReadonlySet<string>): string | undefined {
  const address = parseAddress(wanted);
  const inside = address !== undefined && address > network.baseAddress && address < network.baseAddress + network.size - 1;
  if (!inside) {
    const range = `${formatAddress(network.baseAddress)}/${32 - Math.log2(network.size)}`;
    return `the provided IP (${wanted}) is not in the valid range. The range of valid IPs is ${range}`;
  }
  return taken.has(wanted) ? 'provided IP is already allocated' : undefined;
}

/** A random free address. The first one is left to the `kubernetes` service. */
function pickAddress(network: ServiceNetwork, taken: ReadonlySet<string>): string | undefined {
  const usable = network.size - 3;
  const start = Math.floor(Math.random() * usable);
  for (let i = 0; i < usable; i++) {
    const address = formatAddress(network.baseAddress + 2 + ((start + i) % usable));
    if (!taken.has(address)) return address;
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
