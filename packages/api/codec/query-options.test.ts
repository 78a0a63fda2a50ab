import { describe, expect, it } from 'vitest';
import { decodeQueryOptions } from './query-options.ts';

const read = (kind: Parameters<typeof decodeQueryOptions>[0], query: string) => decodeQueryOptions(kind, new URLSearchParams(query));

describe('decodeQueryOptions', () => {
  it('reads what the options have and nothing else', () => {
    expect(read('ListOptions', 'limit=5&watch=1&labelSelector=a%3Db&foo=bar&timeoutSeconds=-3&kind=x')).toEqual({
      limit: 5,
      watch: true,
      labelSelector: 'a=b',
      timeoutSeconds: -3,
    });
    expect(read('CreateOptions', 'dryRun=All&dryRun=Some&fieldManager=m')).toEqual({ dryRun: ['All', 'Some'], fieldManager: 'm' });
    expect(read('DeleteOptions', 'gracePeriodSeconds=0&propagationPolicy=Orphan&uid=u')).toEqual({
      gracePeriodSeconds: 0,
      propagationPolicy: 'Orphan',
      preconditions: { uid: 'u' },
    });
    expect(read('PodExecOptions', 'command=sh&command=-c&stdin=true&tty=false')).toEqual({
      command: ['sh', '-c'],
      stdin: true,
      tty: false,
    });
  });

  it.each([
    ['watch=0', false],
    ['watch=FALSE', false],
    ['watch=', true],
    ['watch=no', true],
  ])('%s is %s', (query, watch) => {
    expect(read('ListOptions', query)).toEqual({ watch });
  });

  it.each([
    ['limit=abc', 'strconv.ParseInt: parsing "abc": invalid syntax'],
    ['limit=', 'strconv.ParseInt: parsing "": invalid syntax'],
    ['limit=1.5', 'strconv.ParseInt: parsing "1.5": invalid syntax'],
    ['timeoutSeconds=9223372036854775808', 'strconv.ParseInt: parsing "9223372036854775808": value out of range'],
  ])('refuses %s', (query, message) => {
    expect(() => read('ListOptions', query)).toThrow(message);
  });

  it('refuses times that are none', () => {
    expect(() => read('PodLogOptions', 'sinceTime=yesterday')).toThrow('parsing time "yesterday"');
    expect(read('PodLogOptions', 'sinceTime=2020-01-01T00:00:00Z&tailLines=3')).toEqual({
      sinceTime: '2020-01-01T00:00:00Z',
      tailLines: 3,
    });
  });
});
