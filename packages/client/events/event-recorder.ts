/**
 * Records core/v1 events about objects. Recording never fails and never waits: events are sent in order by one background task.
 * The same event again raises `count` of the first one; many similar ones are combined; a noisy object is cut off (see
 * `event-correlator.ts`). When the server cannot be reached, an event is tried a few times and then dropped, with a log line.
 */

import { isReason, StatusError } from '@coffer/api/errors/status-error';
import type { CoreV1Event, V1ObjectReference } from '@coffer/api/generated/types';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ApiClient } from '../rest/api-client.ts';
import type { ApiObject } from '../rest/api-object.ts';
import { apiTime } from '../rest/api-time.ts';
import { EVENTS } from '../rest/well-known.ts';
import { EventCorrelator } from './event-correlator.ts';
import { EventNames } from './event-names.ts';

export interface EventRecorderDeps {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Who reports: `deployment-controller`, `kubelet`. */
  readonly component: string;
  /** The node, for reporters that run on one. */
  readonly host?: string;
}

export interface EventRecorder {
  /** `about` is the object, or a reference when a part of it is meant (`fieldPath`). */
  record(about: ApiObject | V1ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): void;
}

const MAX_QUEUED = 1000;
const MAX_TRIES = 12;
const MAX_MESSAGE_BYTES = 1024;

/** A recorder that sends events until the signal is aborted. */
export class ApiEventRecorder implements EventRecorder {
  readonly #deps: EventRecorderDeps;
  readonly #signal: AbortSignal;
  readonly #correlator: EventCorrelator;
  readonly #names: EventNames;
  readonly #queue: CoreV1Event[] = [];
  #sending = false;

  constructor(deps: EventRecorderDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#correlator = new EventCorrelator(deps.clock);
    this.#names = new EventNames(deps.clock);
  }

  record(about: ApiObject | V1ObjectReference, type: 'Normal' | 'Warning', reason: string, message: string): void {
    if (this.#signal.aborted) return;
    if (this.#queue.length >= MAX_QUEUED) {
      this.#deps.logger.warn('too many events wait to be sent, dropping one', { reason });
      return;
    }
    this.#queue.push(this.#makeEvent(referenceTo(about), type, reason, truncated(message)));
    if (!this.#sending) {
      this.#sending = true;
      void this.#sendAll();
    }
  }

  #makeEvent(reference: V1ObjectReference, type: string, reason: string, message: string): CoreV1Event {
    const time = apiTime(this.#deps.clock.now());
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {
        name: this.#names.next(reference.name ?? ''),
        namespace: reference.namespace === undefined || reference.namespace === '' ? 'default' : reference.namespace,
      },
      involvedObject: reference,
      reason,
      message,
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
      type,
      source: { component: this.#deps.component, ...(this.#deps.host === undefined ? {} : { host: this.#deps.host }) },
      reportingComponent: this.#deps.component,
      reportingInstance: this.#deps.host ?? '',
    };
  }

  async #sendAll(): Promise<void> {
    for (let event = this.#queue.shift(); event !== undefined && !this.#signal.aborted; event = this.#queue.shift()) {
      try {
        await this.#send(event);
      } catch (error) {
        if (!this.#signal.aborted) this.#deps.logger.warn('an event could not be recorded', { reason: event.reason, err: error });
      }
    }
    this.#sending = false;
  }

  async #send(recorded: CoreV1Event): Promise<void> {
    const correlated = this.#correlator.correlate(recorded);
    if (correlated.kind === 'skip') return;
    for (let attempt = 1; ; attempt++) {
      try {
        const written = await this.#write(correlated.event, correlated.kind === 'repeat');
        this.#correlator.written(correlated.key, written);
        return;
      } catch (error) {
        // The server understood and refused (a namespace that is going away, for example): trying again does not help.
        if (error instanceof StatusError && error.code < 500 && error.code !== 429) {
          const inVain = error.reason === 'AlreadyExists' || error.reason === 'NotFound' || isNamespaceTerminating(error);
          if (inVain) return;
          throw error;
        }
        if (attempt >= MAX_TRIES) throw error;
        await this.#deps.clock.sleep(10_000 * (attempt === 1 ? Math.random() : 1), this.#signal);
      }
    }
  }

  async #write(event: CoreV1Event, repeated: boolean): Promise<CoreV1Event> {
    const client = this.#deps.api.resource(EVENTS);
    const namespace = event.metadata.namespace;
    if (repeated && event.metadata.name !== undefined) {
      const patch = { count: event.count, lastTimestamp: event.lastTimestamp, message: event.message };
      try {
        return await client.patch(event.metadata.name, 'strategic', patch, { namespace, signal: this.#signal });
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
      }
    }
    return client.create(event, { namespace, signal: this.#signal });
  }
}

function isNamespaceTerminating(error: StatusError): boolean {
  return error.status.details?.causes?.some((cause) => cause.reason === 'NamespaceTerminating') ?? false;
}

function referenceTo(about: ApiObject | V1ObjectReference): V1ObjectReference {
  if (!('metadata' in about) || about.metadata === undefined) return about as V1ObjectReference;
  const { metadata } = about;
  return {
    kind: about.kind ?? '',
    ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
    name: metadata.name ?? '',
    uid: metadata.uid ?? '',
    apiVersion: about.apiVersion ?? '',
    resourceVersion: metadata.resourceVersion ?? '',
  };
}

/** Events hold at most 1024 bytes of message; a longer one is cut at a character. */
function truncated(message: string): string {
  const bytes = Buffer.from(message);
  if (bytes.length <= MAX_MESSAGE_BYTES) return message;
  let end = MAX_MESSAGE_BYTES;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString();
}
