/**
 * The verbs of one resource. Objects go in and come out as parsed JSON of the resource's version; nothing is cached, nothing is
 * defaulted. Every failure the server reported is a StatusError.
 */
import type { V1DeleteOptions } from '@coffer/api/generated/types';
import { isRecord } from '@coffer/api/meta/safe-object';
import { errorFromStatus, isStatus } from './answer-error.ts';
import type { ApiClient } from './api-client.ts';
import type { ApiObject } from './api-object.ts';
import { lineBatches } from './lines.ts';
import type { ResourceRef } from './resource-ref.ts';
import { refApiVersion, resourcePath } from './resource-ref.ts';

export interface RequestScope {
  /** Required for namespaced objects, empty or absent for lists over all namespaces. */
  readonly namespace?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface WriteOptions extends RequestScope {
  readonly dryRun?: boolean;
  readonly fieldManager?: string;
  readonly fieldValidation?: 'Ignore' | 'Warn' | 'Strict';
  readonly subresource?: string;
}

export interface ListOptions extends RequestScope {
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly limit?: number;
  readonly continue?: string | undefined;
  readonly resourceVersion?: string;
  readonly resourceVersionMatch?: 'Exact' | 'NotOlderThan';
  /** Metadata only: objects come as PartialObjectMetadata. */
  readonly metadataOnly?: boolean;
}

export interface WatchOptions extends Omit<ListOptions, 'limit' | 'continue'> {
  readonly allowWatchBookmarks?: boolean;
  readonly sendInitialEvents?: boolean;
  readonly timeoutSeconds?: number;
}

export interface ListResult<T> {
  readonly resourceVersion: string;
  readonly continue: string | undefined;
  readonly remainingItemCount: number | undefined;
  readonly items: readonly T[];
}

export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
}

const PATCH_TYPES = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
} as const;

export type PatchType = keyof typeof PATCH_TYPES;

const METADATA_LIST = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
const METADATA_ONE = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1';

export class ResourceClient<T extends ApiObject> {
  readonly ref: ResourceRef<T>;
  readonly #api: ApiClient;

  constructor(api: ApiClient, ref: ResourceRef<T>) {
    this.#api = api;
    this.ref = ref;
  }

