import { StorageError } from '../../errors.ts';

/**
 * How often each key has encrypted something, over restarts. AES-GCM with random nonces must not be used more often than 2³²
 * times with one key. Counts are saved ahead: after a crash they are too high by at most `savedAhead`, never too low by more than
 * what is written while a save is on its way.
 */
export interface KeyUsageFile {
  /** The counts that were saved last; empty at first. */
  load(): Promise<Readonly<Record<string, number>>>;
  /** Durable when it resolves. */
  save(counts: Readonly<Record<string, number>>): Promise<void>;
}

/** Writes after which a key should be replaced. */
export const manyWrites = 200_000;
/** Writes after which a key is refused. */
export const maxWrites = 2 ** 32;
const savedAhead = 10_000;

export class KeyUsage {
  readonly #file: KeyUsageFile;
  readonly #counters = new Map<string, KeyCounter>();
  /** Keys that are in use or were, and that the file names. */
  readonly #known = new Set<string>();
  #saving: Promise<void> | undefined;
  #dirty = false;

  private constructor(file: KeyUsageFile, counts: Readonly<Record<string, number>>) {
    this.#file = file;
    for (const [writeId, count] of Object.entries(counts)) {
      this.#counters.set(writeId, this.#counter(count));
      this.#known.add(writeId);
    }
  }

  static async open(file: KeyUsageFile): Promise<KeyUsage> {
    return new KeyUsage(file, await file.load());
  }

  /** The counter of a key, by `Transformer.writeId`. */
  counterOf(writeId: string): KeyCounter {
    const known = this.#counters.get(writeId);
    if (known !== undefined) return known;
    const counter = this.#counter(0);
    this.#counters.set(writeId, counter);
    return counter;
  }

  /** All keys (by `Transformer.writeId`) that this store has ever been used with. */
  get known(): ReadonlySet<string> {
    return this.#known;
  }

  /** Makes sure that it is remembered that these keys are used here. */
  async remember(writeIds: readonly string[]): Promise<void> {
    const unknown = writeIds.filter((writeId) => !this.#known.has(writeId));
    if (unknown.length === 0) return;
    for (const writeId of unknown) this.#known.add(writeId);
    await this.#save(0);
  }

  /** Saves the exact counts. */
  async close(): Promise<void> {
    await this.#saving;
    await this.#save(0);
  }

  #counter(count: number): KeyCounter {
    return new KeyCounter(count, () => {
      this.#dirty = true;
      this.#saving ??= this.#saveWhileDirty();
    });
  }

  async #saveWhileDirty(): Promise<void> {
    while (this.#dirty) {
      this.#dirty = false;
      // A save that fails is tried again with the next write that needs one.
      await this.#save(savedAhead).catch(() => undefined);
    }
    // In the same turn as the last look at `dirty`: whoever sets it later starts the next save.
    this.#saving = undefined;
  }

  async #save(ahead: number): Promise<void> {
    const counts: Record<string, number> = {};
    for (const writeId of this.#known) {
      const { count } = this.counterOf(writeId);
      counts[writeId] = count + (count > 0 ? ahead : 0);
    }
    await this.#file.save(counts);
    for (const [writeId, counter] of this.#counters) counter.saved = Math.max(counter.saved, counts[writeId] ?? 0);
  }
}

export class KeyCounter {
  count: number;
  /** What the file says. */
  saved: number;
  readonly #onUnsaved: () => void;

  constructor(count: number, onUnsaved: () => void) {
    this.count = count;
    this.saved = count;
    this.#onUnsaved = onUnsaved;
  }

  /** Counts one write. Throws `unavailable` when there have been too many. */
  add(): void {
    if (this.count >= maxWrites) {
      throw new StorageError('unavailable', `the encryption key has been used ${maxWrites} times and must be replaced`);
    }
    this.count++;
    if (this.count > this.saved) this.#onUnsaved();
  }
}
