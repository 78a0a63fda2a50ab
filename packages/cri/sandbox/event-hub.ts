/** Container state changes for any number of listeners. A listener that does not read loses the oldest events beyond 10 000. */
import type { RuntimeEvent } from '../runtime/container-runtime.ts';

const maxPending = 10_000;

export class EventHub {
  readonly #listeners = new Set<(event: RuntimeEvent) => void>();

  publish(event: RuntimeEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Events from now on, until the signal is aborted. */
  subscribe(signal: AbortSignal): AsyncIterable<RuntimeEvent> {
    const pending: RuntimeEvent[] = [];
    let wake: (() => void) | undefined;
    const listener = (event: RuntimeEvent): void => {
      pending.push(event);
      if (pending.length > maxPending) pending.shift();
      wake?.();
    };
    const onAbort = (): void => {
      this.#listeners.delete(listener);
      wake?.();
    };
    this.#listeners.add(listener);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    const listeners = this.#listeners;
    return {
      async *[Symbol.asyncIterator]() {
        try {
          while (!signal.aborted) {
            const event = pending.shift();
            if (event) yield event;
            else {
              await new Promise<void>((resolve) => {
                wake = resolve;
              });
            }
          }
        } finally {
          listeners.delete(listener);
          signal.removeEventListener('abort', onAbort);
        }
      },
    };
  }
}