  async get(name: string, options: RequestScope & { readonly resourceVersion?: string; readonly metadataOnly?: boolean } = {}): Promise<T> {
    const query = queryString({ resourceVersion: options.resourceVersion });
    const headers = options.metadataOnly ? { accept: METADATA_ONE } : {};
    return (await this.#api.json({ method: 'GET', path: this.#path(options.namespace, name) + query, headers, ...abort(options) })) as T;
  }

  /** One page, or everything when no `limit` is given. Items get the apiVersion and kind that lists leave out. */
  async list(options: ListOptions = {}): Promise<ListResult<T>> {
    const answer = await this.#api.json({
      method: 'GET',
      path: this.#path(options.namespace) + queryString(listQuery(options)),
      headers: options.metadataOnly ? { accept: METADATA_LIST } : {},
      ...abort(options),
    });
    const body = isRecord(answer) ? answer : {};
    const metadata = isRecord(body.metadata) ? body.metadata : {};
    const items = (Array.isArray(body.items) ? body.items : []) as T[];
    if (options.metadataOnly !== true) {
      const typeMeta = { apiVersion: refApiVersion(this.ref), kind: this.ref.kind };
      for (const item of items) if (item.kind === undefined) Object.assign(item, typeMeta);
    }
    const next = metadata.continue;
    const remaining = metadata.remainingItemCount;
    return {
      resourceVersion: typeof metadata.resourceVersion === 'string' ? metadata.resourceVersion : '',
      continue: typeof next === 'string' && next !== '' ? next : undefined,
      remainingItemCount: typeof remaining === 'number' ? remaining : undefined,
      items,
    };
  }

  /** All items in pages of `limit`, at one revision: that of the first page. `transform` sees each before the next page is asked for. */
  async listAll(options: Omit<ListOptions, 'continue'> = {}, transform: (item: T) => T = (item) => item): Promise<ListResult<T>> {
    const limit = options.limit ?? 500;
    const items: T[] = [];
    let page = await this.list({ ...options, limit });
    const resourceVersion = page.resourceVersion;
    for (const item of page.items) items.push(transform(item));
    while (page.continue !== undefined) {
      const { resourceVersion: _first, resourceVersionMatch: _match, ...rest } = options;
      page = await this.list({ ...rest, limit, continue: page.continue });
      for (const item of page.items) items.push(transform(item));
    }
    return { resourceVersion, continue: undefined, remainingItemCount: undefined, items };
  }

  async create(object: T, options: WriteOptions & { readonly name?: string } = {}): Promise<T> {
    const path = this.#path(options.namespace ?? object.metadata?.namespace, options.name, options.subresource);
    return (await this.#api.json({
      method: 'POST',
      path: path + queryString(writeQuery(options)),
      ...json(object),
      ...abort(options),
    })) as T;
  }

  /** Replaces the object, or its subresource when one is named. */
  async update(object: T, options: WriteOptions = {}): Promise<T> {
    const path = this.#path(options.namespace ?? object.metadata?.namespace, object.metadata?.name ?? '', options.subresource);
    return (await this.#api.json({
      method: 'PUT',
      path: path + queryString(writeQuery(options)),
      ...json(object),
      ...abort(options),
    })) as T;
  }

  updateStatus(object: T, options: WriteOptions = {}): Promise<T> {
    return this.update(object, { ...options, subresource: 'status' });
  }

  async patch(name: string, type: PatchType, patch: unknown, options: WriteOptions = {}): Promise<T> {
    return (await this.#api.json({
      method: 'PATCH',
      path: this.#path(options.namespace, name, options.subresource) + queryString(writeQuery(options)),
      headers: { 'content-type': PATCH_TYPES[type] },
      body: JSON.stringify(patch),
      ...abort(options),
    })) as T;
  }

  /** Server-side apply. */
  async apply(
    name: string,
    object: unknown,
    options: WriteOptions & { readonly fieldManager: string; readonly force?: boolean },
  ): Promise<T> {
    return (await this.#api.json({
      method: 'PATCH',
      path: this.#path(options.namespace, name, options.subresource) + queryString({ ...writeQuery(options), force: options.force }),
      headers: { 'content-type': 'application/apply-patch+yaml' },
      body: JSON.stringify(object),
      ...abort(options),
    })) as T;
  }

  /** Resolves with the answer: the object when its deletion goes on, a Status when it is gone. */
  delete(name: string, options: RequestScope & { readonly body?: V1DeleteOptions } = {}): Promise<unknown> {
    return this.#api.json({
      method: 'DELETE',
      path: this.#path(options.namespace, name),
      ...(options.body === undefined ? {} : json({ kind: 'DeleteOptions', apiVersion: 'v1', ...options.body })),
      ...abort(options),
    });
  }

  deleteCollection(options: ListOptions & { readonly body?: V1DeleteOptions } = {}): Promise<unknown> {
    return this.#api.json({
      method: 'DELETE',
      path: this.#path(options.namespace) + queryString(listQuery(options)),
      ...(options.body === undefined ? {} : json({ kind: 'DeleteOptions', apiVersion: 'v1', ...options.body })),
      ...abort(options),
    });
  }

  /**
   * Events until the server ends the watch, in batches as they arrived. An ERROR event is thrown as StatusError (410 `Expired`
   * when the revision is too old). Leaving the loop or aborting the signal closes the stream.
   */
  async *watch(options: WatchOptions = {}): AsyncGenerator<readonly WatchEvent<T>[]> {
    const query = {
      ...listQuery(options),
      watch: true,
      allowWatchBookmarks: options.allowWatchBookmarks,
      sendInitialEvents: options.sendInitialEvents,
      timeoutSeconds: options.timeoutSeconds,
    };
    const stream = await this.#api.stream({
      method: 'GET',
      path: this.#path(options.namespace) + queryString(query),
      headers: options.metadataOnly ? { accept: METADATA_ONE } : {},
      ...abort(options),
    });
    for await (const lines of lineBatches(stream.chunks)) {
      const events: WatchEvent<T>[] = [];
      for (const line of lines) {
        const event = JSON.parse(line) as { type: string; object: T };
        if (event.type === 'ERROR') {
          if (events.length > 0) yield events;
          throw isStatus(event.object) ? errorFromStatus(event.object) : new Error('the watch ended with an unknown error');
        }
        events.push(event as WatchEvent<T>);
      }
      yield events;
    }
  }

  #path(namespace: string | undefined, name?: string, subresource?: string): string {
    return resourcePath(this.ref, this.ref.namespaced ? namespace : undefined, name, subresource);
  }
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

function listQuery(options: ListOptions): Query {
  return {
    labelSelector: options.labelSelector,
    fieldSelector: options.fieldSelector,
    limit: options.limit,
    continue: options.continue,
    resourceVersion: options.resourceVersion,
    resourceVersionMatch: options.resourceVersionMatch,
  };
}

function writeQuery(options: WriteOptions): Query {
  return {
    dryRun: options.dryRun ? 'All' : undefined,
    fieldManager: options.fieldManager,
    fieldValidation: options.fieldValidation,
  };
}

function queryString(query: Query): string {
  let text = '';
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === '') continue;
    text += `${text === '' ? '?' : '&'}${name}=${encodeURIComponent(String(value))}`;
  }
  return text;
}

function json(value: unknown): { headers: { 'content-type': string }; body: string } {
  return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

function abort(options: RequestScope): { signal?: AbortSignal } {
  return options.signal === undefined ? {} : { signal: options.signal };
}
