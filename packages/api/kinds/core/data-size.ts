/** The size limit that ConfigMaps and Secrets share, and what to tell a user who hits it. Keys are named, values never. */

import { getOwn } from '../../meta/safe-object.ts';
import { byteLength } from '../../validation/names.ts';

/** All values together, decoded. */
export const maxDataBytes = 1024 * 1024;

type StringMap = Readonly<Record<string, string>> | undefined;

/** Bytes per key: text as UTF-8, binary as decoded from base64. */
export function keySizes(text: StringMap, base64: StringMap): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  for (const key of Object.keys(text ?? {})) sizes.set(key, byteLength(getOwn(text, key) ?? ''));
  for (const key of Object.keys(base64 ?? {})) {
    sizes.set(key, (sizes.get(key) ?? 0) + decodedLength(getOwn(base64, key) ?? ''));
  }
  return sizes;
}

export function totalBytes(sizes: ReadonlyMap<string, number>): number {
  let total = 0;
  for (const bytes of sizes.values()) total += bytes;
  return total;
}

/** One text when the limit is exceeded: the size and the largest keys. */
export function sizeWarnings(sizes: ReadonlyMap<string, number>): string[] {
  const total = totalBytes(sizes);
  if (total <= maxDataBytes) return [];
  const largest = [...sizes].sort((a, b) => b[1] - a[1]).slice(0, 3);
  const list = largest.map(([key, bytes]) => `${JSON.stringify(key)} (${bytes} bytes)`).join(', ');
  return [`the data is ${total} bytes, ${total - maxDataBytes} more than the limit of ${maxDataBytes}; largest keys: ${list}`];
}

/** Bytes that a base64 text stands for. */
export function decodedLength(base64: string): number {
  const text = /[\r\n]/.test(base64) ? base64.replaceAll(/[\r\n]/g, '') : base64;
  return Buffer.byteLength(text, 'base64');
}
