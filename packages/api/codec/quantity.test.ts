import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalizeQuantity, parseQuantity } from './quantity.ts';

describe('canonicalizeQuantity', () => {
  it.each([
    ['0', '0'],
    ['000', '0'],
    ['1', '1'],
    ['005', '005'],
    ['+5', '+5'],
    ['1000m', '1'],
    ['1500m', '1500m'],
    ['0.5', '500m'],
    ['.5', '500m'],
    ['1.5', '1500m'],
    ['-1', '-1'],
    ['1000', '1k'],
    ['100k', '100k'],
    ['1024Mi', '1Gi'],
    ['1Gi', '1Gi'],
    ['1.5Gi', '1536Mi'],
    ['0.5Ki', '512'],
    ['64Mi', '64Mi'],
    ['128Mi', '128Mi'],
    ['1e3', '1e3'],
    ['12e6', '12e6'],
    ['1E', '1E'],
    ['0.1n', '1n'],
    ['1.1Ki', '1126400m'],
  ])('%s is %s', (input, text) => {
    expect(canonicalizeQuantity(input)).toBe(text);
  });

  it.each([
    ['', /must match the regular expression/],
    ['abc', /must match the regular expression/],
    ['1 Gi', /must match the regular expression/],
    ['1.2.3', /must match the regular expression/],
    ['--1', /unable to parse quantity's suffix/],
    ['5mi', /unable to parse quantity's suffix/],
    ['1Kii', /unable to parse quantity's suffix/],
  ])('refuses %j', (input, message) => {
    expect(() => canonicalizeQuantity(input)).toThrow(message);
  });

  it('keeps the amount and is stable', () => {
    const suffixes = ['', 'm', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi', 'e2', 'E3'];
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1e9 }),
        fc.integer({ min: 0, max: 999 }),
        fc.constantFrom(...suffixes),
        (whole, part, suffix) => {
          const first = parseQuantity(`${whole}.${part}${suffix}`);
          const second = parseQuantity(first.text);
          expect(second.nanos).toBe(first.nanos);
          expect(parseQuantity(second.text).text).toBe(second.text);
        },
      ),
    );
  });
});
