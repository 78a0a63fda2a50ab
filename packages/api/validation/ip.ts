/** IP addresses and CIDR ranges in fields: one canonical reading only, no leading zeros, no IPv4 in IPv6 clothing. */

import { isIP, isIPv4, isIPv6 } from 'node:net';
import type { FieldError } from '../errors/field-error.ts';
import { invalid } from '../errors/field-error.ts';

export function validateIp(value: string, path: string): FieldError[] {
  const problem = ipProblem(value);
  return problem === undefined ? [] : [invalid(path, value, problem)];
}

export function validateCidr(value: string, path: string): FieldError[] {
  const [address = '', bits = '', ...rest] = value.split('/');
  const limit = isIPv4(address) ? 32 : isIPv6(address) && !address.includes('%') ? 128 : -1;
  if (rest.length === 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= limit) return [];
  return [invalid(path, value, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)')];
}

/** Addresses that make no sense as an endpoint: unspecified, loopback, link-local. */
export function validateNonSpecialIp(value: string, path: string): FieldError[] {
  const bytes = ipBytes(value);
  if (bytes === undefined) return [invalid(path, value, 'must be a valid IP address')];
  const errors: FieldError[] = [];
  if (bytes.every((byte) => byte === 0)) errors.push(invalid(path, value, `may not be unspecified (${value})`));
  const [a = 0, b = 0, c = 0] = bytes;
  const v4 = bytes.length === 4;
  const loopback = v4 ? a === 127 : bytes.slice(0, 15).every((byte) => byte === 0) && bytes[15] === 1;
  if (loopback) errors.push(invalid(path, value, 'may not be in the loopback range (127.0.0.0/8, ::1/128)'));
  const linkLocal = v4 ? a === 169 && b === 254 : a === 0xfe && (b & 0xc0) === 0x80;
  if (linkLocal) errors.push(invalid(path, value, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'));
  const multicast = v4 ? a === 224 && b === 0 && c === 0 : a === 0xff && (b & 0x0f) === 0x02;
  if (multicast) errors.push(invalid(path, value, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'));
  return errors;
}

/** At most one address of each family. */
export function isDualStack(addresses: readonly string[]): boolean {
  return addresses.some((address) => isIPv4(address)) && addresses.some((address) => isIPv6(address));
}

/** The bytes of an address: 4 or 16; undefined when it is none. */
export function ipBytes(value: string): readonly number[] | undefined {
  if (isIPv4(value)) return value.split('.').map(Number);
  if (!isIPv6(value) || value.includes('%')) return undefined;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(value);
  const text = dotted === null ? value : `${dotted[1]}${asGroups(dotted[2] ?? '')}`;
  const [head = '', tail] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill('0');
  return [...left, ...zeros, ...right].flatMap((group) => {
    const number = Number.parseInt(group, 16);
    return [number >> 8, number & 0xff];
  });
}

function ipProblem(value: string): string | undefined {
  if (isIP(value) !== 0 && !value.includes('%')) {
    const bytes = ipBytes(value) ?? [];
    const mapped = bytes.length === 16 && bytes.slice(0, 10).every((b) => b === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
    return mapped ? 'must not be an IPv4-mapped IPv6 address' : undefined;
  }
  const withoutZeros = value
    .split('.')
    .map((part) => part.replace(/^0+(?=\d)/, ''))
    .join('.');
  if (isIPv4(withoutZeros)) return 'must not have leading 0s';
  return 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
}

function asGroups(ipv4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split('.').map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}
