import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalQuantity, roundUpToMilli } from './quantities.ts';
import { unifiedDiff } from './unified-diff.ts';

describe('unifiedDiff', () => {
  it('is empty for equal texts', () => expect(unifiedDiff(['a'], ['a'])).toBe(''));

  it('shows three lines around a change and splits distant ones', () => {
    const a = Array.from({ length: 20 }, (_, i) => `${i}`);
    const b = [...a.slice(0, 1), 'new', ...a.slice(1, 18), ...a.slice(19)];
    expect(unifiedDiff(a, b)).toBe('@@ -1,4 +1,5 @@\n 0\n+new\n 1\n 2\n 3\n@@ -16,5 +17,4 @@\n 15\n 16\n 17\n-18\n 19\n');
  });

  it('lets the new text be rebuilt from the old one', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 30 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(apply(a, unifiedDiff(a, b))).toEqual(b);
      }),
      { seed: 3, numRuns: 300 },
    );
  });
});

/** Applies hunks in order; context and removed lines must match. */
function apply(a: readonly string[], diff: string): string[] {
  const result: string[] = [];
  let at = 0;
  for (const line of diff.split('\n').slice(0, -1)) {
    const header = /^@@ -(\d+)(?:,(\d+))? /.exec(line);
    if (header !== null) {
      const start = Number(header[1]) - (header[2] === '0' ? 0 : 1);
      result.push(...a.slice(at, start));
      at = start;
      continue;
    }
    if (line.startsWith('+')) result.push(line.slice(1));
    else {
      expect(a[at]).toBe(line.slice(1));
      if (line.startsWith(' ')) result.push(line.slice(1));
      at++;
    }
  }
  return [...result, ...a.slice(at)];
}

describe('quantities', () => {
  it.each([
    ['0.5', '500m'],
    ['1024Mi', '1Gi'],
    ['1.5Gi', '1536Mi'],
    ['1000', '1k'],
    ['0.5Ki', '512'],
    ['1e3', '1e3'],
    ['-0', '0'],
    ['100n', '100n'],
    ['1000000k', '1G'],
  ])('%s is written %s', (text, want) => expect(canonicalQuantity(text)).toBe(want));
  it('rounds up to thousandths', () => expect(roundUpToMilli('100u')).toBe('1m'));
});
