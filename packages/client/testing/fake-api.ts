/**
 * A small API server in memory for unit tests of what sits above the transport: storage with revisions, list, watch with history,
 * create/update/patch/delete with finalizers and preconditions, status and binding subresources, discovery. It validates nothing,
 * defaults nothing and knows nobody's permissions; `requests` records who did what.
 */
import type { Status, StatusDetails } from '@coffer/api/errors/status-error';
import { alreadyExists, badRequest, conflict, notFound, resourceExpired, StatusError } from '@coffer/api/errors/status-error';
import { cloneJson, isRecord } from '@coffer/api/meta/safe-object';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceRef } from '../rest/resource-ref.ts';
import { refApiVersion, refId } from '../rest/resource-ref.ts';
import * as wellKnown from '../rest/well-known.ts';
import type { Transport, TransportRequest, TransportResponse, TransportStream } from '../transport/transport.ts';
import type { FakeObject } from './fake-object.ts';
import { matchesFields, matchesLabels, mergePatch, partialMetadata } from './fake-object.ts';
import { FakeWatch } from './fake-watch.ts';

export interface RecordedRequest {
  readonly user: string;
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

interface Change {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly resource: string;
  readonly revision: number;
  readonly object: FakeObject;
  readonly previous: FakeObject | undefined;
}

interface Target {
  readonly ref: ResourceRef;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
}

const encoder = new TextEncoder();

export class FakeApi {
  readonly requests: RecordedRequest[] = [];
  /** Called before every request; what it throws is the answer (a StatusError) or the failure of the network (any other error). */
  before: ((request: RecordedRequest) => void) | undefined;
  readonly #clock: Clock;
  readonly #refs: readonly ResourceRef[];
  readonly #objects = new Map<string, FakeObject>();
  readonly #history: Change[] = [];
  readonly #watches = new Set<FakeWatch>();
  #revision = 1;
  #oldestRevision = 1;
  #uids = 0;

  constructor(clock: Clock, extraResources: readonly ResourceRef[] = []) {
    this.#clock = clock;
    this.#refs = [...Object.values(wellKnown), ...extraResources];
  }

