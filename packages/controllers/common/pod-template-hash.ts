/** The hash in `pod-template-hash`: FNV-1a over the template, in the alphabet of generated names. Stable across restarts and key order. */
import type { V1PodTemplateSpec } from '@coffer/api/generated/types';
import { isRecord } from '@coffer/api/meta/safe-object';

const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** Of a template, made different by the collision count when there is one. */
export function podTemplateHash(template: V1PodTemplateSpec, collisionCount: number | undefined): string {
  const text = canonicalText(template) + (collisionCount === undefined ? '' : `#${collisionCount}`);
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash ^= byte;
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return Array.from(String(hash), (char) => ALPHABET[char.charCodeAt(0) % ALPHABET.length]).join('');
}

function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (!isRecord(value)) return JSON.stringify(value) ?? 'null';
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalText(value[key])}`).join(',')}}`;
}
