import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { AuditBackend, AuditEvent } from './backend.ts';

export interface AuditWebhookOptions {
  /** Sends one JSON body; rejects when the receiver did not answer 2xx. */
  readonly send: (body: string) => Promise<void>;
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

/** Sends events as audit.k8s.io/v1 EventLists in batches, with retries; what the receiver never took is counted as lost. */
export class AuditWebhookBackend implements AuditBackend {
  readonly #options: AuditWebhookOptions;
  #queue: AuditEvent[] = [];
  #cancelTimer: (() => void) | undefined;
  #sending: Promise<void> = Promise.resolve();

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
    this.#flush();
    await this.#sending;
  }

  #flush(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    while (this.#queue.length > 0) {
      const items = this.#queue.splice(0, this.#options.maxBatchSize);
      this.#sending = this.#sending.then(() => this.#deliver(items));
    }
  }

  async #deliver(items: readonly AuditEvent[]): Promise<void> {
    const body = JSON.stringify({ kind: 'EventList', apiVersion: 'audit.k8s.io/v1', metadata: {}, items });
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      try {
        await this.#options.send(body);
        return;
      } catch (error) {
        if (attempt === maxAttempts - 1) {
          this.#options.logger.error('audit webhook did not take a batch', { err: error, events: items.length });
          this.#options.onDropped(items.length);
          return;
        }
        await this.#options.clock.sleep(this.#options.initialBackoffMs * 1.5 ** attempt);
      }
    }
  }
}
