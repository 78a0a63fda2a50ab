import { randomBytes } from 'node:crypto';
import type { Answer, CofferProcess } from './coffer-process.ts';
import { secretsPath } from './encryption-session.ts';

/**
 * Writes and reads Secrets at a steady rate while the server is killed and started again. A request that got no answer is sent again
 * until there is one; an answer that is not what was written is a failure. One writer per Secret at a time, so what it must hold is known.
 */
export interface SecretLoadOptions {
  /** The server of now; it may be dead. */
  readonly server: () => CofferProcess;
  /** Names of Secrets that exist. */
  readonly names: readonly string[];
  readonly writesPerSecond: number;
}

interface Known {
  acknowledged: string | undefined;
  /** A write that may have happened. */
  sending: string | undefined;
}

const retryMs = 20;
const maxInFlight = 32;
const maxBehindMs = 100;

export class SecretLoad {
  readonly failures: string[] = [];
  writes = 0;
  reads = 0;
  /** Answers that never came: the server was killed. */
  unanswered = 0;
  readonly #options: SecretLoadOptions;
  readonly #known = new Map<string, Known>();
  readonly #inFlight = new Set<Promise<void>>();
  #stopped = false;
  #created = 0;
  #running: Promise<void>;

  constructor(options: SecretLoadOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Ends when every write was answered; resolves to the value of key `v` of every Secret that was written. */
  async stop(): Promise<ReadonlyMap<string, string>> {
    this.#stopped = true;
    await this.#running;
    await Promise.all(this.#inFlight);
    return new Map([...this.#known].map(([name, { acknowledged }]) => [name, acknowledged ?? '']));
  }

  async #run(): Promise<void> {
    let dueMs = performance.now();
    for (let i = 0; !this.#stopped; i++) {
      while (this.#inFlight.size >= maxInFlight) await Promise.race(this.#inFlight);
      // What could not be sent while the server was dead is not made up for.
      dueMs = Math.max(dueMs + 1000 / this.#options.writesPerSecond, performance.now() - maxBehindMs);
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await sleep(waitMs);
      const name = this.#choose(i);
      if (name === undefined) continue;
      const work = this.#writeAndRead(name).finally(() => this.#inFlight.delete(work));
      this.#inFlight.add(work);
    }
  }

  /** Every eighth one is new. */
  #choose(i: number): string | undefined {
    if (i % 8 === 0) {
      const name = `new${this.#created++}`;
      this.#known.set(name, { acknowledged: undefined, sending: undefined });
      return name;
    }
    const name = this.#options.names[Math.floor(Math.random() * this.#options.names.length)] ?? '';
    return this.#known.get(name)?.sending === undefined ? name : undefined;
  }

  async #writeAndRead(name: string): Promise<void> {
    const known = this.#known.get(name) ?? { acknowledged: undefined, sending: undefined };
    this.#known.set(name, known);
    const isNew = name.startsWith('new') && known.acknowledged === undefined;
    const value = randomBytes(18).toString('base64');
    known.sending = value;
    const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data: { v: value } };
    let sent = await this.#answered(isNew ? 'POST' : 'PUT', isNew ? secretsPath : `${secretsPath}/${name}`, body);
    // The first attempt may have arrived and its answer been lost.
    if (isNew && sent.status === 409) sent = await this.#answered('PUT', `${secretsPath}/${name}`, body);
    this.writes++;
    if (sent.status < 300) known.acknowledged = value;
    else this.failures.push(`write of ${name}: ${sent.text}`);
    const read = await this.#answered('GET', `${secretsPath}/${name}`);
    this.reads++;
    if (read.status !== 200 || read.body.data?.v !== value) this.failures.push(`read of ${name}: ${read.status} ${read.text}`);
    known.sending = undefined;
  }

  async #answered(method: string, url: string, body?: object): Promise<Answer> {
    for (;;) {
      try {
        return await this.#options.server().call(method, url, body);
      } catch {
        this.unanswered++;
        await sleep(retryMs);
      }
    }
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
