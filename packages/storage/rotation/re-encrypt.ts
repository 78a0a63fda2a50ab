import type { Clock } from '@coffer/base/time/clock';
import { StorageError } from '../errors.ts';
import type { ResourceStore, StoredObject } from '../store/store.ts';

/**
 * Writes every object anew that its provider would store differently now, each by an ordinary compare-and-swap: one new
 * resourceVersion, one MODIFIED event, the same content. At most `rate` writes in a second.
 */
export interface ReEncryptOptions {
  readonly rate: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void | Promise<void>;
}

const concurrency = 16;

/** Returns the number of objects that were written. Throws UnreadableError when a value is damaged. */
export async function reEncrypt(stores: readonly ResourceStore[], options: ReEncryptOptions): Promise<number> {
  const { rate, clock, signal } = options;
  let written = 0;
  // Writes that were on their way when the key changed may arrive behind the first look.
  for (;;) {
    const stale = await staleObjects(stores);
    if (stale.length === 0) return written;
    const total = written + stale.length;
    await options.onProgress(written, total);
    const startedMs = clock.monotonicMs();
    let next = 0;
    const work = async () => {
      for (let job = stale[next]; job !== undefined; job = stale[next]) {
        const waitMs = startedMs + (next++ * 1000) / rate - clock.monotonicMs();
        if (waitMs > 0) await clock.sleep(waitMs, signal);
        signal.throwIfAborted();
        await rewrite(job.store, job.object);
        written++;
        await options.onProgress(written, total);
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, stale.length) }, work));
  }
}

export async function staleObjects(
  stores: readonly ResourceStore[],
): Promise<{ readonly store: ResourceStore; readonly object: StoredObject }[]> {
  const stale: { readonly store: ResourceStore; readonly object: StoredObject }[] = [];
  for (const store of stores) {
    await store.whenFresh('latest');
    const { items } = await store.list({});
    for (const object of items) if (object.stale) stale.push({ store, object });
  }
  return stale;
}

async function rewrite(store: ResourceStore, { namespace, name }: StoredObject): Promise<void> {
  try {
    await store.guaranteedUpdate(namespace, name, (current) =>
      current?.stale ? { action: 'write', object: current.decode() } : { action: 'keep' },
    );
  } catch (error) {
    // Deleted meanwhile.
    if (!(error instanceof StorageError && error.code === 'key-not-found')) throw error;
  }
}
