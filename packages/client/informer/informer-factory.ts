/**
 * Informers shared by everything that uses one identity: the same resource and selection is listed and watched once. An informer
 * starts when it is first asked for and runs until the factory's signal is aborted.
 */
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ApiClient } from '../rest/api-client.ts';
import type { ApiObject } from '../rest/api-object.ts';
import type { ResourceRef } from '../rest/resource-ref.ts';
import { refId } from '../rest/resource-ref.ts';
import type { InformerOptions } from './informer.ts';
import { Informer } from './informer.ts';

export interface InformerFactoryDeps {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What part of a resource an informer holds. */
export interface InformerSelection {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

interface Started {
  readonly informer: { run(signal: AbortSignal): Promise<void>; whenSynced(signal?: AbortSignal): Promise<void> };
  readonly done: Promise<void>;
}

export class InformerFactory {
  readonly #deps: InformerFactoryDeps;
  readonly #signal: AbortSignal;
  readonly #informers = new Map<string, Started>();

  constructor(deps: InformerFactoryDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
  }

  /** The shared informer of a resource. Only the default transform is possible, because it is shared. */
  informer<T extends ApiObject>(ref: ResourceRef<T>, selection: InformerSelection = {}): Informer<T> {
    const id = [refId(ref), ref.version, selection.namespace, selection.labelSelector, selection.fieldSelector].join('\n');
    const known = this.#informers.get(id);
    if (known !== undefined) return known.informer as Informer<T>;
    const { api, clock, logger } = this.#deps;
    const options: InformerOptions<T> = selection;
    const informer = new Informer<T>({ client: api.resource(ref), clock, logger }, options);
    this.#informers.set(id, { informer, done: informer.run(this.#signal) });
    return informer;
  }

  /** Resolves when every informer asked for so far holds a complete first state. */
  async whenSynced(signal?: AbortSignal): Promise<void> {
    await Promise.all([...this.#informers.values()].map((started) => started.informer.whenSynced(signal ?? this.#signal)));
  }

  /** Resolves when all informers have stopped after the factory's signal. */
  async whenStopped(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((started) => started.done));
  }
}
