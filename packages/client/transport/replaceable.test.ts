import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { replaceableTransport } from './replaceable.ts';
import type { Transport } from './transport.ts';

function recording(name: string, log: string[]): Transport {
  const answer = { status: 200, headers: {} };
  return {
    async request({ path }) {
      log.push(`${name} ${path}`);
      return { ...answer, body: new Uint8Array() };
    },
    async stream({ path }) {
      log.push(`${name} stream ${path}`);
      return { ...answer, chunks: (async function* () {})() };
    },
    close: () => void log.push(`${name} closed`),
  };
}

describe('replaceableTransport', () => {
  it('sends what comes after a replacement through the new way, and closes the old one when its requests had time to end', async () => {
    const clock = new FakeClock();
    const log: string[] = [];
    const transport = replaceableTransport(recording('old', log), clock, 1_000);
    await transport.request({ method: 'GET', path: '/a' });
    transport.replace(recording('new', log));
    await transport.request({ method: 'GET', path: '/b' });
    await transport.stream({ method: 'GET', path: '/c' });
    await clock.advance(999);
    expect(log).toEqual(['old /a', 'new /b', 'new stream /c']);
    await clock.advance(1);
    expect(log.at(-1)).toBe('old closed');
    transport.close();
    expect(log.slice(4)).toEqual(['new closed']);
  });

  it('closes both ways at once when it is closed', () => {
    const log: string[] = [];
    const transport = replaceableTransport(recording('old', log), new FakeClock());
    transport.replace(recording('new', log));
    transport.close();
    expect(log).toEqual(['old closed', 'new closed']);
  });
});
