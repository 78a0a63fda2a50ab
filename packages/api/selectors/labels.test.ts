import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StatusError } from '../errors/status-error.ts';
import { EVERYTHING, fromLabelSelector, fromLabels, NOTHING, parseLabelSelector } from './labels.ts';

const NAME_RULE =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

function message(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError && error.code === 400 && error.reason === 'BadRequest') return error.message;
    throw error;
  }
  return 'no error';
}

describe('parseLabelSelector', () => {
  const cases: [string, Record<string, string>, boolean][] = [
    ['', {}, true],
    ['a', { a: '' }, true],
    ['a', {}, false],
    ['!a', {}, true],
    ['!a', { a: '1' }, false],
    ['a=b', { a: 'b' }, true],
    ['a==b', { a: 'c' }, false],
    ['a!=b', {}, true],
    ['a!=b', { a: 'b' }, false],
    ['a=', { a: '' }, true],
    ['a in (b, c)', { a: 'c' }, true],
    ['a in (b,c),d', { a: 'c' }, false],
    ['a notin (b)', {}, true],
    ['a notin (b)', { a: 'b' }, false],
    ['a in ()', { a: '' }, true],
    ['a in (,b)', { a: '' }, true],
    ['in in (in)', { in: 'in' }, true],
    ['a>5', { a: '6' }, true],
    ['a>5', { a: '5' }, false],
    ['a<5', { a: '-7' }, true],
    ['a<5', { a: 'x' }, false],
    ['x.io/a=b', { 'x.io/a': 'b' }, true],
    ['constructor', {}, false],
    ['a in (b1,b2,b3,b4,b5,b6,b7,b8,b9,b10)', { a: 'b10' }, true],
  ];
  it.each(cases)('%j on %j is %j', (text, labels, expected) => {
    expect(parseLabelSelector(text).matches(labels)).toBe(expected);
  });

  const errors: [string, string][] = [
    ['a===b', "unable to parse requirement: found '=', expected: identifier"],
    ['in (x)', "unable to parse requirement: found '(', expected: in, notin, =, ==, !=, gt, lt"],
    ['-bad', `unable to parse requirement: <nil>: Invalid value: "-bad": ${NAME_RULE}`],
    ['a=-b', `unable to parse requirement: values[0][a]: Invalid value: "-b": ${VALUE_RULE}`],
    ['a b', "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    ['a,', "found '', expected: identifier after ','"],
    [',a', "found ',', expected: !, identifier, or 'end of string'"],
    ['a=b c', "found 'c', expected: ',' or 'end of string'"],
    ['!a=b', "found '=', expected: ',' or 'end of string'"],
    ['a in x', "unable to parse requirement: found 'x' expected: '('"],
    ['a in (x', "unable to parse requirement: found '', expected: ',' or ')'"],
    ['a in (=)', "unable to parse requirement: found '=', expected: ',', ')' or identifier"],
    ['!', "unable to parse requirement: found '', expected: identifier"],
    ['a>x', `unable to parse requirement: values[0]: Invalid value: "x": for 'Gt', 'Lt' operators, the value must be an integer`],
    ['/a', `unable to parse requirement: <nil>: Invalid value: "/a": prefix part must be non-empty`],
    [
      `${'a'.repeat(64)}`,
      `unable to parse requirement: <nil>: Invalid value: "${'a'.repeat(64)}": name part must be no more than 63 characters`,
    ],
  ];
  it.each(errors)('%j is refused', (text, expected) => {
    expect(message(() => parseLabelSelector(text))).toBe(expected);
  });

  it('prints a canonical form that parses back to itself', () => {
    expect(String(parseLabelSelector('z, !b , a in (y,x,y),c!=1,g>3'))).toBe('a in (x,y),!b,c!=1,g>3,z');
    const word = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,5}[a-z0-9])?$/);
    const term = fc.oneof(
      word,
      word.map((w) => `!${w}`),
      fc.tuple(word, fc.constantFrom('=', '==', '!='), word).map((t) => t.join('')),
      fc.tuple(word, fc.constantFrom(' in ', ' notin '), fc.array(word, { minLength: 1 })).map(([k, o, v]) => `${k}${o}(${v.join(',')})`),
    );
    fc.assert(
      fc.property(fc.array(term, { minLength: 1, maxLength: 4 }), (terms) => {
        const once = String(parseLabelSelector(terms.join(',')));
        expect(String(parseLabelSelector(once))).toBe(once);
      }),
      { numRuns: 200 },
    );
  });
});

describe('fromLabelSelector', () => {
  it('matches nothing when absent and everything when empty', () => {
    expect(fromLabelSelector(undefined)).toBe(NOTHING);
    expect(NOTHING.matches({})).toBe(false);
    expect(NOTHING.empty).toBe(false);
    expect(fromLabelSelector({})).toBe(EVERYTHING);
  });

  it('joins labels and expressions', () => {
    const selector = fromLabelSelector({
      matchLabels: { a: 'b' },
      matchExpressions: [
        { key: 'c', operator: 'NotIn', values: ['d'] },
        { key: 'e', operator: 'Exists' },
      ],
    });
    expect(String(selector)).toBe('a=b,c notin (d),e');
    expect(selector.matches({ a: 'b', e: '' })).toBe(true);
    expect(selector.matches({ a: 'b', c: 'd', e: '' })).toBe(false);
  });

  it('refuses what the API does not know', () => {
    expect(message(() => fromLabelSelector({ matchExpressions: [{ key: 'a', operator: 'Near' }] }))).toBe(
      '"Near" is not a valid label selector operator',
    );
    expect(message(() => fromLabelSelector({ matchExpressions: [{ key: 'a', operator: 'In' }] }))).toBe(
      `values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty`,
    );
  });

  it('builds a selector from labels', () => {
    expect(String(fromLabels({ b: '2', a: '1' }))).toBe('a=1,b=2');
  });
});
