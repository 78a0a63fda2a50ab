import { describe, expect, it } from 'vitest';
import { defaultThresholds, metThresholds, PressureHistory, parseThresholds } from './pressure.ts';

const mebibyte = 1024 * 1024;

describe('parseThresholds', () => {
  it('reads quantities and percentages', () => {
    expect(parseThresholds('memory.available<1Gi,nodefs.available<5%')).toEqual({ 'memory.available': '1Gi', 'nodefs.available': '5%' });
    expect(parseThresholds('')).toEqual({});
  });

  it.each([
    ['memory.available', 'expected signal<quantity'],
    ['memory.available<', 'expected signal<quantity'],
    ['heat<1', 'unknown eviction signal "heat"'],
    ['memory.available<1Gi,memory.available<2Gi', 'duplicate eviction threshold'],
    ['memory.available<many', 'quantities must match'],
    ['memory.available<-1Gi', 'must be positive'],
  ])('refuses %s', (text, message) => expect(() => parseThresholds(text)).toThrow(message));
});

describe('metThresholds', () => {
  it('finds what is below, memory first', () => {
    const resources = {
      'nodefs.available': { available: 9, capacity: 100 },
      'nodefs.inodesFree': { available: 6, capacity: 100 },
      'memory.available': { available: 99 * mebibyte, capacity: 1000 * mebibyte },
    };
    expect(metThresholds(defaultThresholds, resources).map(({ signal, condition }) => [signal, condition])).toEqual([
      ['memory.available', 'MemoryPressure'],
      ['nodefs.available', 'DiskPressure'],
    ]);
  });

  it('counts what is not known, or has no threshold, as plenty', () => {
    expect(metThresholds(defaultThresholds, { 'pid.available': { available: 0, capacity: 10 } })).toEqual([]);
  });
});

describe('PressureHistory', () => {
  it('ends a condition only when nothing was met for the transition period', () => {
    const history = new PressureHistory(300);
    const met = metThresholds({ 'pid.available': '5' }, { 'pid.available': { available: 1, capacity: 10 } });
    history.note(met, 1000);
    history.note([], 1299);
    expect([...history.active(1299)]).toEqual(['PIDPressure']);
    expect([...history.active(1300)]).toEqual([]);
  });
});
