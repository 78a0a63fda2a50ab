import { describe, expect, it } from 'vitest';
import { canonicalizeBase64, canonicalizeMicroTime, canonicalizeTime } from './go-scalars.ts';

describe('canonicalizeBase64', () => {
  it.each([
    ['', ''],
    ['YQ==', 'YQ=='],
    ['YR==', 'YQ=='],
    ['YWJj', 'YWJj'],
    ['YW\r\nJj\n', 'YWJj'],
    ['YQ=\n=\n', 'YQ=='],
  ])('%j is %j', (text, canonical) => {
    expect(canonicalizeBase64(text)).toBe(canonical);
  });

  it.each([
    ['***', 0],
    ['abc', 0],
    ['abcde', 4],
    ['YQ=', 3],
    ['YQ=a', 2],
    ['Y===', 1],
    ['=', 0],
    ['YQ==YQ==', 4],
    ['YWJj\u00fc', 4],
    ['YWJj-_', 4],
    ['YWJ ', 3],
  ])('refuses %j at byte %i', (text, position) => {
    expect(() => canonicalizeBase64(text)).toThrow(`illegal base64 data at input byte ${position}`);
  });
});

describe('canonicalizeTime', () => {
  it.each([
    ['2020-01-02T03:04:05Z', '2020-01-02T03:04:05Z'],
    ['2020-01-02T03:04:05.999Z', '2020-01-02T03:04:05Z'],
    ['2020-01-01T00:30:00+01:00', '2019-12-31T23:30:00Z'],
    ['0001-01-01T00:00:00Z', undefined],
    ['0099-01-01T00:00:00Z', '0099-01-01T00:00:00Z'],
  ])('%s is %s', (text, canonical) => {
    expect(canonicalizeTime(text)).toBe(canonical);
  });

  const layout = '"2006-01-02T15:04:05Z07:00"';
  it.each([
    ['', `parsing time "" as ${layout}: cannot parse "" as "2006"`],
    ['2020', `parsing time "2020" as ${layout}: cannot parse "" as "-"`],
    ['2020-01-02 03:04:05Z', `parsing time "2020-01-02 03:04:05Z" as ${layout}: cannot parse " 03:04:05Z" as "T"`],
    ['2020-01-02T03:04:05', `parsing time "2020-01-02T03:04:05" as ${layout}: cannot parse "" as "Z07:00"`],
    ['2020-13-02T03:04:05Z', 'parsing time "2020-13-02T03:04:05Z": month out of range'],
    ['2021-02-29T03:04:05Z', 'parsing time "2021-02-29T03:04:05Z": day out of range'],
    ['2020-01-02T24:04:05Z', 'parsing time "2020-01-02T24:04:05Z": hour out of range'],
    ['2020-01-02T03:04:05Zx', 'parsing time "2020-01-02T03:04:05Zx": extra text: "x"'],
  ])('refuses %j', (text, message) => {
    expect(() => canonicalizeTime(text)).toThrow(message);
  });
});

describe('canonicalizeMicroTime', () => {
  it('has exactly six decimals', () => {
    expect(canonicalizeMicroTime('2024-01-01T01:00:00.123456+01:00')).toBe('2024-01-01T00:00:00.123456Z');
    expect(() => canonicalizeMicroTime('2024-01-01T00:00:00Z')).toThrow('cannot parse "Z" as ".000000"');
    expect(() => canonicalizeMicroTime('2024-01-01T00:00:00.123456789Z')).toThrow('cannot parse "789Z" as "Z07:00"');
  });
});
