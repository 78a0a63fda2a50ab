import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { WebhookError } from '../webhook/webhook-client.ts';
import type { AuditEvent } from './backend.ts';
import { AuditWebhookBackend } from './webhook-backend.ts';

const event = (id: string) => ({ kind: 'Event', auditID: id }) as unknown as AuditEvent;

function setUp(failures: readonly Error[] = [], options: { readonly maxBatchSize?: number; readonly maxQueued?: number } = {}) {
  const clock = new FakeClock();
  const batches: string[][] = [];
  const pending = [...failures];
  const counts = { dropped: 0, calls: 0 };
  const backend = new AuditWebhookBackend({
    client: {
      async post(body) {
        counts.calls++;
        const failure = pending.shift();
        if (failure) throw failure;
        const list = body as { readonly kind: string; readonly items: readonly AuditEvent[] };
        expect(list.kind).toBe('EventList');
        batches.push(list.items.map((item) => item.auditID));
        return undefined;
      },
    },
    maxBatchSize: options.maxBatchSize ?? 2,
    maxBatchWaitMs: 30_000,
    maxQueued: options.maxQueued ?? 100,
    initialBackoffMs: 10_000,
    clock,
    logger: silentLogger,
    onDropped: (count) => {
      counts.dropped += count;
    },
  });
  return { clock, batches, counts, backend };
}

const settle = () => new Promise((resolve) => setTimeout(resolve, 1));

describe('AuditWebhookBackend', () => {
  it('sends full batches at once and the rest after a while', async () => {
    const { backend, batches, clock } = setUp();
    for (const id of ['a', 'b', 'c']) await backend.record(event(id));
    await settle();
    // A batch takes what is there when it goes: the third event came before the first batch left.
    expect(batches.flat()).toEqual(['a', 'b', 'c']);
    await backend.record(event('d'));
    await settle();
    expect(batches.flat()).toEqual(['a', 'b', 'c']);
    await clock.advance(30_000);
    await settle();
    expect(batches.at(-1)).toEqual(['d']);
  });

  it('tries again with growing pauses, in order', async () => {
    const down = new WebhookError('down', true);
    const { backend, batches, clock, counts } = setUp([down, down]);
    for (const id of ['a', 'b']) await backend.record(event(id));
    await settle();
    await clock.advance(10_000);
    await settle();
    expect(counts.calls).toBe(2);
    await clock.advance(15_000);
    await settle();
    expect(batches).toEqual([['a', 'b']]);
    expect(counts.dropped).toBe(0);
  });

  it.each([
    ['refuses', new WebhookError('the webhook answered 400', false)],
    ['never takes', new WebhookError('down', true)],
  ])('tries five times and counts what the receiver %s', async (_name, failure) => {
    const { backend, clock, counts } = setUp(Array.from({ length: 9 }, () => failure));
    for (const id of ['a', 'b']) await backend.record(event(id));
    for (let i = 0; i < 6; i++) {
      await settle();
      await clock.advance(100_000);
    }
    expect(counts).toEqual({ dropped: 2, calls: 5 });
  });

  it('keeps at most so many events waiting', async () => {
    const { backend, counts } = setUp([], { maxBatchSize: 100, maxQueued: 3 });
    for (const id of ['a', 'b', 'c', 'd', 'e']) await backend.record(event(id));
    expect(counts.dropped).toBe(2);
  });

  it('sends everything when it is closed, without waiting between attempts', async () => {
    const { backend, batches, counts } = setUp([new WebhookError('down', true)], { maxBatchSize: 100 });
    for (const id of ['a', 'b', 'c']) await backend.record(event(id));
    await backend.close();
    expect(batches).toEqual([['a', 'b', 'c']]);
    expect(counts.dropped).toBe(0);
  });
});
