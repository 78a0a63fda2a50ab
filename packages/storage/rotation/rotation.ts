import type { Clock } from '@coffer/base/time/clock';
import type { Backend } from '../backend/backend.ts';
import type { ExchangePoint, ExchangeResult } from '../backend/lmdb-exchange.ts';
import type { Storage } from '../store/storage.ts';
import { newKeyName, newKeySecret } from '../value/encrypt/new-configuration.ts';
import { describeKey } from './check-keys.ts';
import { addSecondKeys, keysToRotate, putNewKeysFirst, type RotatedKey, removeOldKeys } from './edit-configuration.ts';
import { keysInUse } from './keys-in-use.ts';
import { reEncrypt } from './re-encrypt.ts';

/**
 * Exchanges the keys of the store while it is being used, in five steps. Each is recorded durably before it begins and can be
 * repeated, so a rotation that was cut off goes on where it was:
 *
 *   1 the new keys stand second in the configuration, which every API server has acknowledged: all can read them
 *   2 the new keys stand first, acknowledged again: all write with them
 *   3 every object that was written with something else is written anew
 *   4 history is compacted to the present, and the store's file replaced by a copy without what was deleted
 *   5 the old keys are removed; refused while a live object or a readable revision needs them
 *
 * Rules whose first provider is a KMS plugin take part in 3 and 4; their keys are the plugin's.
 */
export interface RotationDeps {
  readonly storage: Storage;
  readonly backend: Backend;
  readonly clock: Clock;
  /** The configuration's text; `write` is durable, directory included, when it resolves. */
  readonly configuration: { read(): Promise<string>; write(text: string): Promise<void> };
  /** Resolves when every API server uses the configuration as it is now; rejects when one refuses it. */
  readonly acknowledged: () => Promise<void>;
  readonly records: { load(): Promise<RotationRecord | undefined>; save(record: RotationRecord): Promise<void> };
  /** Storage prefixes and resources whose values may be encrypted. */
  readonly prefixes: () => readonly string[];
  /** Whether any rule encrypts with something else than local keys, so that there is work without a new key. */
  readonly hasPluginKeys: () => boolean;
  /** Replaces the store's file; undefined where the store has none. */
  readonly exchangeFile?: (reached: (point: ExchangePoint) => void) => Promise<ExchangeResult>;
  /** Points at which tests cut a rotation off. */
  readonly failpoint: (name: string) => void;
}

export interface RotationRecord {
  readonly step: RotationStep;
  readonly startedAt: string;
  readonly keys: readonly RotatedKey[];
  readonly finishedAt?: string;
}

export type RotationStep = 1 | 2 | 3 | 4 | 5 | 'done';

export interface RotationProgress {
  readonly running: boolean;
  readonly step: RotationStep;
  readonly startedAt: string;
  readonly newKeys: readonly string[];
  /** True when an earlier run of this rotation was cut off. */
  readonly resumed: boolean;
  readonly written: number;
  readonly total: number;
  readonly exchange?: ExchangeResult;
  readonly error?: string;
  readonly durationMs: number;
}

const maxRepetitions = 5;

export class Rotation {
  readonly #deps: RotationDeps;
  readonly #stopped = new AbortController();
  #progress: RotationProgress | undefined;
  #running: Promise<void> | undefined;

  constructor(deps: RotationDeps) {
    this.#deps = deps;
  }

  /** What the running or the last rotation of this process has done; undefined when there was none. */
  get progress(): RotationProgress | undefined {
    return this.#progress;
  }

  /** The record of a rotation that was cut off and not taken up again. */
  async unfinished(): Promise<RotationRecord | undefined> {
    const record = await this.#deps.records.load();
    return record === undefined || record.step === 'done' || this.#running !== undefined ? undefined : record;
  }

