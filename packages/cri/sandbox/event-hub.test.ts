import { describe, expect, it } from 'vitest';
import type { RuntimeEvent } from '../runtime/container-runtime.ts';
import { EventHub } from './event-hub.ts';

const event = (containerId: string): RuntimeEvent => ({ containerId, sandboxId: 's', podUid: 'u', type: 'stopped' });

describe('EventHub', () => {
  it('gives every listener all events from its subscription on, and ends with the signal', async () => {
    const hub = new EventHub();
    const abort = new AbortController();
    hub.publish(event('before'));
    const streams = [hub.subscribe(abort.signal), hub.subscribe(abort.signal)];
    hub.publish(event('1'));
    hub.publish(event('2'));
    const read = streams.map(async (stream) => {
      const ids: string[] = [];
      for await (const { containerId } of stream) ids.push(containerId);
      return ids;
    });
    await new Promise((resolve) => setImmediate(resolve));
    hub.publish(event('3'));
    await new Promise((resolve) => setImmediate(resolve));
    abort.abort();
    expect(await Promise.all(read)).toEqual([
      ['1', '2', '3'],
      ['1', '2', '3'],
    ]);
  });

  it('keeps a listener that does not read from growing without end', async () => {
    const hub = new EventHub();
    const abort = new AbortController();
    const stream = hub.subscribe(abort.signal);
    for (let i = 0; i < 10_005; i++) hub.publish(event(String(i)));
    for await (const { containerId } of stream) {
      expect(containerId).toBe('5');
      break;
    }
  });
});
