import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { Transformer } from '../transformer.ts';
import { type Encryption, loadEncryptionConfig } from './encryption.ts';
import type { EncryptionObserver } from './encryption-observer.ts';
import type { KeyUsage } from './key-usage.ts';
import { ReloadableEncryption } from './reloadable-encryption.ts';

/**
 * Encryption as a file describes it, followed while the file changes (edited, replaced by a rename, or behind symbolic links that
 * change). A new file that is not valid, or that could not read what the store has, is refused: the old one stays in use.
 */
export interface WatchedConfigurationOptions {
  readonly file: string;
  readonly automaticReload: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly usage: KeyUsage;
  readonly observer?: EncryptionObserver;
  /** Told of every attempt to use a changed file. */
  readonly onReload?: (outcome: 'success' | 'failure') => void;
  /** Told which file is in use from now on: the SHA-256 of its text. */
  readonly onUse?: (digest: string) => void;
}

/** Rejects with the reason why `next` must not be used. */
export type ConfigurationCheck = (next: Encryption) => Promise<void>;

const pollMs = 500;
/** How long an exchanged configuration may still be in use: the longest call of a KMS plugin and more. */
const closeOldAfterMs = 60_000;

export class WatchedConfiguration {
  readonly file: string;
  readonly #options: WatchedConfigurationOptions;
  readonly #encryption: ReloadableEncryption;
  readonly #retired = new Set<Encryption>();
  #digest: string;
  #lastRefusal: string | undefined;
  #lastError: Error | undefined;
  #check: ConfigurationCheck = async () => {};
  #seen = '';
  #reloading: Promise<void> = Promise.resolve();
  #cancelTimer = () => {};
  #closed = false;

  private constructor(options: WatchedConfigurationOptions, initial: Encryption, digest: string) {
    this.file = options.file;
    this.#options = options;
    this.#encryption = new ReloadableEncryption(initial);
    this.#digest = digest;
  }

  /** Reads the file; rejects with an Error that names it and every problem of it. */
  static async open(options: WatchedConfigurationOptions): Promise<WatchedConfiguration> {
    const { encryption, digest } = await load(options);
    const configuration = new WatchedConfiguration(options, encryption, digest);
    options.onUse?.(digest);
    if (options.automaticReload) await configuration.#poll();
    return configuration;
  }

  get current(): Encryption {
    return this.#encryption.current;
  }

  /** SHA-256 of the text in use. */
  get digest(): string {
    return this.#digest;
  }

  /** Why the file, as it is now, is not in use; undefined when it is. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  transformerFor(group: string, resource: string): Transformer {
    return this.#encryption.transformerFor(group, resource);
  }

  /** Call it when the configuration at start was found to fit the store: its keys are known here from now on. */
  accept(): Promise<void> {
    return this.#options.usage.remember(this.current.writeIds);
  }

  /** Every file is asked of `check` before it replaces the one in use. */
  checkWith(check: ConfigurationCheck): void {
    this.#check = check;
  }

  /** Uses the file as it is now. Rejects, and keeps what is in use, when it must not be used. */
  reload(): Promise<void> {
    const done = this.#reloading.then(() => this.#reload());
    this.#reloading = done.catch(() => undefined);
    return done;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer();
    await this.#reloading;
    await Promise.all([...this.#retired, this.current].map((encryption) => encryption.close()));
  }

  async #reload(): Promise<void> {
    const { onReload, onUse } = this.#options;
    try {
      const { encryption, digest } = await load(this.#options);
      if (digest === this.#digest) {
        this.#lastError = undefined;
        await encryption.close();
        return;
      }
      try {
        await this.#check(encryption);
        await this.#options.usage.remember(encryption.writeIds);
      } catch (error) {
        await encryption.close();
        throw error;
      }
      this.#retire(this.#encryption.replace(encryption));
      this.#digest = digest;
      this.#lastError = undefined;
      onUse?.(digest);
      onReload?.('success');
    } catch (error) {
      this.#lastError = error instanceof Error ? error : new Error(String(error));
      onReload?.('failure');
      throw error;
    }
  }

  #retire(old: Encryption): void {
    this.#retired.add(old);
    this.#options.clock.setTimer(closeOldAfterMs, () => {
      this.#retired.delete(old);
      void old.close();
    });
  }

  /** Looks at the file's identity, size and time; reads it only when one of them has changed. */
  async #poll(): Promise<void> {
    const identity = await identify(this.file);
    const first = this.#seen === '';
    if (identity !== this.#seen) {
      this.#seen = identity;
      if (!first) await this.#reloadInBackground();
    }
    if (!this.#closed) this.#cancelTimer = this.#options.clock.setTimer(pollMs, () => void this.#poll());
  }

  async #reloadInBackground(): Promise<void> {
    const { logger } = this.#options;
    const before = this.#digest;
    try {
      await this.reload();
      if (this.#digest !== before) logger.warn('the encryption configuration was reloaded', { file: this.file });
      this.#lastRefusal = undefined;
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      if (message !== this.#lastRefusal) {
        logger.error('the changed encryption configuration is refused, the old one stays in use', { file: this.file, err: error });
      }
      this.#lastRefusal = message;
    }
  }
}

async function load(options: WatchedConfigurationOptions): Promise<{ readonly encryption: Encryption; readonly digest: string }> {
  const { file, clock, logger, usage, observer } = options;
  try {
    const bytes = await readFile(file);
    const digest = createHash('sha256').update(bytes).digest('hex');
    const text = bytes.toString('utf8');
    bytes.fill(0);
    return { encryption: loadEncryptionConfig(text, { clock, logger, usage, ...(observer && { observer }) }), digest };
  } catch (error) {
    throw new Error(`the encryption configuration ${file} cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function identify(file: string): Promise<string> {
  try {
    const { ino, dev, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return `${dev}:${ino}:${size}:${mtimeNs}:${ctimeNs}`;
  } catch (error) {
    return `missing: ${(error as NodeJS.ErrnoException).code}`;
  }
}