  get revision(): string {
    return String(this.#revision);
  }

  get openWatches(): number {
    return this.#watches.size;
  }

  /** A transport that calls this API as `user`. */
  transport(user = 'test'): Transport {
    return {
      request: (request) => this.#request(user, request),
      stream: (request) => this.#stream(user, request),
      close: () => {
        for (const watch of this.#watches) watch.end();
      },
    };
  }

  /** Writes an object as some other client would; creates or replaces it. */
  put(ref: ResourceRef, object: { readonly metadata?: object; readonly [field: string]: unknown }): FakeObject {
    const copy = cloneJson(object) as unknown as FakeObject;
    const key = storageKey(ref, copy.metadata.namespace ?? '', copy.metadata.name ?? '');
    const old = this.#objects.get(key);
    return old === undefined
      ? this.#create(ref, copy.metadata.namespace ?? '', copy)
      : this.#store(ref, key, { ...copy, metadata: { ...old.metadata, ...copy.metadata } }, old);
  }

  find(ref: ResourceRef, namespace: string, name: string): FakeObject | undefined {
    return this.#objects.get(storageKey(ref, namespace, name));
  }

  all(ref: ResourceRef, namespace = ''): FakeObject[] {
    const prefix = `${refId(ref)}/`;
    const found: FakeObject[] = [];
    for (const [key, object] of this.#objects)
      if (key.startsWith(prefix) && (namespace === '' || object.metadata.namespace === namespace)) found.push(object);
    return found;
  }

  remove(ref: ResourceRef, namespace: string, name: string): void {
    const key = storageKey(ref, namespace, name);
    const old = this.#objects.get(key);
    if (old !== undefined) this.#drop(ref, key, old);
  }

  /** Forgets the history: watches from before now are answered with 410. */
  compact(): void {
    this.#history.length = 0;
    this.#oldestRevision = this.#revision;
  }

  /** Ends all watches as a restarting server does. */
  endWatches(): void {
    for (const watch of this.#watches) watch.end();
  }

  /** Sends a bookmark at the present revision to all watches. */
  bookmark(): void {
    for (const watch of this.#watches) watch.bookmark(this.#revision);
  }

  async #request(user: string, request: TransportRequest): Promise<TransportResponse> {
    await Promise.resolve();
    request.signal?.throwIfAborted();
    try {
      return answer(200, this.#handle(user, request));
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      const retryAfter = (error.status.details as StatusDetails | undefined)?.retryAfterSeconds;
      return answer(error.code, error.status satisfies Status, retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) });
    }
  }

  async #stream(user: string, request: TransportRequest): Promise<TransportStream> {
    await Promise.resolve();
    request.signal?.throwIfAborted();
    const url = new URL(request.path, 'http://fake');
    try {
      this.#record(user, request, undefined);
      const target = this.#target(url.pathname);
      const from = url.searchParams.get('resourceVersion') ?? '';
      const initial = url.searchParams.get('sendInitialEvents') === 'true';
      if (from !== '' && Number(from) < this.#oldestRevision)
        throw resourceExpired(`too old resource version: ${from} (${this.#oldestRevision})`);
      const watch = new FakeWatch(refId(target.ref), selection(target, url), isMetadata(request), request.signal, () =>
        this.#watches.delete(watch),
      );
      if (initial || from === '' || from === '0') for (const object of this.#select(target, url)) watch.send('ADDED', object);
      else for (const change of this.#history) if (change.revision > Number(from)) watch.change(change);
      if (initial) watch.bookmark(this.#revision, true);
      this.#watches.add(watch);
      return { status: 200, headers: {}, chunks: watch.chunks() };
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      const body = encoder.encode(JSON.stringify(error.status));
      return {
        status: error.code,
        headers: {},
        chunks: (async function* () {
          yield body;
        })(),
      };
    }
  }

  #record(user: string, request: TransportRequest, body: unknown): void {
    const recorded = { user, method: request.method, path: request.path, body };
    this.requests.push(recorded);
    this.before?.(recorded);
  }

  #handle(user: string, request: TransportRequest): unknown {
    const body = request.body === undefined || request.body.length === 0 ? undefined : (JSON.parse(request.body.toString()) as unknown);
    this.#record(user, request, body);
    const url = new URL(request.path, 'http://fake');
    if (/^\/(api|apis)(\/[^/]+){0,1}$/.test(url.pathname) || /^\/apis\/[^/]+\/[^/]+$/.test(url.pathname))
      return this.#discovery(url.pathname);
    const target = this.#target(url.pathname);
    switch (request.method) {
      case 'GET':
        return target.name === '' ? this.#list(target, url, isMetadata(request)) : shaped(this.#get(target), isMetadata(request));
      case 'POST':
        return this.#post(target, body as FakeObject);
      case 'PUT':
        return this.#put(target, body as FakeObject);
      case 'PATCH':
        return this.#patch(target, body);
      case 'DELETE':
        return target.name === '' ? this.#deleteCollection(target, url, body) : this.#delete(target, body);
      default:
        throw badRequest(`unknown method ${request.method}`);
    }
  }

  #get(target: Target): FakeObject {
    const object = this.#objects.get(storageKey(target.ref, target.namespace, target.name));
    if (object === undefined) throw notFound(target.ref, target.name);
    return object;
  }

  #list(target: Target, url: URL, metadataOnly: boolean): unknown {
    const limit = Number(url.searchParams.get('limit') ?? 0);
    const start = Number(url.searchParams.get('continue') ?? 0);
    const all = this.#select(target, url).map((object) => shaped(object, metadataOnly));
    const items = limit > 0 ? all.slice(start, start + limit) : all;
    const left = all.length - start - items.length;
    const metadata = {
      resourceVersion: this.revision,
      ...(left > 0 ? { continue: String(start + items.length), remainingItemCount: left } : {}),
    };
    return { apiVersion: refApiVersion(target.ref), kind: `${target.ref.kind}List`, metadata, items };
  }

  #post(target: Target, body: FakeObject): FakeObject {
    if (target.subresource === 'binding') return this.#bind(target, body);
    return this.#create(target.ref, target.namespace, cloneJson(body));
  }

  #bind(target: Target, body: FakeObject): FakeObject {
    const pod = this.#get(target);
    const node = isRecord(body.target) ? body.target.name : undefined;
    const spec = isRecord(pod.spec) ? pod.spec : {};
    if (spec.nodeName !== undefined && spec.nodeName !== '')
      throw conflict(target.ref, target.name, `pod ${target.name} is already assigned to node "${spec.nodeName as string}"`);
    const status = isRecord(pod.status) ? pod.status : {};
    const conditions = [{ type: 'PodScheduled', status: 'True' }];
    return this.#store(
      target.ref,
      storageKey(target.ref, target.namespace, target.name),
      { ...pod, spec: { ...spec, nodeName: node }, status: { ...status, conditions } },
      pod,
    );
  }

