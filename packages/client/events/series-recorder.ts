/**
 * Records events.k8s.io/v1 events, which say what was done (`action`) to what. The same event again within `SERIES_MS` becomes a series of
 * the first one instead of a new event. Recording never fails and never waits.
 */

import { StatusError } from '@coffer/api/errors/status-error';
import type { EventsV1Event, V1ObjectReference } from '@coffer/api/generated/types';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ApiClient } from '../rest/api-client.ts';
import { apiMicroTime } from '../rest/api-time.ts';
import { NEW_EVENTS } from '../rest/well-known.ts';
import { EventNames } from './event-names.ts';

export interface SeriesRecorderDeps {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `reportingController`, e.g. `default-scheduler`. */
  readonly controller: string;
  /** `reportingInstance`, e.g. `default-scheduler-host1`. */
  readonly instance: string;
}

export interface ActionEvent {
  readonly regarding: V1ObjectReference;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

const SERIES_MS = 6 * 60_000;
const MAX_SERIES = 4096;
const MAX_QUEUED = 5000;
const MAX_SENDING = 8;

interface Series {
  readonly namespace: string;
  readonly name: string;
  count: number;
  lastMs: number;
}

export class SeriesRecorder {
  readonly #deps: SeriesRecorderDeps;
  readonly #signal: AbortSignal;
  readonly #names: EventNames;
  readonly #series = new Map<string, Series>();
  readonly #queue: (() => Promise<unknown>)[] = [];
  #sending = 0;

  constructor(deps: SeriesRecorderDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#names = new EventNames(deps.clock);
  }

  record(event: ActionEvent): void {
    if (this.#signal.aborted) return;
    const { regarding, type, reason, action, note } = event;
    const key = [regarding.kind, regarding.namespace, regarding.name, regarding.uid, type, reason, action, note].join('\n');
    const nowMs = this.#deps.clock.now();
    const known = this.#series.get(key);
    if (known !== undefined && nowMs - known.lastMs < SERIES_MS) {
      known.count++;
      known.lastMs = nowMs;
      const series = { count: known.count, lastObservedTime: apiMicroTime(nowMs) };
      this.#send(() =>
        this.#deps.api.resource(NEW_EVENTS).patch(known.name, 'merge', { series }, { namespace: known.namespace, signal: this.#signal }),
      );
      return;
    }
    const namespace = regarding.namespace === undefined || regarding.namespace === '' ? 'default' : regarding.namespace;
    const name = this.#names.next(regarding.name ?? '');
    this.#remember(key, { namespace, name, count: 1, lastMs: nowMs });
    const created: EventsV1Event = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name, namespace },
      eventTime: apiMicroTime(nowMs),
      reportingController: this.#deps.controller,
      reportingInstance: this.#deps.instance,
      action,
      reason,
      regarding,
      note: note.slice(0, 1024),
      type,
    };
    this.#send(() => this.#deps.api.resource(NEW_EVENTS).create(created, { namespace, signal: this.#signal }));
  }

  #remember(key: string, series: Series): void {
    this.#series.delete(key);
    this.#series.set(key, series);
    if (this.#series.size <= MAX_SERIES) return;
    const oldest = this.#series.keys().next();
    if (!oldest.done) this.#series.delete(oldest.value);
  }

  #send(write: () => Promise<unknown>): void {
    if (this.#queue.length >= MAX_QUEUED) {
      this.#deps.logger.warn('too many events wait to be sent, dropping one');
      return;
    }
    this.#queue.push(write);
    if (this.#sending < MAX_SENDING) void this.#sendQueued();
  }

  async #sendQueued(): Promise<void> {
    this.#sending++;
    for (let write = this.#queue.shift(); write !== undefined && !this.#signal.aborted; write = this.#queue.shift()) {
      try {
        await write();
      } catch (error) {
        const inVain = error instanceof StatusError && (error.reason === 'NotFound' || error.reason === 'Forbidden');
        if (!inVain && !this.#signal.aborted) this.#deps.logger.warn('an event could not be recorded', { err: error });
      }
    }
    this.#sending--;
  }
}
