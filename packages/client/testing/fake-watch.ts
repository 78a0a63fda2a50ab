/** One open watch of the fake API. */
import type { FakeObject } from './fake-object.ts';
import { partialMetadata } from './fake-object.ts';

export interface FakeChange {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly resource: string;
  readonly revision: number;
  readonly object: FakeObject;
  readonly previous: FakeObject | undefined;
}

export class FakeWatch {
  readonly #resource: string;
  readonly #matches: (object: FakeObject) => boolean;
  readonly #metadataOnly: boolean;
  readonly #onEnd: () => void;
  readonly #signal: AbortSignal | undefined;
  #lines: string[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(
    resource: string,
    matches: (object: FakeObject) => boolean,
    metadataOnly: boolean,
    signal: AbortSignal | undefined,
    onEnd: () => void,
  ) {
    this.#resource = resource;
    this.#matches = matches;
    this.#metadataOnly = metadataOnly;
    this.#onEnd = onEnd;
    this.#signal = signal;
    signal?.addEventListener('abort', () => this.end(), { once: true });
  }

  change(change: FakeChange): void {
    if (change.resource !== this.#resource) return;
    const before = change.previous !== undefined && this.#matches(change.previous);
    const after = change.type !== 'DELETED' && this.#matches(change.object);
    if (after) this.send(before ? 'MODIFIED' : 'ADDED', change.object);
    else if (before) this.send('DELETED', change.object);
  }

  send(type: string, object: FakeObject): void {
    this.#line({ type, object: this.#metadataOnly ? partialMetadata(object) : object });
  }

  bookmark(revision: number, initialEventsEnd = false): void {
    const annotations = initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
    this.#line({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(revision), ...annotations } } });
  }

  end(): void {
    this.#ended = true;
    this.#onEnd();
    this.#wake?.();
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const lines = this.#lines;
        this.#lines = [];
        if (lines.length > 0) yield new TextEncoder().encode(lines.join(''));
        else if (this.#signal?.aborted) throw this.#signal.reason;
        else if (this.#ended) return;
        else
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
      }
    } finally {
      this.end();
    }
  }

  #line(event: unknown): void {
    this.#lines.push(`${JSON.stringify(event)}\n`);
    this.#wake?.();
  }
}
