import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  below,
  difference,
  EMPTY_SET,
  equalSets,
  hasMember,
  hasPath,
  intersection,
  isEmptySet,
  listPaths,
  parseFieldSet,
  recursiveDifference,
  SetBuilder,
  singlePath,
  union,
} from './field-set.ts';
import { compareElements, formatPath, keyElement } from './path-element.ts';

function setOf(...paths: string[][]): ReturnType<SetBuilder['build']> {
  const builder = new SetBuilder();
  for (const path of paths) builder.insert(path);
  return builder.build();
}

/** Members as sorted text: an independent view of a set. */
function members(set: ReturnType<SetBuilder['build']>): string[] {
  return listPaths(set)
    .map((path) => path.join('/'))
    .sort();
}

const arbitraryPaths = fc.array(fc.array(fc.constantFrom('f:a', 'f:b', 'k:{"n":"x"}', 'v:1'), { minLength: 1, maxLength: 3 }), {
  maxLength: 6,
});

describe('FieldSet', () => {
  it('has the wire form of fieldsV1', () => {
    const set = setOf(['f:data', 'f:z'], ['f:data'], ['f:data', 'f:a'], ['f:type']);
    expect(JSON.stringify(set)).toBe('{"f:data":{".":{},"f:a":{},"f:z":{}},"f:type":{}}');
  });

  it('finds members, not the fields above them', () => {
    const set = setOf(['f:a', 'f:b'], ['f:c'], ['f:c', 'f:d']);
    expect(hasPath(set, ['f:a', 'f:b'])).toBe(true);
    expect(hasPath(set, ['f:a'])).toBe(false);
    expect(hasPath(set, ['f:c'])).toBe(true);
    expect(hasPath(set, [])).toBe(false);
    expect(hasMember(set, 'f:a')).toBe(false);
    expect(members(below(set, 'f:c'))).toEqual(['f:d']);
    expect(isEmptySet(below(set, 'f:x'))).toBe(true);
  });

  it('subtracts a parent without its children, and recursively with them', () => {
    const set = setOf(['f:a'], ['f:a', 'f:b'], ['f:c']);
    expect(members(difference(set, singlePath(['f:a'])))).toEqual(['f:a/f:b', 'f:c']);
    expect(members(recursiveDifference(set, singlePath(['f:a'])))).toEqual(['f:c']);
    expect(difference(set, singlePath(['f:x']))).toBe(set);
  });

  it('lists members level by level', () => {
    expect(listPaths(setOf(['f:a', 'f:x'], ['f:b'])).map(formatPath)).toEqual(['.b', '.a.x']);
  });

  it('obeys the laws of sets (property)', () => {
    fc.assert(
      fc.property(arbitraryPaths, arbitraryPaths, (left, right) => {
        const a = setOf(...left);
        const b = setOf(...right);
        const inA = new Set(left.map((path) => path.join('/')));
        const inB = new Set(right.map((path) => path.join('/')));
        expect(members(a)).toEqual([...inA].sort());
        expect(members(union(a, b))).toEqual([...new Set([...inA, ...inB])].sort());
        expect(members(intersection(a, b))).toEqual([...inA].filter((path) => inB.has(path)).sort());
        expect(members(difference(a, b))).toEqual([...inA].filter((path) => !inB.has(path)).sort());
        const above = (path: string): boolean => [...inB].some((other) => path === other || path.startsWith(`${other}/`));
        expect(members(recursiveDifference(a, b))).toEqual([...inA].filter((path) => !above(path)).sort());
        expect(JSON.stringify(union(a, b))).toBe(JSON.stringify(union(b, a)));
        expect(equalSets(a, b)).toBe(JSON.stringify(members(a)) === JSON.stringify(members(b)));
        expect(equalSets(parseFieldSet(JSON.parse(JSON.stringify(a))), a)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe('parseFieldSet', () => {
  it('makes keys canonical and keeps the order of numbers', () => {
    const text =
      '{"k:{\\"protocol\\":\\"TCP\\",\\"containerPort\\":443}":{},"k:{\\"containerPort\\":80,\\"protocol\\":\\"TCP\\"}":{},"z:later":{},"f:a":{}}';
    expect(Object.keys(parseFieldSet(JSON.parse(text)))).toEqual([
      'f:a',
      'k:{"containerPort":80,"protocol":"TCP"}',
      'k:{"containerPort":443,"protocol":"TCP"}',
    ]);
    expect(parseFieldSet(null)).toBe(EMPTY_SET);
  });

  it.each([[{ f: {} }], [{ xyz: {} }], [{ 'k:1': {} }], ['text']])('refuses %j', (value) => {
    expect(() => parseFieldSet(value)).toThrow();
  });
});

describe('path elements', () => {
  it('order like the fields they name', () => {
    const sorted = ['i:2', 'v:"b"', 'v:3', keyElement([['n', 'b']]), keyElement([['n', 10]]), keyElement([['n', 9]]), 'f:b', 'f:a'];
    expect(sorted.sort(compareElements)).toEqual(['f:a', 'f:b', 'k:{"n":9}', 'k:{"n":10}', 'k:{"n":"b"}', 'v:3', 'v:"b"', 'i:2']);
  });

  it('print as in messages', () => {
    expect(
      formatPath([
        'f:spec',
        keyElement([
          ['protocol', 'TCP'],
          ['port', 80],
        ]),
        'v:"x"',
        'i:0',
      ]),
    ).toBe('.spec[port=80,protocol="TCP"][="x"][0]');
  });
});
