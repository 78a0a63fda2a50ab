/** Clients that send random requests and record what they are answered. Bodies and answers are JSON over HTTPS. */
import type { Answer, CofferProcess } from '../../support/coffer-process.ts';
import { pick } from '../mutate.ts';
import { type Content, type List, type Operation, type Page, type Seen, type Selector, seenOf, type WriteRequest } from './history.ts';

const finalizer = 'test.dev/keep';
const patchTypes = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;
export const selectors: readonly Selector[] = [{}, { model: 'yes' }, { model: 'yes', even: 'true' }];

export interface ClientOptions {
  readonly coffer: CofferProcess;
  readonly namespace: string;
  readonly names: readonly string[];
  readonly client: number;
  readonly random: () => number;
  readonly record: (operation: Operation) => void;
}

/** One client: a request at a time. */
export class ModelClient {
  readonly #options: ClientOptions;
  readonly #random: () => number;
  readonly #collection: string;
  /** The newest it knows of each object; often out of date. */
  readonly #known = new Map<string, Seen>();
  #newest = 0;
  /** Revisions of lists, some of them long past. */
  readonly #revisions: number[] = [];
  #written = 0;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#random = options.random;
    this.#collection = `/api/v1/namespaces/${options.namespace}/configmaps`;
  }

  /** Sends one random request and waits for its answer. */
  async step(): Promise<void> {
    const chance = this.#random();
    if (chance < 0.55) return this.#write(this.#writeRequest());
    if (chance < 0.57) return this.#deleteCollection();
    return chance < 0.8 ? this.#get() : this.#list();
  }

  #chance(probability: number): boolean {
    return this.#random() < probability;
  }

  #value(): string {
    return `${this.#options.client}-${++this.#written}`;
  }

  #content(): Content {
    return {
      data: { v: this.#value(), [pick(this.#random, ['a', 'b', 'c'])]: 'x' },
      labels: { model: 'yes', even: String(this.#written % 2 === 0) },
      finalizers: this.#chance(0.1) ? [finalizer] : [],
      deleting: false,
    };
  }

  #writeRequest(): WriteRequest {
    const random = this.#random;
    const name = pick(random, this.#options.names);
    const known = this.#known.get(name);
    const version = this.#chance(0.4) && known !== undefined ? { version: known.version } : {};
    switch (pick(random, ['create', 'create', 'update', 'update', 'patch', 'patch', 'json-patch', 'apply', 'delete'] as const)) {
      case 'create':
        return { verb: 'create', name, content: this.#content(), dryRun: this.#chance(0.1) };
      case 'update':
        if (known !== undefined && this.#chance(0.2)) return { verb: 'update', name, content: known.content, version: known.version };
        return { verb: 'update', name, content: this.#content(), ...version };
      case 'patch': {
        const data = this.#chance(0.1) ? {} : { v: this.#value(), [pick(random, ['a', 'b', 'c'])]: pick(random, ['y', 'z', null]) };
        const labels = this.#chance(0.3) ? { even: pick(random, ['true', 'false', null]) } : {};
        const touched = Object.keys(data).length > 0;
        const dropFinalizers = touched && this.#chance(0.3);
        return {
          verb: 'patch',
          type: pick(random, ['merge', 'strategic']),
          name,
          data,
          labels: touched ? labels : {},
          dropFinalizers,
          ...version,
        };
      }
      case 'json-patch': {
        const expected = known !== undefined && this.#chance(0.5) ? { expected: known.content.data.v ?? '' } : {};
        const remove = this.#chance(0.2) ? { remove: pick(random, ['a', 'b', 'c']) } : {};
        return { verb: 'json-patch', name, ...expected, set: { v: this.#value() }, ...remove };
      }
      case 'apply':
        return {
          verb: 'apply',
          name,
          data: { v: this.#value(), [`c${this.#options.client}`]: String(this.#written) },
          labels: { model: 'yes' },
        };
      case 'delete': {
        const uid = known !== undefined && this.#chance(0.3) ? { uid: known.uid } : {};
        return { verb: 'delete', name, ...version, ...uid };
      }
    }
  }

  async #write(request: WriteRequest): Promise<void> {
    const { answer, ...times } = await this.#timed(() => this.#send(request));
    const { body } = answer;
    const isObject = body?.kind === 'ConfigMap';
    const deletedUid = !isObject && request.verb === 'delete' && answer.status === 200 ? { deletedUid: String(body?.details?.uid) } : {};
    const seen = isObject ? { seen: this.#learn(body, request.verb === 'create' && request.dryRun) } : {};
    this.#options.record({ kind: 'write', ...times, request, status: answer.status, ...seen, ...deletedUid });
  }

  #send(request: WriteRequest): Promise<Answer> {
    const { coffer } = this.#options;
    const { name } = request;
    const path = `${this.#collection}/${name}`;
    const manager = `fieldManager=client-${this.#options.client}`;
    const resourceVersion = 'version' in request && request.version !== undefined ? { resourceVersion: String(request.version) } : {};
    switch (request.verb) {
      case 'create':
        return coffer.call(
          'POST',
          `${this.#collection}?${manager}${request.dryRun ? '&dryRun=All' : ''}`,
          objectOf(name, request.content, {}),
        );
      case 'update':
        return coffer.call('PUT', `${path}?${manager}`, objectOf(name, request.content, resourceVersion));
      case 'patch': {
        const dropped = request.type === 'merge' ? { finalizers: null } : { '$deleteFromPrimitiveList/finalizers': [finalizer] };
        const metadata = { labels: request.labels, ...resourceVersion, ...(request.dropFinalizers ? dropped : {}) };
        return coffer.call('PATCH', `${path}?${manager}`, { metadata, data: request.data }, { 'content-type': patchTypes[request.type] });
      }
      case 'json-patch': {
        const operations = [
          ...(request.expected === undefined ? [] : [{ op: 'test', path: '/data/v', value: request.expected }]),
          ...Object.entries(request.set).map(([key, value]) => ({ op: 'add', path: `/data/${key}`, value })),
          ...(request.remove === undefined ? [] : [{ op: 'remove', path: `/data/${request.remove}` }]),
        ];
        return coffer.call('PATCH', `${path}?${manager}`, operations, { 'content-type': patchTypes.json });
      }
      case 'apply': {
        const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels: request.labels }, data: request.data };
        return coffer.call('PATCH', `${path}?${manager}&force=true`, body, { 'content-type': patchTypes.apply });
      }
      case 'delete': {
        const preconditions = { ...resourceVersion, ...(request.uid === undefined ? {} : { uid: request.uid }) };
        return coffer.call('DELETE', path, Object.keys(preconditions).length === 0 ? undefined : { preconditions });
      }
    }
  }

  async #deleteCollection(): Promise<void> {
    const selector = pick(this.#random, selectors.slice(1));
    const { answer, ...times } = await this.#timed(() =>
      this.#options.coffer.call('DELETE', `${this.#collection}?labelSelector=${selectorText(selector)}`),
    );
    if (answer.status !== 200) throw new Error(`the collection was not deleted: ${answer.status} ${answer.text}`);
    this.#options.record({ kind: 'delete-collection', ...times, selector, items: answer.body.items.map(seenOf) });
  }

  async #get(): Promise<void> {
    const name = pick(this.#random, this.#options.names);
    const atLeast = this.#chance(0.4) ? { atLeast: this.#chance(0.5) ? 0 : this.#newest } : {};
    const query = atLeast.atLeast === undefined ? '' : `?resourceVersion=${atLeast.atLeast}`;
    const { answer, ...times } = await this.#timed(() => this.#options.coffer.call('GET', `${this.#collection}/${name}${query}`));
    const seen = answer.status === 200 ? { seen: this.#learn(answer.body) } : {};
    this.#options.record({ kind: 'get', ...times, name, ...atLeast, status: answer.status, ...seen });
  }

  async #list(): Promise<void> {
    const random = this.#random;
    const selector = pick(random, selectors);
    const limit = this.#chance(0.5) ? { limit: 1 + Math.floor(random() * 4) } : {};
    const past = this.#revisions.length > 0 && this.#chance(0.4) ? pick(random, this.#revisions) : this.#newest;
    const version = this.#chance(0.4) ? { version: this.#chance(0.4) ? 0 : past } : {};
    const match =
      version.version === undefined || this.#chance(0.3)
        ? {}
        : { match: version.version > 0 && this.#chance(0.6) ? ('Exact' as const) : ('NotOlderThan' as const) };
    const query = [`labelSelector=${selectorText(selector)}`];
    if (limit.limit !== undefined) query.push(`limit=${limit.limit}`);
    if (version.version !== undefined) query.push(`resourceVersion=${version.version}`);
    if (match.match !== undefined) query.push(`resourceVersionMatch=${match.match}`);
    // With a limit, a version alone asks for exactly it (but 0, which asks for any).
    const meant = {
      ...version,
      ...(limit.limit !== undefined && (version.version ?? 0) > 0 && match.match === undefined ? { match: 'Exact' as const } : match),
    };
    const { answer, ...times } = await this.#timed(() => this.#pages(query, limit.limit));
    this.#options.record({ kind: 'list', ...times, selector, ...limit, ...meant, pages: answer } satisfies List);
  }

  async #pages(query: readonly string[], limit: number | undefined): Promise<Page[] | undefined> {
    const pages: Page[] = [];
    let path = `${this.#collection}?${query.join('&')}`;
    for (;;) {
      const { status, body, text } = await this.#options.coffer.call('GET', path);
      if (status === 410) return undefined;
      if (status !== 200) throw new Error(`GET ${path}: ${status} ${text}`);
      const { resourceVersion, continue: next, remainingItemCount } = body.metadata;
      const items: Seen[] = body.items.map(seenOf);
      for (const seen of items) if (this.#options.names.includes(seen.name)) this.#known.set(seen.name, seen);
      pages.push({
        revision: Number(resourceVersion),
        items,
        ...(remainingItemCount === undefined ? {} : { remaining: remainingItemCount }),
      });
      if (!next) break;
      path = `${this.#collection}?${query[0]}&limit=${limit ?? 0}&continue=${encodeURIComponent(next)}`;
    }
    this.#revisions.push(pages[0]?.revision ?? 0);
    this.#newest = Math.max(this.#newest, pages[0]?.revision ?? 0);
    return pages;
  }

  #learn(object: Parameters<typeof seenOf>[0], forget = false): Seen {
    const seen = seenOf(object);
    if (forget) return seen;
    this.#known.set(seen.name, seen);
    this.#newest = Math.max(this.#newest, seen.version);
    return seen;
  }

  async #timed<T>(
    send: () => Promise<T>,
  ): Promise<{ readonly client: number; readonly startMs: number; readonly endMs: number; readonly answer: T }> {
    const startMs = performance.now();
    const answer = await send();
    return { client: this.#options.client, startMs, endMs: performance.now(), answer };
  }
}

export function selectorText(selector: Selector): string {
  return encodeURIComponent(
    Object.entries(selector)
      .map(([key, value]) => `${key}=${value}`)
      .join(','),
  );
}

function objectOf(name: string, content: Content, metadata: object): object {
  const { data, labels, finalizers } = content;
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, labels, finalizers, ...metadata }, data };
}
