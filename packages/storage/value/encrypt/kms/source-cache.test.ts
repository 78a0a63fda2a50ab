import { describe, expect, it } from 'vitest';
import type { Cipher } from '../ciphers.ts';
import { SourceCache } from './source-cache.ts';

const cipher: Cipher = { encrypt: () => Buffer.alloc(0), decrypt: () => Buffer.alloc(0) };
const zero = Buffer.alloc(4);

function filled(limit: number, ...ids: string[]) {
  const sizes: number[] = [];
  const cache = new SourceCache(limit, (size) => sizes.push(size));
  const keys = new Map(ids.map((id) => [id, Buffer.from(`k-${id}.`)]));
  for (const [id, key] of keys) cache.add(id, key, cipher);
  return { cache, sizes, dropped: () => [...keys].filter(([, key]) => key.equals(zero)).map(([id]) => id) };
}

describe('SourceCache', () => {
  it('drops and overwrites the key that was used longest ago', () => {
    const { cache, sizes, dropped } = filled(2, 'a', 'b');
    expect(cache.get('a')).toBe(cipher);
    cache.add('c', Buffer.from('cccc'), cipher);
    expect(dropped()).toEqual(['b']);
    expect([cache.get('a'), cache.get('b')]).toEqual([cipher, undefined]);
    expect(sizes).toEqual([1, 2, 2]);
  });

  it('keeps the key that is used for writing', () => {
    const { cache, dropped } = filled(2, 'a', 'b');
    cache.writeWith('a');
    cache.add('c', Buffer.from('cccc'), cipher);
    cache.add('d', Buffer.from('dddd'), cipher);
    expect(dropped()).toEqual(['b']);
    expect(cache.get('a')).toBe(cipher);
  });

  it('overwrites everything when it is cleared', () => {
    const { cache, sizes, dropped } = filled(3, 'a', 'b');
    cache.clear();
    expect(dropped()).toEqual(['a', 'b']);
    expect(cache.get('a')).toBeUndefined();
    expect(sizes.at(-1)).toBe(0);
  });
});
