import { expect, it } from 'vitest';
import { humanDuration, timeSince } from './human-duration.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

it.each([
  [-2 * second, '<invalid>'],
  [-1 * second, '0s'],
  [0, '0s'],
  [119 * second, '119s'],
  [2 * minute, '2m'],
  [9 * minute + 5 * second, '9m5s'],
  [179 * minute, '179m'],
  [3 * hour + 1 * minute, '3h1m'],
  [47 * hour, '47h'],
  [2 * day, '2d'],
  [7 * day + 3 * hour, '7d3h'],
  [700 * day, '700d'],
  [730 * day, '2y'],
  [800 * day, '2y70d'],
  [3000 * day, '8y'],
])('humanDuration(%d) is %s', (durationMs, text) => expect(humanDuration(durationMs)).toBe(text));

it('has a word for a missing timestamp', () => {
  expect(timeSince(null, 0)).toBe('<unknown>');
  expect(timeSince('1970-01-01T00:00:00Z', 5000)).toBe('5s');
});
