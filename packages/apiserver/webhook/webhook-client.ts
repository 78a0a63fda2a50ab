import type { Clock } from '@coffer/base/time/clock';

/** Calls the one URL of a webhook that an operator configured. Bodies are JSON both ways. */
export interface WebhookClient {
  /** Resolves with the parsed answer of a 2xx. Throws `WebhookError` for everything else. */
  post(body: object): Promise<unknown>;
}

/** A webhook did not answer as it should. Never holds what was sent. */
export class WebhookError extends Error {
  /** True for failures that may pass: no connection, time-out, 429, 5xx. */
  readonly transient: boolean;

  constructor(message: string, transient: boolean, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'WebhookError';
    this.transient = transient;
  }
}

export interface WebhookRetries {
  readonly attempts: number;
  readonly initialDelayMs: number;
  readonly factor: number;
}

/** Upstream's retries of token and authorization webhooks. */
export const defaultWebhookRetries: WebhookRetries = { attempts: 5, initialDelayMs: 500, factor: 1.5 };

/** Posts until the webhook answers; gives up after `attempts`, or at once when trying again cannot help. */
export async function postWithRetries(client: WebhookClient, body: object, clock: Clock, retries: WebhookRetries): Promise<unknown> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.post(body);
    } catch (error) {
      if (attempt >= retries.attempts || !(error instanceof WebhookError) || !error.transient) throw error;
      const delayMs = retries.initialDelayMs * retries.factor ** (attempt - 1);
      if (delayMs > 0) await clock.sleep(delayMs);
    }
  }
}
