import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jsonObjectError, jsonSyntaxError } from './go-json.ts';
import { validateCidr, validateIp, validateNonSpecialIp } from './ip.ts';
import {
  configKeyProblems,
  dnsLabelProblems,
  dnsSubdomainProblems,
  envNameProblems,
  labelValueProblems,
  nameRules,
  pathSegmentProblems,
  portNameProblems,
  qualifiedNameProblems,
} from './names.ts';

describe('name syntax', () => {
  const subdomainText =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
  const keyText =
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
  const cases: readonly { name: string; got: readonly string[]; want: readonly string[] }[] = [
    { name: 'subdomain, good', got: dnsSubdomainProblems('a.b-c'), want: [] },
    { name: 'subdomain, upper case', got: dnsSubdomainProblems('A_b'), want: [subdomainText] },
    { name: 'subdomain, too long', got: dnsSubdomainProblems('a'.repeat(254)), want: ['must be no more than 253 characters'] },
    { name: 'label, dots', got: dnsLabelProblems('a.b'), want: ['must not contain dots'] },
    { name: 'key, dot', got: configKeyProblems('.'), want: ["must not be '.'"] },
    { name: 'key, dots first', got: configKeyProblems('..x'), want: ["must not start with '..'"] },
    { name: 'key, slash', got: configKeyProblems('a/b'), want: [keyText] },
    { name: 'key, hidden file', got: configKeyProblems('.x'), want: [] },
    {
      name: 'env, equals sign',
      got: envNameProblems('A=B'),
      want: ["a valid environment variable name must consist only of printable ASCII characters other than '='"],
    },
    { name: 'env, spaces and digits', got: envNameProblems('1 a$b'), want: [] },
    { name: 'label value, 64 bytes', got: labelValueProblems('a'.repeat(64)), want: ['must be no more than 63 bytes'] },
    { name: 'qualified name, empty prefix', got: qualifiedNameProblems('/a'), want: ['prefix part must be non-empty'] },
    { name: 'path segment', got: pathSegmentProblems('a/b%'), want: ["may not contain '/'", "may not contain '%'"] },
    {
      name: 'port name',
      got: portNameProblems('1--2-'),
      want: ['must contain at least one letter (a-z)', 'must not contain consecutive hyphens', 'must not begin or end with a hyphen'],
    },
    { name: 'generateName may end with a dash', got: nameRules['dns-subdomain']('gen-', true), want: [] },
  ];
  it.each(cases)('$name', ({ got, want }) => expect(got).toEqual(want));

  it('accepts exactly what the printed expression accepts', () => {
    const key = fc.string({ unit: fc.constantFrom('a', 'Z', '0', '.', '-', '_', '/', ' '), maxLength: 6 });
    fc.assert(
      fc.property(key, (text) => {
        const good = /^[-._a-zA-Z0-9]+$/.test(text) && text !== '.' && !text.startsWith('..');
        expect(configKeyProblems(text).length === 0).toBe(good);
      }),
      { seed: 7 },
    );
  });
});

describe('jsonSyntaxError', () => {
  it.each([
    ['nope', "invalid character 'o' in literal null (expecting 'u')"],
    ['', 'unexpected end of JSON input'],
    ['{"a":', 'unexpected end of JSON input'],
    ['{a}', "invalid character 'a' looking for beginning of object key string"],
    ['{"a" 1}', "invalid character '1' after object key"],
    ['{"a":1 2}', "invalid character '2' after object key:value pair"],
    ['[1 2]', "invalid character '2' after array element"],
    ['{} x', "invalid character 'x' after top-level value"],
    ['"a\nb"', "invalid character '\\n' in string literal"],
    ['-x', "invalid character 'x' in numeric literal"],
  ])('%j', (text, want) => expect(jsonSyntaxError(text)).toBe(want));

  it('agrees with JSON.parse on what is JSON', () => {
    fc.assert(
      fc.property(fc.json(), fc.nat(), (text, cut) => {
        expect(jsonSyntaxError(text)).toBeUndefined();
        const part = text.slice(0, cut % (text.length + 1));
        let parses = true;
        try {
          JSON.parse(part);
        } catch {
          parses = false;
        }
        expect(jsonSyntaxError(part) === undefined).toBe(parses);
      }),
      { seed: 11, numRuns: 300 },
    );
  });

  it('wants an object where a map is decoded', () => {
    expect(jsonObjectError('[]')).toBe('json: cannot unmarshal array into Go value of type map[string]interface {}');
    expect(jsonObjectError(' {}')).toBeUndefined();
  });
});

describe('IP addresses', () => {
  const messages = (value: string) => validateIp(value, 'f').map((e) => e.message);
  it('wants one canonical reading', () => {
    expect(messages('10.0.0.1')).toEqual([]);
    expect(messages('2001:db8::1')).toEqual([]);
    expect(messages('010.0.0.1')).toEqual(['Invalid value: "010.0.0.1": must not have leading 0s']);
    expect(messages('::ffff:1.2.3.4')).toEqual(['Invalid value: "::ffff:1.2.3.4": must not be an IPv4-mapped IPv6 address']);
    expect(messages('x')).toEqual(['Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)']);
  });
  it('refuses special endpoints', () => {
    expect(validateNonSpecialIp('127.0.0.1', 'f').map((e) => e.message)).toEqual([
      'Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
    ]);
    expect(validateNonSpecialIp('fe80::1', 'f')).toHaveLength(1);
    expect(validateNonSpecialIp('10.1.2.3', 'f')).toEqual([]);
  });
  it('knows CIDR ranges', () => {
    expect(validateCidr('10.0.0.0/24', 'f')).toEqual([]);
    expect(validateCidr('10.0.0.0/33', 'f')).toHaveLength(1);
  });
});
