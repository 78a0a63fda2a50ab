import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NeedleSearch, overlapBytes } from './needle-search.ts';
import { needlesOf } from './needles.ts';

function find(haystack: Buffer, values: readonly string[]): string[] {
  const search = new NeedleSearch<string>(values.length * 8);
  for (const value of values) for (const { form, bytes } of needlesOf(Buffer.from(value))) search.add(bytes, `${value} ${form}`);
  const found = new Set<string>();
  search.search(haystack, ({ tag }) => found.add(tag));
  return [...found].sort();
}

describe('needlesOf', () => {
  const value = 'hunter2<hunter2>"x"';
  const base64 = (prefix: string, suffix: string) => Buffer.from(prefix + value + suffix).toString('base64');
  const places: readonly { readonly name: string; readonly text: string; readonly form: string }[] = [
    { name: 'as it is', text: `..${value}..`, form: 'plain' },
    { name: 'in base64', text: base64('', ''), form: 'base64' },
    { name: 'in base64 behind one byte', text: base64('a', 'zz'), form: 'base64' },
    { name: 'in base64 behind two bytes', text: base64('ab', 'z'), form: 'base64' },
    { name: 'in base64 behind three bytes', text: base64('abc', ''), form: 'base64' },
    { name: 'in JSON', text: `{"a":"hunter2<hunter2>\\"x\\""}`, form: 'json' },
    { name: 'in JSON as Go writes it', text: `{"a":"hunter2\\u003chunter2\\u003e\\"x\\""}`, form: 'json' },
    { name: 'in hexadecimal', text: Buffer.from(value).toString('hex'), form: 'hex' },
    { name: 'in capital hexadecimal', text: Buffer.from(value).toString('hex').toUpperCase(), form: 'hex' },
  ];
  for (const { name, text, form } of places) {
    it(`finds a value ${name}`, () => {
      expect(find(Buffer.from(`noise ${text} noise`), [value, 'something else'])).toEqual([`${value} ${form}`]);
    });
  }

  it('finds a long value by its middle or its end', () => {
    const long = Array.from({ length: 100 }, (_, i) => `line ${i * 7919}`).join('\n');
    const third = Math.floor(long.length / 3);
    expect(find(Buffer.from(long.slice(0, third)), [long])).toEqual([]);
    expect(find(Buffer.from(long.slice(third, 2 * third)), [long])).toEqual([`${long} plain`]);
    expect(find(Buffer.from(long.slice(2 * third)), [long])).toEqual([`${long} plain`]);
  });
});

describe('NeedleSearch', () => {
  it('finds what indexOf finds, also across blocks', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 8, maxLength: 64 });
    const property = fc.property(
      fc.array(text, { maxLength: 20 }),
      fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 600 }),
      fc.nat(500),
      (needles, haystack, cut) => {
        const search = new NeedleSearch<string>(needles.length);
        for (const needle of needles) search.add(Buffer.from(needle), needle);
        const found = new Set<string>();
        const block = Buffer.from(haystack);
        search.search(block.subarray(0, cut), ({ tag }) => found.add(tag));
        search.search(block.subarray(Math.max(0, Math.min(cut, block.length) - overlapBytes)), ({ tag }) => found.add(tag));
        expect([...found].sort()).toEqual([...new Set(needles.filter((needle) => haystack.includes(needle)))].sort());
      },
    );
    fc.assert(property, { numRuns: 300 });
  });
});
