import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addQuantities,
  bytesInDivisors,
  canonicalQuantity,
  compareQuantities,
  cpuInDivisors,
  formatQuantity,
  parseQuantity,
  quantityMilliValue,
  quantityValue,
  subtractQuantities,
} from './quantity.ts';

describe('canonicalQuantity', () => {
  it.each([
    ['0', '0'],
    ['0.5', '500m'],
    ['1000m', '1'],
    ['1.5', '1500m'],
    ['100m', '100m'],
    ['1024Mi', '1Gi'],
    ['1.5Gi', '1536Mi'],
    ['512', '512'],
    ['1023Ki', '1023Ki'],
    ['2048', '2048'],
    ['2048Ki', '2Mi'],
    ['0.5Ki', '512'],
    ['1Ki', '1Ki'],
    ['0.1Ki', '102400m'],
    ['1500Ki', '1500Ki'],
    ['1000', '1k'],
    ['1500000', '1500k'],
    ['1e3', '1e3'],
    ['12E2', '1200'],
    ['1E', '1E'],
    ['5e-3', '5e-3'],
    ['+2', '+2'],
    ['+1000', '1k'],
    ['1.500', '1.500'],
    ['0.500', '500m'],
    ['-1.5', '-1500m'],
    ['.5', '500m'],
    ['1.', '1.'],
    ['007', '007'],
    ['1n', '1n'],
    ['0.1n', '1n'],
    ['-0.1n', '-1n'],
    ['9223372036854775807', '9223372036854775807'],
    ['99999999999E', '99999999999E'],
    ['99999999999Ei', '9223372036854775807'],
    ['0.5Mi', '512Ki'],
    ['0.0001Ki', '102400u'],
    ['8Ki', '8Ki'],

    ['005Pi', '5Pi'],
    ['10Ei', '9223372036854775807'],
    ['1e400', '10e399'],
    ['1000e99', '1e102'],
    ['000', '0'],
    ['128974848', '128974848'],
    ['123Mi', '123Mi'],
  ])('%s is %s', (text, expected) => {
    expect(canonicalQuantity(text)).toBe(expected);
  });

  it('reads numbers', () => {
    expect(canonicalQuantity(2)).toBe('2');
    expect(canonicalQuantity(0.25)).toBe('250m');
  });

  const format = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  it.each([
    ['', format],
    ['lots', format],
    ['1 Gi', format],
    ['1Gi ', ''],
    ['1GiB', format],
    ['--1', "unable to parse quantity's suffix"],
    ['1K', "unable to parse quantity's suffix"],
    ['1mi', "unable to parse quantity's suffix"],
    ['1e', "unable to parse quantity's suffix"],
    ['1Ki5', "unable to parse quantity's suffix"],
    ['5e401', "unable to parse quantity's suffix"],
    ['m', 'unable to parse numeric part of quantity'],
    ['.', 'unable to parse numeric part of quantity'],
  ])('%j is refused with %j', (text, message) => {
    if (message === '') expect(canonicalQuantity(text)).toBe('1Gi');
    else expect(() => canonicalQuantity(text)).toThrow(message);
  });

  it('is idempotent and keeps the value (property)', () => {
    const suffix = fc.constantFrom('', 'm', 'u', 'n', 'k', 'M', 'G', 'Ki', 'Mi', 'Gi', 'e3', 'e-2');
    fc.assert(
      fc.property(fc.integer({ min: -1_000_000, max: 1_000_000 }), suffix, (number, unit) => {
        const quantity = parseQuantity(`${number}${unit}`);
        const text = formatQuantity(quantity);
        expect(parseQuantity(text).nanos).toBe(quantity.nanos);
        expect(parseQuantity(canonicalQuantity(text)).nanos).toBe(quantity.nanos);
      }),
      { numRuns: 300 },
    );
  });
});

describe('arithmetic', () => {
  const sum = (a: string, b: string): string => formatQuantity(addQuantities(parseQuantity(a), parseQuantity(b)));

  it('adds in the format of the first amount', () => {
    expect(sum('1Gi', '512Mi')).toBe('1536Mi');
    expect(sum('0', '512Mi')).toBe('512Mi');
    expect(sum('500m', '1')).toBe('1500m');
    expect(formatQuantity(subtractQuantities(parseQuantity('1'), parseQuantity('250m')))).toBe('750m');
  });

  it('compares across suffixes', () => {
    expect(compareQuantities(parseQuantity('1Gi'), parseQuantity('1G'))).toBeGreaterThan(0);
    expect(compareQuantities(parseQuantity('1000m'), parseQuantity('1'))).toBe(0);
    expect(compareQuantities(parseQuantity('-1'), parseQuantity('1n'))).toBeLessThan(0);
  });

  it('rounds values away from zero', () => {
    expect(quantityValue(parseQuantity('1500m'))).toBe(2n);
    expect(quantityValue(parseQuantity('-1500m'))).toBe(-2n);
    expect(quantityMilliValue(parseQuantity('1u'))).toBe(1n);
    expect(quantityMilliValue(parseQuantity('2'))).toBe(2000n);
  });

  it('counts divisors as the downward API does', () => {
    expect(cpuInDivisors(parseQuantity('250m'), parseQuantity('1'))).toBe(1n);
    expect(cpuInDivisors(parseQuantity('250m'), parseQuantity('1m'))).toBe(250n);
    expect(cpuInDivisors(parseQuantity('2500m'), parseQuantity('0'))).toBe(3n);
    expect(bytesInDivisors(parseQuantity('64Mi'), parseQuantity('1Mi'))).toBe(64n);
    expect(bytesInDivisors(parseQuantity('1500Ki'), parseQuantity('1Mi'))).toBe(2n);
    expect(bytesInDivisors(parseQuantity('5'), parseQuantity('0'))).toBe(5n);
  });
});
