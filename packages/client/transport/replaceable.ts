import type { Clock } from '@coffer/base/time/clock';
import type { Transport } from './transport.ts';

/** A transport whose way to the server can be replaced while it is used, e.g. when a client certificate was renewed. */
export interface ReplaceableTransport extends Transport {
  /**
   * Requests that come from now on go through `next`. What is under way through the one before has `retireAfterMs` to end; then its
   * connections are closed, and readers of watches begin again where they were.
   */
  replace(next: Transport): void;
}

/** Longer than any request that is no watch or stream. */
const defaultRetireAfterMs = 90_000;

export function replaceableTransport(first: Transport, clock: Clock, retireAfterMs = defaultRetireAfterMs): ReplaceableTransport {
  let current = first;
  const retiring = new Map<Transport, () => void>();
  return {
    request: (request) => current.request(request),
    stream: (request) => current.stream(request),
    replace(next) {
      const before = current;
      current = next;
      const cancel = clock.setTimer(retireAfterMs, () => {
        retiring.delete(before);
        before.close();
      });
      retiring.set(before, cancel);
    },
    close() {
      for (const [before, cancel] of retiring) {
        cancel();
        before.close();
      }
      retiring.clear();
      current.close();
    },
  };
}
