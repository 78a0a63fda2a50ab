import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { WebhookClient } from '../webhook/webhook-client.ts';
import type { AuditBackend, AuditEvent } from './backend.ts';

export interface AuditWebhookOptions {
  readonly client: WebhookClient;
  /** `--audit-webhook-batch-max-size`. */
  readonly maxBatchSize: number;
  /** `--audit-webhook-batch-max-wait`. */
  readonly maxBatchWaitMs: number;
  /** `--audit-webhook-batch-buffer-size`: events waiting; more are counted as lost. */
  readonly maxQueued: number;
  /** `--audit-webhook-initial-backoff`. */
  readonly initialBackoffMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onDropped: (count: number) => void;
}

const maxAttempts = 5;
const backoffFactor = 1.5;

/**
 * Sends events as audit.k8s.io/v1 EventLists, one batch after the other and in order, with retries; what the receiver never took
 * is counted as lost. While a batch is on its way, at most `maxQueued` events wait. `close` sends what waits, without pauses.
 */
export class AuditWebhookBackend implements AuditBackend {
  readonly #options: AuditWebhookOptions;
  readonly #closing = new AbortController();
  #queue: AuditEvent[] = [];
  #cancelTimer: (() => void) | undefined;
  #sending: Promise<void> | undefined;

  constructor(options: AuditWebhookOptions) {
    this.#options = options;
  }

  async record(event: AuditEvent): Promise<void> {
    if (this.#queue.length >= this.#options.maxQueued) {
      this.#options.onDropped(1);
      return;
    }
    this.#queue.push(event);
    if (this.#queue.length >= this.#options.maxBatchSize) this.#flush();
    else this.#cancelTimer ??= this.#options.clock.setTimer(this.#options.maxBatchWaitMs, () => this.#flush());
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error('the audit webhook backend is closing'));
    this.#flush();
    while (this.#sending) await this.#sending;
  }

  #flush(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#sending ??= this.#sendAll();
  }

  async #sendAll(): Promise<void> {
    // Events of this turn go with the first batch.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#deliver(this.#queue.splice(0, this.#options.maxBatchSize));
    // In the same turn as the last look at the queue: an event that comes later starts a new round.
    this.#sending = undefined;
  }

  async #deliver(items: readonly AuditEvent[]): Promise<void> {
    const { client, initialBackoffMs, clock, logger, onDropped } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        await client.post({ kind: 'EventList', apiVersion: 'audit.k8s.io/v1', metadata: {}, items });
        return;
      } catch (error) {
        if (attempt >= maxAttempts) {
          logger.error('the audit webhook did not take a batch', { err: error, events: items.length });
          onDropped(items.length);
          return;
        }
        // Closing does not wait between attempts.
        await clock.sleep(initialBackoffMs * backoffFactor ** (attempt - 1), this.#closing.signal).catch(() => undefined);
      }
    }
  }
}
