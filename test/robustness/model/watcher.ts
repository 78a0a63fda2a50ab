/** A client that watches, is cut off now and then, and resumes behind the last version it saw. */
import type { ClientRequest } from 'node:http';
import { request } from 'node:https';
import { type CofferProcess, eventually } from '../../support/coffer-process.ts';
import { selectorText } from './clients.ts';
import { type Selector, seenOf, type Watch, type WatchEvent } from './history.ts';

export interface WatcherOptions {
  readonly coffer: CofferProcess;
  readonly namespace: string;
  readonly client: number;
  readonly from: Watch['from'];
  readonly selector: Selector;
  /** It may be cut: it starts from a version, or knows where its initial events end. */
  readonly mayCut: boolean;
}

export class Watcher {
  readonly #options: WatcherOptions;
  readonly #events: WatchEvent[] = [];
  readonly #startMs = performance.now();
  #request: ClientRequest | undefined;
  #resumes = 0;
  #initialEnded: boolean;
  /** The server does not keep the version any more from which it was to resume, or said so in the stream. */
  #isGone = false;
  #isStopped = false;
  #problem: Error | undefined;

  constructor(options: WatcherOptions) {
    this.#options = options;
    this.#initialEnded = options.from !== 'initial';
    this.#open(options.from);
  }

  get record(): Watch {
    const { client, from, selector } = this.#options;
    const times = { startMs: this.#startMs, resumes: this.#resumes };
    return { kind: 'watch', client, from, selector, events: this.#events, ...times, untilEnd: this.#isStopped && !this.#isGone };
  }

  /** Cuts the connection; it is opened again at once. */
  cut(): void {
    if (this.#options.mayCut && this.#initialEnded && this.#newest !== undefined) this.#request?.destroy();
  }

  /** Waits until it has seen the event of a version, then ends it. */
  async stopAfter(version: number): Promise<void> {
    await eventually(`a watch from ${this.#options.from} to reach ${version}; it is at ${this.#newest}`, () => {
      if (this.#problem !== undefined) return true;
      return this.#isGone || (this.#newest ?? 0) >= version;
    });
    this.#isStopped = true;
    this.#request?.destroy();
    if (this.#problem !== undefined) throw this.#problem;
  }

  get #newest(): number | undefined {
    return this.#events.at(-1)?.version ?? (typeof this.#options.from === 'number' ? this.#options.from : undefined);
  }

  #open(from: Watch['from']): void {
    const { coffer, namespace, selector } = this.#options;
    const query = [`watch=1&allowWatchBookmarks=true&labelSelector=${selectorText(selector)}`];
    if (typeof from === 'number') query.push(`resourceVersion=${from}`);
    if (from === 'any') query.push('resourceVersion=0');
    if (from === 'initial') query.push('sendInitialEvents=true&resourceVersionMatch=NotOlderThan');
    const path = `/api/v1/namespaces/${namespace}/configmaps?${query.join('&')}`;
    const headers = { authorization: `Bearer ${coffer.token}` };
    const outgoing = request({ host: '127.0.0.1', port: coffer.port, path, rejectUnauthorized: false, headers, agent: false });
    this.#request = outgoing;
    outgoing.on('error', () => {});
    outgoing.on('response', (incoming) => {
      if (incoming.statusCode !== 200) this.#problem ??= new Error(`${path}: ${incoming.statusCode}`);
      let text = '';
      incoming.on('error', () => {});
      incoming.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        const lines = text.split('\n');
        text = lines.pop() ?? '';
        for (const line of lines) this.#event(line);
      });
    });
    outgoing.on('close', () => {
      const newest = this.#newest;
      if (this.#isStopped || this.#isGone || this.#problem !== undefined) return;
      if (newest === undefined || !this.#initialEnded || !this.#options.mayCut) {
        this.#problem = new Error(`the server ended ${path}`);
        return;
      }
      this.#resumes++;
      this.#open(newest);
    });
    outgoing.end();
  }

  #event(line: string): void {
    // What was on its way when the connection was cut comes again.
    if (this.#isStopped || this.#isGone) return;
    const { type, object } = JSON.parse(line);
    const atMs = performance.now();
    if (type === 'ERROR') {
      if (object.code === 410) this.#isGone = true;
      else this.#problem ??= new Error(line);
      this.#request?.destroy();
      return;
    }
    if (type === 'BOOKMARK') {
      const endsInitial = object.metadata.annotations?.['k8s.io/initial-events-end'] === 'true';
      if (endsInitial) this.#initialEnded = true;
      this.#events.push({ type, version: Number(object.metadata.resourceVersion), atMs, ...(endsInitial ? { endsInitial } : {}) });
      return;
    }
    const seen = seenOf(object);
    this.#events.push({ type, version: seen.version, atMs, seen });
  }
}
