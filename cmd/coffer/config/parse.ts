import { isIP } from 'node:net';
import { InvalidArgumentError } from 'commander';

/** Parsers of flag values; what they refuse, commander prints with the flag's name. */

const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Go's durations (`300ms`, `1m30s`, `1h`) in milliseconds. */
export function parseDurationMs(text: string): number {
  if (text === '0') return 0;
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) throw new InvalidArgumentError('expected a duration such as 90s, 5m or 1h30m');
  let total = 0;
  for (const [, amount, , unit] of text.matchAll(/(\d+(\.\d+)?)(ms|s|m|h|d)/g)) total += Number(amount) * (unitsMs[unit ?? ''] ?? 0);
  return total;
}

/** Whole number from `min` to `max`. */
export function parseInteger(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}`);
    return value;
  };
}

const byteUnits: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9, Ki: 1024, Mi: 1024 ** 2, Gi: 1024 ** 3 };

/** Bytes, with the suffixes K, M, G, Ki, Mi, Gi. */
export function parseBytes(text: string): number {
  const match = /^(\d+)(K|M|G|Ki|Mi|Gi)?$/.exec(text);
  if (!match) throw new InvalidArgumentError('expected a number of bytes such as 1048576 or 256Mi');
  return Number(match[1]) * (byteUnits[match[2] ?? ''] ?? 1);
}

/** `true` or `false`, as kube-apiserver's boolean flags take them (`--flag` alone means true). */
export function parseBoolean(text: string): boolean {
  if (text === 'true') return true;
  if (text === 'false') return false;
  throw new InvalidArgumentError('expected true or false');
}

/** An IPv4 or IPv6 address, no name. */
export function parseIpAddress(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError('expected an IP address');
  return text;
}

/** Comma-separated list without empty items. */
export function parseList(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