  /** Begins a rotation, or goes on with the one that was cut off; one that runs already goes on. Rejects when it cannot begin. */
  async start(rate: number): Promise<RotationProgress> {
    if (this.#running !== undefined && this.#progress !== undefined) return this.#progress;
    const startedMs = this.#deps.clock.monotonicMs();
    const { record, resumed } = await this.#open();
    if (this.#running !== undefined && this.#progress !== undefined) return this.#progress;
    const newKeys = record.keys.map(({ newName }) => newName);
    const base = { running: true, step: record.step, startedAt: record.startedAt, newKeys, resumed, written: 0, total: 0, durationMs: 0 };
    this.#progress = base;
    this.#running = this.#run(record, rate, startedMs)
      .catch((error: unknown) => this.#note({ error: error instanceof Error ? error.message : String(error) }))
      .finally(() => {
        this.#running = undefined;
        this.#note({ running: false, durationMs: Math.round(this.#deps.clock.monotonicMs() - startedMs) });
      });
    return base;
  }

  /** Stops between two writes; a later start goes on. */
  async close(): Promise<void> {
    this.#stopped.abort(new Error('the server is stopping'));
    await this.#running;
  }

  async #open(): Promise<{ readonly record: RotationRecord; readonly resumed: boolean }> {
    const { records, configuration, clock, hasPluginKeys } = this.#deps;
    const known = await records.load();
    if (known !== undefined && known.step !== 'done') return { record: known, resumed: true };
    const now = new Date(clock.now());
    const keys = keysToRotate(await configuration.read(), () => newKeyName(now));
    if (keys.length === 0 && !hasPluginKeys()) {
      throw new Error('there is no key to rotate: no rule of the encryption configuration begins with an encrypting provider');
    }
    const record: RotationRecord = { step: 1, startedAt: now.toISOString(), keys };
    await records.save(record);
    return { record, resumed: false };
  }

  async #run(initial: RotationRecord, rate: number, startedMs: number): Promise<void> {
    const { records, failpoint } = this.#deps;
    let record = initial;
    for (let repetitions = 0; record.step !== 'done'; ) {
      this.#stopped.signal.throwIfAborted();
      this.#note({ step: record.step, durationMs: Math.round(this.#deps.clock.monotonicMs() - startedMs) });
      failpoint(`rotate-${record.step}-begin`);
      const next = await this.#step(record.step, record.keys, rate);
      failpoint(`rotate-${record.step}-end`);
      if (next !== 'done' && next < record.step && ++repetitions > maxRepetitions) {
        throw new Error(`objects are still being written with the old keys: ${await this.#stillUsed(record.keys)}`);
      }
      record = { ...record, step: next, ...(next === 'done' ? { finishedAt: new Date(this.#deps.clock.now()).toISOString() } : {}) };
      await records.save(record);
    }
    this.#note({ step: 'done' });
  }

  /** Carries out one step; returns the one that follows. */
  async #step(step: 1 | 2 | 3 | 4 | 5, keys: readonly RotatedKey[], rate: number): Promise<RotationStep> {
    const { storage, clock, exchangeFile, failpoint } = this.#deps;
    switch (step) {
      case 1:
        await this.#change(step, (text) => addSecondKeys(text, keys, newKeySecret));
        return 2;
      case 2:
        await this.#change(step, (text) => putNewKeysFirst(text, keys));
        return 3;
      case 3:
        await reEncrypt(storage.stores, {
          rate,
          clock,
          signal: this.#stopped.signal,
          onProgress: (written, total) => {
            this.#note({ written, total });
            failpoint('rotate-3-write');
          },
        });
        return 4;
      case 4: {
        await storage.compact();
        failpoint('rotate-4-compacted');
        if (exchangeFile !== undefined) this.#note({ exchange: await exchangeFile((point) => failpoint(`rotate-4-${point}`)) });
        return 5;
      }
      case 5: {
        // A write that was on its way at step 2 may have come behind step 3.
        if ((await this.#stillUsed(keys)) !== '') return 3;
        await this.#change(step, (text) => removeOldKeys(text, keys));
        return 'done';
      }
    }
  }

  async #change(step: number, edit: (text: string) => string): Promise<void> {
    const { configuration, acknowledged, failpoint } = this.#deps;
    const before = await configuration.read();
    const after = edit(before);
    if (after !== before) await configuration.write(after);
    failpoint(`rotate-${step}-written`);
    await acknowledged();
  }

  /** Which old keys a live object or a readable revision needs, in words; empty when none. */
  async #stillUsed(keys: readonly RotatedKey[]): Promise<string> {
    const old = new Set(keys.flatMap(({ provider, oldNames }) => oldNames.map((name) => `k8s:enc:${provider}:v1:${name}:`)));
    const used = await keysInUse(this.#deps.backend, this.#deps.prefixes());
    return [...used]
      .filter((head) => old.has(head))
      .map(describeKey)
      .join(', ');
  }

  #note(change: Partial<RotationProgress>): void {
    if (this.#progress !== undefined) this.#progress = { ...this.#progress, ...change };
  }
}
