import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toYaml } from './yaml.ts';
import { parseYaml } from './yaml-reader.ts';

describe('toYaml', () => {
  it('writes block style with sorted keys and lists that are not indented', () => {
    const value = { kind: 'Pod', items: [{ b: [1, [2, 3]], a: {} }, 'x', []], apiVersion: 'v1', empty: '', none: null, on: true };
    expect(toYaml(value)).toBe(`apiVersion: v1
empty: ""
items:
- a: {}
  b:
  - 1
  - - 2
    - 3
- x
- []
kind: Pod
none: null
"on": true
`);
  });

  it.each([
    ['plain', 'plain'],
    ['yes', '"yes"'],
    ['0777', '"0777"'],
    ['1.5', '"1.5"'],
    ['2020-01-01', '"2020-01-01"'],
    ['12:30', '"12:30"'],
    ['a: b', "'a: b'"],
    ['a #b', "'a #b'"],
    [' lead', "' lead'"],
    ['*x', "'*x'"],
    ['- x', "'- x'"],
    ['-x', '-x'],
    ["it's", "it's"],
    ["'q", "'''q'"],
    ['a\tb', '"a\\tb"'],
    ['\u00fcn\u00ef', '\u00fcn\u00ef'],
    ['\u{1f600}', '"\\U0001F600"'],
    ['two\nlines', '|-\n  two\n  lines'],
    ['two\nlines\n', '|\n  two\n  lines'],
    [' two\nlines', '|2-\n   two\n  lines'],
    ['kept\n\n', '|+\n  kept\n'],
    ['trailing \nspace', '"trailing \\nspace"'],
  ])('writes %j as %s', (text, yaml) => {
    expect(toYaml({ k: text })).toBe(`k: ${yaml}\n`);
  });

  it('folds long text at spaces', () => {
    expect(toYaml({ message: 'word '.repeat(20).trim() })).toBe(
      `message: ${'word '.repeat(15).trim()}\n  ${'word '.repeat(5).trim()}\n`.replace(/word\n {2}/, 'word\n  '),
    );
  });

  it('orders keys as words with numbers in them', () => {
    expect(toYaml({ a10: 1, a9: 2, b: 3, A: 4, '10': 5, '9': 6 })).toBe('"9": 6\n"10": 5\nA: 4\na9: 2\na10: 1\nb: 3\n');
  });

  it('can be read back', () => {
    const text = fc.string({ unit: 'grapheme' });
    const leaf = fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 3 }, leaf, fc.array(tie('value'), { maxLength: 4 }), fc.dictionary(text, tie('value'), { maxKeys: 4 })),
    }));
    fc.assert(
      fc.property(value, (data) => {
        expect(parseYaml(toYaml(data)).value).toEqual(data);
      }),
      { numRuns: 300 },
    );
  });
});

describe('parseYaml', () => {
  const read = (text: string) => parseYaml(text).value;
  it.each([
    ['[y, Yes, on, TRUE, n, off]', [true, true, true, true, false, false]],
    ['[~, null, Null, ]', [null, null, null]],
    ['[010, 0o17, 0x1F, 0b101, 1_000, +5, -7]', [8, 15, 31, 5, 1000, 5, -7]],
    ['[08, 1.5, 1e3, .5, 1.2.3]', [8, 1.5, 1000, 0.5, '1.2.3']],
    ['[2020-01-01, 2020-01-01T00:00:00Z, 12:30]', ['2020-01-01', '2020-01-01T00:00:00Z', '12:30']],
    ['["yes", \'1\', !!str 5]', ['yes', '1', '5']],
    ['', null],
    ['a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}', { a: { b: 1 }, c: { b: 1 }, d: { e: 2, b: 1 } }],
    ['a: 1\n---\nb: 2\n', { a: 1 }],
  ])('reads %j', (text, value) => {
    expect(read(text)).toEqual(value);
  });

  it('keeps keys of any name', () => {
    expect(JSON.stringify(read('{__proto__: 1, constructor: 2}'))).toBe('{"__proto__":1,"constructor":2}');
  });

  it.each([
    ['a: *b', "yaml: unknown anchor 'b' referenced"],
    ['a: &a\n  b: *a', "yaml: anchor 'a' value contains itself"],
    ['a: b: c', 'yaml: mapping values are not allowed in this context'],
    ['x: 1\na: b: c', 'yaml: line 2: mapping values are not allowed in this context'],
    ['a: .nan', 'json: unsupported value: NaN'],
    ['{[1]: 2}', 'unsupported map key of type: []interface {}'],
  ])('refuses %j', (text, message) => {
    expect(() => read(text)).toThrow(message);
  });

  it('refuses documents that explode by aliasing', () => {
    const levels = Array.from(
      { length: 12 },
      (_, i) =>
        `l${i + 1}: &l${i + 1} [${Array(10)
          .fill(i === 0 ? 'x' : `*l${i}`)
          .join(', ')}]`,
    );
    expect(() => read(levels.join('\n'))).toThrow('yaml: document contains excessive aliasing');
  });
});
