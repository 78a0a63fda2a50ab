import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { type RequestContext, WarningList } from '../request/context.ts';
import { parseRequestInfo } from '../request/parse-request-info.ts';
import { withTimeout } from './with-timeout.ts';

function contextOf(url: string): RequestContext {
  const query = new URLSearchParams(url.split('?')[1] ?? '');
  return {
    http: {
      method: 'GET',
      url,
      headers: {},
      readBody: async () => new Uint8Array(),
      signal: new AbortController().signal,
      peer: { address: '' },
    },
    auditId: 'a',
    receivedAtMs: 0,
    info: parseRequestInfo('GET', url.split('?')[0] ?? '', query),
    query,
    user: { name: 'somebody', groups: [] },
    warnings: new WarningList(),
    auditAnnotations: new Map(),
  };
}

const never = () => new Promise<never>(() => {});
const answer = async () => ({ kind: 'full', status: 200, headers: {}, body: '' }) as const;

describe('withTimeout', () => {
  it('refuses each request when its own time is over, also those that came later', async () => {
    const clock = new FakeClock();
    const filter = withTimeout(clock, 1000);
    const refusals: string[] = [];
    const start = (name: string) => filter(contextOf('/api/v1/pods'), never).catch((error) => refusals.push(`${name} ${error.code}`));
    void start('first');
    await clock.advance(400);
    void start('second');
    await filter(contextOf('/api/v1/pods'), answer);
    await clock.advance(599);
    expect(refusals).toEqual([]);
    await clock.advance(1);
    expect(refusals).toEqual(['first 504']);
    await clock.advance(399);
    expect(refusals).toEqual(['first 504']);
    await clock.advance(1);
    expect(refusals).toEqual(['first 504', 'second 504']);
    void start('third');
    await clock.advance(1000);
    expect(refusals).toEqual(['first 504', 'second 504', 'third 504']);
  });

  it('keeps to a shorter time that the request asks for', async () => {
    const clock = new FakeClock();
    const filter = withTimeout(clock, 1000);
    const refusals: string[] = [];
    void filter(contextOf('/api/v1/pods?timeout=200ms'), never).catch((error) => refusals.push(error.message));
    await clock.advance(200);
    expect(refusals).toEqual(['Timeout: request did not complete within requested timeout - context deadline exceeded']);
    for (const text of ['3m', '0s', '0', '-5s'])
      expect(await filter(contextOf(`/api/v1/pods?timeout=${text}`), answer)).toMatchObject({ status: 200 });
  });

  it('refuses a time that is none', () => {
    const filter = withTimeout(new FakeClock(), 1000);
    const refused = (text: string) => expect(() => filter(contextOf(`/api/v1/pods?timeout=${text}`), answer));
    const start = 'invalid timeout specified in the request URL - time:';
    refused('soon').toThrow(`${start} invalid duration "soon"`);
    refused('5').toThrow(`${start} missing unit in duration "5"`);
    refused('5x').toThrow(`${start} unknown unit "x" in duration "5x"`);
  });

  it('lets watches last', async () => {
    const clock = new FakeClock();
    let refused = false;
    void withTimeout(clock, 1000)(contextOf('/api/v1/pods?watch=1'), never).catch(() => {
      refused = true;
    });
    await clock.advance(5000);
    expect(refused).toBe(false);
  });
});
