/** IP addresses and CIDR ranges in fields: one canonical reading only, no leading zeros, no IPv4 in IPv6 clothing. */

import { isIP, isIPv4, isIPv6 } from 'node:net';
import type { FieldError } from '../errors/field-error.ts';
import { invalid, quoteGo } from '../errors/field-error.ts';

export function validateIp(value: string, path: string): FieldError[] {
  const problem = ipProblem(value);
  return problem === undefined ? [] : [invalid(path, value, problem)];
}

/** A range is a network: no bits are set beyond the prefix. */
export function validateCidr(value: string, path: string): FieldError[] {
  const range = parseCidr(value);
  if (range === undefined) return [invalid(path, value, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)')];
  if (range.leadingZeros) return [invalid(path, value, 'must not have leading 0s in IP or prefix length')];
  if (isMapped(range.bytes)) return [invalid(path, value, 'must not have an IPv4-mapped IPv6 address')];
  if (range.bytes.some((byte, i) => (byte & hostMask(i, range.bits)) !== 0)) {
    return [invalid(path, value, 'must not have bits set beyond the prefix length')];
  }
  return [];
}

/** The family of a range; undefined when it is none. */
export function cidrFamily(value: string): 'IPv4' | 'IPv6' | undefined {
  const range = parseCidr(value);
  if (range === undefined) return undefined;
  return range.bytes.length === 4 ? 'IPv4' : 'IPv6';
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
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...zeros, ...right].flatMap((group) => {
    const number = Number.parseInt(group, 16);
    return [number >> 8, number & 0xff];
  });
}

function ipProblem(value: string): string | undefined {
  if (isIP(value) !== 0 && !value.includes('%')) {
    return isMapped(ipBytes(value) ?? []) ? 'must not be an IPv4-mapped IPv6 address' : undefined;
  }
  if (isIPv4(withoutLeadingZeros(value))) return 'must not have leading 0s';
  return 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
}

/** The one way to write an address (RFC 5952); an IPv4 address in IPv6 clothing is written as IPv4. */
export function formatIp(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  if (isMapped(bytes)) return bytes.slice(12).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    const run = groups.slice(i).findIndex((group) => group !== 0);
    const zeros = run < 0 ? 8 - i : run;
    if (zeros > length) [start, length] = [i, zeros];
  }
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  return start < 0 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** Advice about an accepted address that could be written better. */
export function ipWarnings(value: string, path: string): string[] {
  const bytes = ipBytes(value);
  if (bytes === undefined || bytes.length === 4 || formatIp(bytes) === value) return [];
  return [`${path}: IPv6 address ${quoteGo(value)} should be in RFC 5952 canonical format (${quoteGo(formatIp(bytes))})`];
}

/** As `ipWarnings`, for a range. */
export function cidrWarnings(value: string, path: string): string[] {
  const range = parseCidr(value);
  if (range === undefined || range.bytes.length === 4) return [];
  const canonical = `${formatIp(range.bytes)}/${range.bits}`;
  if (canonical === value) return [];
  return [`${path}: IPv6 CIDR value ${quoteGo(value)} should be in RFC 5952 canonical format (${quoteGo(canonical)})`];
}

interface Range {
  readonly bytes: readonly number[];
  readonly bits: number;
  readonly leadingZeros: boolean;
}

function parseCidr(value: string): Range | undefined {
  const [address = '', bits = '', ...rest] = value.split('/');
  const plain = withoutLeadingZeros(address);
  const bytes = ipBytes(address) ?? (isIPv4(plain) ? ipBytes(plain) : undefined);
  if (rest.length > 0 || bytes === undefined || !/^\d+$/.test(bits) || Number(bits) > bytes.length * 8) return undefined;
  return { bytes, bits: Number(bits), leadingZeros: ipBytes(address) === undefined || /^0\d/.test(bits) };
}

/** The bits of one byte that are beyond the prefix. */
function hostMask(byteIndex: number, bits: number): number {
  return 0xff >> Math.min(8, Math.max(0, bits - byteIndex * 8));
}

function isMapped(bytes: readonly number[]): boolean {
  return bytes.length === 16 && bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

function withoutLeadingZeros(address: string): string {
  return address
    .split('.')
    .map((part) => part.replace(/^0+(?=\d)/, ''))
    .join('.');
}

function asGroups(ipv4: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = ipv4.split('.').map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}
