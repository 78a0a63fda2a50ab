import { isRecord } from '@coffer/api/meta/safe-object';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { Backend, KeyValue } from '../backend/backend.ts';

/**
 * The API servers that share one store, and which encryption keys each uses: every server writes a sign of life every few seconds.
 * Whether another one lives is judged by whether its sign changes, so clocks need not agree. The signs lie beside the objects,
 * where no API shows them.
 */
export interface ServerRegistryDeps {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Unique, and readable for an operator. */
  readonly id: string;
  /** Equal on two servers exactly when they use the same keys in the same order. */
  readonly keysDigest: () => string;
}

const prefix = '/registry/coffer.dev/apiservers/';
const signEveryMs = 5_000;
/** How soon a sign follows a change of the keys. */
const noticeEveryMs = 500;
/** A server whose sign has not changed for this long does not live any more. */
const deadAfterMs = 20_000;
const patienceMs = 120_000;
const lookEveryMs = 200;

export class ServerRegistry {
  readonly #deps: ServerRegistryDeps;
  #signing: Promise<void> = Promise.resolve();
  /** What the last sign said, and its monotonic time. */
  #last = { digest: '', atMs: 0 };
  #cancelTimer = () => {};
  #closed = false;

  constructor(deps: ServerRegistryDeps) {
    this.#deps = deps;
  }

  /** Writes the first sign and goes on. */
  async open(): Promise<void> {
    await this.#sign();
    this.#arm();
  }

  /**
   * Resolves when every living server uses the keys this one uses now. Rejects with the names of those that do not after two
   * minutes: their configuration has to be brought to the same state.
   */
  async acknowledged(signal?: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const wanted = this.#deps.keysDigest();
    const startedMs = clock.monotonicMs();
    const seen = new Map<string, { readonly revision: number; readonly atMs: number }>();
    await this.#sign();
    for (;;) {
      const nowMs = clock.monotonicMs();
      const waiting: string[] = [];
      for (const kv of await this.#others()) {
        const known = seen.get(kv.key);
        if (known?.revision !== kv.modRevision) seen.set(kv.key, { revision: kv.modRevision, atMs: nowMs });
        else if (nowMs - known.atMs > deadAfterMs) continue;
        if (digestOf(kv) !== wanted) waiting.push(kv.key.slice(prefix.length));
      }
      if (waiting.length === 0) return;
      if (nowMs - startedMs > patienceMs) {
        throw new Error(`other API servers do not use the same encryption configuration: ${waiting.join(', ')}; give them the same file`);
      }
      await clock.sleep(lookEveryMs, signal);
    }
  }

  /** Takes the sign away. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer();
    await this.#signing;
    const { kv } = await this.#deps.backend.get(this.#key);
    if (kv !== undefined) await this.#deps.backend.delete(this.#key, kv.modRevision);
  }

  get #key(): string {
    return prefix + this.#deps.id;
  }

  async #others(): Promise<readonly KeyValue[]> {
    return (await this.#deps.backend.list(prefix)).kvs.filter(({ key }) => key !== this.#key);
  }

  #arm(): void {
    this.#cancelTimer = this.#deps.clock.setTimer(noticeEveryMs, () => {
      this.#signIfDue()
        .catch((error: unknown) => this.#deps.logger.warn('the sign of life of this API server could not be written', { err: error }))
        .finally(() => {
          if (!this.#closed) this.#arm();
        });
    });
  }

  async #signIfDue(): Promise<void> {
    const { clock, keysDigest } = this.#deps;
    if (keysDigest() !== this.#last.digest || clock.monotonicMs() - this.#last.atMs >= signEveryMs) await this.#sign();
  }

  #sign(): Promise<void> {
    const done = this.#signing.then(async () => {
      const { backend, clock, keysDigest } = this.#deps;
      const digest = keysDigest();
      const { kv } = await backend.get(this.#key);
      const value = Buffer.from(JSON.stringify({ keys: digest }));
      await (kv === undefined ? backend.create(this.#key, value) : backend.update(this.#key, value, kv.modRevision));
      this.#last = { digest, atMs: clock.monotonicMs() };
    });
    this.#signing = done.catch(() => undefined);
    return done;
  }
}

function digestOf({ value }: KeyValue): string | undefined {
  try {
    const sign: unknown = JSON.parse(Buffer.from(value).toString('utf8'));
    return isRecord(sign) && typeof sign.keys === 'string' ? sign.keys : undefined;
  } catch {
    return undefined;
  }
}