  #create(ref: ResourceRef, namespace: string, object: FakeObject): FakeObject {
    const generated = object.metadata.generateName;
    const name = object.metadata.name ?? (generated === undefined ? '' : `${generated}${String(++this.#uids).padStart(5, '0')}`);
    const key = storageKey(ref, namespace, name);
    if (this.#objects.has(key)) throw alreadyExists(ref, name);
    const created: FakeObject = {
      ...object,
      apiVersion: refApiVersion(ref),
      kind: ref.kind,
      metadata: {
        ...object.metadata,
        name,
        ...(ref.namespaced ? { namespace } : {}),
        uid: object.metadata.uid ?? `uid-${++this.#uids}`,
        creationTimestamp: object.metadata.creationTimestamp ?? timestamp(this.#clock),
        generation: 1,
      },
    };
    return this.#store(ref, key, created, undefined);
  }

  #put(target: Target, body: FakeObject): FakeObject {
    const old = this.#get(target);
    const sent = body.metadata.resourceVersion;
    if (sent !== undefined && sent !== '' && sent !== old.metadata.resourceVersion) throw conflict(target.ref, target.name);
    return this.#replace(target, cloneJson(body), old);
  }

  #patch(target: Target, patch: unknown): FakeObject {
    const old = this.#get(target);
    const sent = isRecord(patch) && isRecord(patch.metadata) ? patch.metadata : {};
    if (sent.uid !== undefined && sent.uid !== old.metadata.uid)
      throw conflict(target.ref, target.name, 'the UID in the precondition does not match the UID in record');
    if (sent.resourceVersion !== undefined && sent.resourceVersion !== old.metadata.resourceVersion)
      throw conflict(target.ref, target.name);
    return this.#replace(target, mergePatch(old, patch) as FakeObject, old);
  }

  #replace(target: Target, next: FakeObject, old: FakeObject): FakeObject {
    const key = storageKey(target.ref, target.namespace, target.name);
    const metadata = {
      ...next.metadata,
      uid: old.metadata.uid,
      creationTimestamp: old.metadata.creationTimestamp,
    } as FakeObject['metadata'];
    if (old.metadata.deletionTimestamp !== undefined) metadata.deletionTimestamp = old.metadata.deletionTimestamp;
    let merged: FakeObject;
    if (target.subresource === 'status' || target.subresource === 'approval')
      merged = {
        ...old,
        status: next.status,
        metadata: { ...old.metadata, ...(metadata.annotations === undefined ? {} : { annotations: metadata.annotations }) },
      };
    else if (target.subresource === 'finalize') merged = { ...old, spec: next.spec, metadata: { ...old.metadata } };
    else merged = { ...next, ...(old.status === undefined ? {} : { status: old.status }), metadata };
    if (JSON.stringify(merged.spec) !== JSON.stringify(old.spec)) merged.metadata.generation = (old.metadata.generation ?? 1) + 1;
    const stored = JSON.stringify(merged) === JSON.stringify(old) ? old : this.#store(target.ref, key, merged, old);
    if (isFinal(stored)) this.#drop(target.ref, key, stored);
    return stored;
  }

  #delete(target: Target, options: unknown): unknown {
    const old = this.#get(target);
    const body = isRecord(options) ? options : {};
    const preconditions = isRecord(body.preconditions) ? body.preconditions : {};
    if (preconditions.uid !== undefined && preconditions.uid !== old.metadata.uid)
      throw conflict(target.ref, target.name, 'the UID in the precondition does not match the UID in record');
    if (preconditions.resourceVersion !== undefined && preconditions.resourceVersion !== old.metadata.resourceVersion)
      throw conflict(target.ref, target.name);
    const key = storageKey(target.ref, target.namespace, target.name);
    const finalizers = new Set(old.metadata.finalizers ?? []);
    if (body.propagationPolicy === 'Foreground') finalizers.add('foregroundDeletion');
    if (body.propagationPolicy === 'Orphan') finalizers.add('orphan');
    const spec = isRecord(old.spec) ? old.spec : {};
    const waits =
      finalizers.size > 0 || (target.ref.resource === 'namespaces' && Array.isArray(spec.finalizers) && spec.finalizers.length > 0);
    if (!waits) {
      this.#drop(target.ref, key, old);
      return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' };
    }
    const metadata = {
      ...old.metadata,
      deletionTimestamp: old.metadata.deletionTimestamp ?? timestamp(this.#clock),
      finalizers: [...finalizers],
    };
    const status =
      target.ref.resource === 'namespaces' ? { status: { ...(isRecord(old.status) ? old.status : {}), phase: 'Terminating' } } : {};
    return this.#store(target.ref, key, { ...old, ...status, metadata }, old);
  }

  #deleteCollection(target: Target, url: URL, options: unknown): unknown {
    for (const object of this.#select(target, url))
      this.#delete({ ...target, namespace: object.metadata.namespace ?? '', name: object.metadata.name ?? '' }, options);
    return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' };
  }

  #store(ref: ResourceRef, key: string, object: FakeObject, old: FakeObject | undefined): FakeObject {
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.#revision) } };
    this.#objects.set(key, stored);
    this.#publish({
      type: old === undefined ? 'ADDED' : 'MODIFIED',
      resource: refId(ref),
      revision: this.#revision,
      object: stored,
      previous: old,
    });
    return stored;
  }

  #drop(ref: ResourceRef, key: string, old: FakeObject): void {
    this.#objects.delete(key);
    const object = { ...old, metadata: { ...old.metadata, resourceVersion: String(++this.#revision) } };
    this.#publish({ type: 'DELETED', resource: refId(ref), revision: this.#revision, object, previous: old });
  }

  #publish(change: Change): void {
    this.#history.push(change);
    for (const watch of this.#watches) watch.change(change);
  }

  #select(target: Target, url: URL): FakeObject[] {
    const select = selection(target, url);
    return this.all(target.ref).filter(select);
  }

  #target(path: string): Target {
    const parts = path
      .split('/')
      .filter((part) => part !== '')
      .map(decodeURIComponent);
    const group = parts[0] === 'api' ? '' : (parts[1] ?? '');
    const version = parts[0] === 'api' ? (parts[1] ?? '') : (parts[2] ?? '');
    let rest = parts.slice(parts[0] === 'api' ? 2 : 3);
    let namespace = '';
    if (rest[0] === 'namespaces' && rest.length > 2 && rest[2] !== 'status' && rest[2] !== 'finalize') {
      namespace = rest[1] ?? '';
      rest = rest.slice(2);
    }
    const ref = this.#refs.find((r) => r.group === group && r.version === version && r.resource === rest[0]);
    if (ref === undefined) throw new StatusError(404, 'NotFound', 'the server could not find the requested resource');
    return { ref, namespace, name: rest[1] ?? '', subresource: rest[2] ?? '' };
  }

  #discovery(path: string): unknown {
    const groups = [...new Set(this.#refs.filter((r) => r.group !== '').map((r) => r.group))];
    if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] };
    if (path === '/apis')
      return {
        kind: 'APIGroupList',
        apiVersion: 'v1',
        groups: groups.map((name) => ({
          name,
          versions: [{ groupVersion: `${name}/v1`, version: 'v1' }],
          preferredVersion: { groupVersion: `${name}/v1`, version: 'v1' },
        })),
      };
    const groupVersion = path.replace(/^\/apis?\//, '');
    const verbs = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
    const resources = this.#refs
      .filter((r) => refApiVersion(r) === groupVersion)
      .map((r) => ({
        name: r.resource,
        kind: r.kind,
        namespaced: r.namespaced,
        verbs: r.resource.endsWith('reviews') ? ['create'] : verbs,
      }));
    return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources };
  }
}

