import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countKeys, JsonSyntaxError, maxJsonDepth, measureJson, NumberLiteral, parseJson, parseJsonExactly } from './json-text.ts';

const json = fc.json({ maxDepth: 4 });

describe('parseJsonExactly', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(undefined, 2, '\t'), (text, indent) => {
        const spaced = JSON.stringify(JSON.parse(text), null, indent);
        const value = JSON.parse(spaced) as unknown;
        expect(parseJson(spaced)).toEqual(value);
        const { value: exact, sequences } = parseJsonExactly(spaced);
        expect(JSON.stringify(exact, (_, v: unknown) => (v instanceof NumberLiteral ? Number(v.text) : v))).toBe(JSON.stringify(value));
        expect(sequences.size).toBe(0);
      }),
    );
  });

  it('refuses what JSON.parse refuses', () => {
    fc.assert(
      fc.property(json, fc.nat(), fc.constantFrom('', '"', '{', ']', ',', '\\', '0', 'x', '\u0001'), (text, at, insert) => {
        const position = at % (text.length + 1);
        const damaged = text.slice(0, position) + insert + text.slice(position + 1);
        let valid = true;
        try {
          JSON.parse(damaged);
        } catch {
          valid = false;
        }
        if (valid) parseJsonExactly(damaged);
        else expect(() => parseJsonExactly(damaged)).toThrow(JsonSyntaxError);
      }),
      { numRuns: 500 },
    );
  });

  it('keeps repeated keys and unusual numbers', () => {
    const { value, sequences } = parseJsonExactly('{"a":1.0,"b":{"x":1,"y":2,"x":3},"c":12345678901234567890,"d":-0}');
    expect(value).toEqual({
      a: new NumberLiteral('1.0'),
      b: { x: 3, y: 2 },
      c: new NumberLiteral('12345678901234567890'),
      d: -0,
    });
    expect([...sequences.values()]).toEqual([['x', 'y', 'x']]);
  });

  it.each([
    ['', 'unexpected end of JSON input'],
    [' ', 'unexpected end of JSON input'],
    ['[1,', 'unexpected end of JSON input'],
    ['"a', 'unexpected end of JSON input'],
    ['[1,]', "invalid character ']' looking for beginning of value"],
    ['{"a":1,}', "invalid character '}' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 "b"}', "invalid character '\"' after object key:value pair"],
    ['[1 2]', "invalid character '2' after array element"],
    ['1 2', "invalid character '2' after top-level value"],
    ["'a'", "invalid character '\\'' looking for beginning of value"],
    ['nope', "invalid character 'o' in literal null (expecting 'u')"],
    ['tru', 'unexpected end of JSON input'],
    ['01', "invalid character '1' after top-level value"],
    ['-', 'unexpected end of JSON input'],
    ['-a', "invalid character 'a' in numeric literal"],
    ['1.x', "invalid character 'x' after decimal point in numeric literal"],
    ['1ex', "invalid character 'x' in exponent of numeric literal"],
    ['"\\q"', "invalid character 'q' in string escape code"],
    ['"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"],
    ['"\n"', "invalid character '\\n' in string literal"],
    ['\u0000', "invalid character '\\x00' looking for beginning of value"],
    ['\ufeff{}', "invalid character '\u00ef' looking for beginning of value"],
  ])('says why %j is no JSON', (text, message) => {
    expect(() => parseJsonExactly(text)).toThrow(new JsonSyntaxError(message));
  });
});

describe('countKeys', () => {
  it('counts the keys of any JSON text', () => {
    fc.assert(
      fc.property(json, (text) => {
        expect(countKeys(text)).toBe(measureJson(JSON.parse(text)));
      }),
    );
  });

  it('counts repetitions', () => {
    expect(countKeys('{"a":"\\\\\\"", "a" :1,"\\"":{"a":":"}}')).toBe(4);
  });
});

describe('measureJson', () => {
  it('limits nesting', () => {
    const nested = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
    expect(measureJson(nested(maxJsonDepth))).toBe(0);
    expect(() => measureJson(nested(maxJsonDepth + 1))).toThrow('exceeded max depth');
  });
});
