/**
 * Keeps a store equal to what the server has of one resource: one list, then a watch from the list's revision, resumed from the last
 * revision seen whenever it ends. Only when the server no longer knows that revision (410) is the list repeated. Events reach the
 * store in order and exactly once per revision. A failing server is retried with growing, jittered pauses. `run` returns when its
 * signal is aborted and leaves no timer behind.
 */
import { StatusError } from '@coffer/api/errors/status-error';
import type { BackoffOptions } from '@coffer/base/backoff';
import { backoffDelayMs } from '@coffer/base/backoff';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ApiObject } from '../rest/api-object.ts';
import type { ListOptions, ResourceClient } from '../rest/resource-client.ts';
import { refId } from '../rest/resource-ref.ts';
import { RevisionGate } from './revision-gate.ts';

/** Where a reflector puts what it sees. Calls are synchronous and must not throw. */
export interface ReflectorStore<T> {
  /** The complete state at `resourceVersion`. */
  replace(items: readonly T[], resourceVersion: string): void;
  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): void;
}

export interface ReflectorDeps<T extends ApiObject> {
  readonly client: ResourceClient<T>;
  readonly store: ReflectorStore<T>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
}

export interface ReflectorOptions<T> extends Pick<ListOptions, 'namespace' | 'labelSelector' | 'fieldSelector' | 'metadataOnly'> {
  /** Drops what the store does not read, as each object arrives; may change the object it gets. */
  readonly transform?: (object: T) => T;
  readonly pageSize?: number;
  /**
   * How the first state comes: `list` (pages of `pageSize`, so that no single answer blocks the event loop) or `watch` (initial
   * events in the stream; falls back to `list` on a server that refuses it).
   */
  readonly initialState?: 'list' | 'watch';
  readonly backoff?: BackoffOptions;
}

const DEFAULT_BACKOFF: BackoffOptions = { initialMs: 250, factor: 2, maxMs: 30_000, jitter: 1 };
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

export class Reflector<T extends ApiObject> {
  readonly #deps: ReflectorDeps<T>;
  readonly #options: ReflectorOptions<T>;
  readonly #gate: RevisionGate;
  #initialState: 'list' | 'watch';
  #resourceVersion: string | undefined;
  /** Consecutive failures; reset by progress. */
  #failures = 0;

  constructor(deps: ReflectorDeps<T>, options: ReflectorOptions<T> = {}) {
    this.#deps = deps;
    this.#options = options;
    this.#gate = new RevisionGate();
    this.#initialState = options.initialState ?? 'list';
  }

  /** The revision the store corresponds to; undefined before the first state. */
  get lastRevision(): string | undefined {
    return this.#gate.revision;
  }

  /** Resolves when the store holds a complete first state. */
  whenSynced(signal?: AbortSignal): Promise<void> {
    return this.#gate.whenAtLeast('0', signal);
  }

  /** Resolves when the store has seen everything up to `resourceVersion`: by an event, a bookmark or a list. */
  whenAtLeast(resourceVersion: string, signal?: AbortSignal): Promise<void> {
    return this.#gate.whenAtLeast(resourceVersion, signal);
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === undefined && this.#initialState === 'list') await this.#list(signal);
        await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) break;
        await this.#recover(error, signal);
      }
    }
    this.#gate.close(signal.reason);
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, store } = this.#deps;
    const { pageSize, ...rest } = this.#listOptions();
    const result = await client.listAll({ ...rest, limit: pageSize, signal }, this.#options.transform);
    store.replace(result.items, result.resourceVersion);
    this.#advance(result.resourceVersion);
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { client, store, clock } = this.#deps;
    const random = this.#deps.random ?? Math.random;
    const { pageSize: _pageSize, ...selection } = this.#listOptions();
    let initial: T[] | undefined = this.#resourceVersion === undefined ? [] : undefined;
    const startedMs = clock.monotonicMs();
    let sawEvent = false;
    const batches = client.watch({
      ...selection,
      ...(initial === undefined
        ? { resourceVersion: this.#resourceVersion ?? '' }
        : { sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' as const }),
      allowWatchBookmarks: true,
      // Spread over time, so that the watches of a restarted server do not all end together.
      timeoutSeconds: Math.floor(300 * (1 + random())),
      signal,
    });
    for await (const events of batches) {
      for (const event of events) {
        if (signal.aborted) return;
        sawEvent = true;
        const revision = event.object.metadata?.resourceVersion ?? '';
        if (event.type === 'BOOKMARK') {
          if (initial !== undefined && event.object.metadata?.annotations?.[INITIAL_EVENTS_END] === 'true') {
            store.replace(initial, revision);
            initial = undefined;
          }
        } else if (initial !== undefined) {
          initial.push(this.#transformed(event.object));
          continue;
        } else {
          store.apply(event.type, this.#transformed(event.object));
        }
        if (initial === undefined) this.#advance(revision);
      }
    }
    if (signal.aborted) return;
    if (initial !== undefined) throw new Error('the watch ended before the initial state was complete');
    // A server that ends every watch at once must not be asked in a tight loop.
    if (!sawEvent && clock.monotonicMs() - startedMs < 1000) throw new Error('the watch ended at once without any event');
  }

  #transformed(object: T): T {
    return this.#options.transform?.(object) ?? object;
  }

  async #recover(error: unknown, signal: AbortSignal): Promise<void> {
    const { clock, logger, client, random } = this.#deps;
    const resource = refId(client.ref);
    if (error instanceof StatusError && (error.code === 410 || error.reason === 'Expired' || error.reason === 'Gone')) {
      logger.debug('the revision is too old, listing again', { resource, resourceVersion: this.#resourceVersion });
      this.#resourceVersion = undefined;
      if (this.#failures++ === 0) return;
    } else if (error instanceof StatusError && this.#initialState === 'watch' && (error.code === 422 || error.code === 400)) {
      this.#initialState = 'list';
      return;
    } else {
      this.#failures++;
      logger.warn('list or watch failed, trying again', { resource, failures: this.#failures, err: error });
    }
    const delayMs = backoffDelayMs(this.#options.backoff ?? DEFAULT_BACKOFF, this.#failures - 1, random);
    await clock.sleep(delayMs, signal).catch(() => undefined);
  }

  #advance(resourceVersion: string): void {
    this.#failures = 0;
    this.#resourceVersion = resourceVersion;
    this.#gate.advance(resourceVersion);
  }

  #listOptions() {
    const { namespace, labelSelector, fieldSelector, metadataOnly, pageSize } = this.#options;
    return { namespace, labelSelector, fieldSelector, metadataOnly: metadataOnly ?? false, pageSize: pageSize ?? 500 };
  }
}