function selection(target: Target, url: URL): (object: FakeObject) => boolean {
  const labels = url.searchParams.get('labelSelector') ?? '';
  const fields = url.searchParams.get('fieldSelector') ?? '';
  return (object) =>
    (target.namespace === '' || object.metadata.namespace === target.namespace) &&
    matchesLabels(labels, object) &&
    matchesFields(fields, object);
}

function storageKey(ref: ResourceRef, namespace: string, name: string): string {
  return `${refId(ref)}/${namespace}/${name}`;
}

function isFinal(object: FakeObject): boolean {
  if (object.metadata.deletionTimestamp === undefined || (object.metadata.finalizers ?? []).length > 0) return false;
  const spec = isRecord(object.spec) ? object.spec : {};
  return object.kind !== 'Namespace' || !Array.isArray(spec.finalizers) || spec.finalizers.length === 0;
}

function isMetadata(request: TransportRequest): boolean {
  return String(request.headers?.accept ?? '').includes('PartialObjectMetadata');
}

function shaped(object: FakeObject, metadataOnly: boolean): FakeObject {
  return metadataOnly ? partialMetadata(object) : object;
}

function timestamp(clock: Clock): string {
  return `${new Date(clock.now()).toISOString().slice(0, 19)}Z`;
}

function answer(status: number, body: unknown, headers: Record<string, string> = {}): TransportResponse {
  return { status, headers, body: encoder.encode(JSON.stringify(body)) };
}
