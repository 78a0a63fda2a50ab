import { describe, expect, it } from 'vitest';
import { MemoRing } from './memo-ring.ts';

function holders(forgotten: string[]) {
  return (name: string, memoBytes: number) => ({ memoBytes, forget: () => void forgotten.push(name) });
}

describe('MemoRing', () => {
  it('makes the oldest forget when there are too many', () => {
    const forgotten: string[] = [];
    const holder = holders(forgotten);
    const ring = new MemoRing(3, 1000);
    for (const name of ['a', 'b', 'c', 'd', 'e']) ring.add(holder(name, 1));
    expect(forgotten).toEqual(['a', 'b']);
  });

  it('makes the oldest forget when they are too large together, and keeps the newest however large it is', () => {
    const forgotten: string[] = [];
    const holder = holders(forgotten);
    const ring = new MemoRing(10, 100);
    ring.add(holder('a', 40));
    ring.add(holder('b', 40));
    ring.add(holder('c', 30));
    expect(forgotten).toEqual(['a']);
    ring.add(holder('d', 500));
    expect(forgotten).toEqual(['a', 'b', 'c']);
    ring.add(holder('e', 10));
    expect(forgotten).toEqual(['a', 'b', 'c', 'd']);
  });
});
