import { builtInCatalog } from '@coffer/api/catalog/catalog';
import { builtInKind } from '@coffer/api/kinds/index';
import type { KubeObject } from '@coffer/api/meta/object';
import { builtInSchemaTable } from '@coffer/api/schema/schema-table';
import { BodyTooLargeError, type HttpRequest, type HttpResponse, type StreamSink, type UserInfo } from '@coffer/base/http/handler';
import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { openMemoryBackend } from '@coffer/storage/backend/memory';
import { openStorage, type Storage } from '@coffer/storage/store/storage';
import { identityTransformer } from '@coffer/storage/value/transformer';
import { Registry } from 'prom-client';
import { builtInAdmission } from '../admission/built-in.ts';
import { AdmissionChain } from '../admission/chain.ts';
import type { AdmissionPlugin } from '../admission/plugin.ts';
import { resourceQuotaAdmission } from '../admission/plugins/resource-quota.ts';
import type { Authorizer } from '../authorization/authorizer.ts';
import { createApiHandler } from '../endpoints/create-api-handler.ts';
import { errorResponse } from '../endpoints/errors.ts';
import type { NodeLookup } from '../endpoints/subresources/reach-node.ts';
import { createPodSecurityMetrics } from '../metrics/pod-security-metrics.ts';
import { serviceStrategy } from '../registry/core/service-strategy.ts';
import { openResourceStores, type ResourceStores } from '../registry/open-stores.ts';
import { builtInStrategies } from '../registry/strategies.ts';
import { type RequestContext, WarningList } from '../request/context.ts';
import { parseRequestInfo } from '../request/parse-request-info.ts';

/**
 * For tests: the resource endpoints over a real storage in memory, called in process. Everybody may do everything; there are no
 * loops, so that nothing changes but by the test's own requests. Namespace `ns` with its default ServiceAccount exists.
 */
export interface TestApi {
  readonly clock: FakeClock;
  readonly storage: Storage;
  readonly stores: ResourceStores;
  request(method: string, path: string, body?: unknown, options?: TestRequestOptions): Promise<TestResponse>;
  /** The answer as it is, with `context` for what happens to the connection. */
  raw(method: string, path: string, body?: unknown, options?: TestRequestOptions): Promise<HttpResponse>;
  watch(path: string, options?: TestRequestOptions): Promise<TestWatch>;
  close(): Promise<void>;
}

export interface TestRequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly user?: UserInfo;
  readonly contentType?: string;
  readonly signal?: AbortSignal;
  readonly upgrade?: HttpRequest['upgrade'];
}

export interface TestResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** The parsed body; `any` shape, so that expectations read like the JSON they are about. */
  // biome-ignore lint/suspicious/noExplicitAny: expectations navigate freely through JSON
  readonly json: any;
}

export interface TestApiOptions {
  readonly plugins?: readonly AdmissionPlugin[];
  /** Asked where a request comes to more than its own verb. */
  readonly authorizer?: Authorizer;
  readonly nodeApiFor?: NodeLookup;
  /** Where admission counts. */
  readonly metrics?: Registry;
}

const admin: UserInfo = { name: 'admin', groups: ['system:masters', 'system:authenticated'] };

export async function openTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  const clock = new FakeClock();
  const storage = await openStorage({
    backend: openMemoryBackend(),
    clock,
    logger: silentLogger,
    transformerFor: () => identityTransformer,
  });
  const catalog = builtInCatalog();
  const stores = await openResourceStores((config) => storage.resource(config), catalog, builtInKind);
  const store = (prefix: string) => {
    const found = stores.get(prefix);
    if (found === undefined) throw new Error(`no store for ${prefix}`);
    return found;
  };
  let api: TestApi | undefined;
  const handler = createApiHandler({
    catalog,
    kinds: builtInKind,
    stores,
    strategies: builtInStrategies({ services: serviceStrategy(store('services/specs')) }),
    table: builtInSchemaTable(),
    admission: new AdmissionChain([
      ...builtInAdmission({
        store,
        podSecurityMetrics: createPodSecurityMetrics(options.metrics ?? new Registry(), 36),
        clock,
      }),
      ...(options.plugins ?? []),
      resourceQuotaAdmission({ quotas: store('resourcequotas'), clock, writeStatus: (quota) => writeQuotaStatus(api, quota) }),
    ]),
    authorizer: options.authorizer ?? { authorize: () => ({ decision: 'allow', reason: '' }) },
    clock,
    nodeApiFor: options.nodeApiFor ?? (() => undefined),
    tokenIssuer: {
      apiAudiences: ['https://kubernetes.default.svc'],
      maxExpirationSeconds: 100_000,
      extendExpiration: true,
      issue: async (request) => ({ token: JSON.stringify(request), jti: 'id' }),
    },
    reviews: new Map(),
  });
  api = new InProcessApi(clock, storage, stores, handler);
  await api.request('POST', '/api/v1/namespaces', { metadata: { name: 'ns' } });
  await api.request('POST', '/api/v1/namespaces/ns/serviceaccounts', { metadata: { name: 'default' } });
  return api;
}

async function writeQuotaStatus(api: TestApi | undefined, quota: KubeObject): Promise<boolean> {
  const { namespace, name } = quota.metadata;
  const answer = await api?.request('PUT', `/api/v1/namespaces/${namespace}/resourcequotas/${name}/status`, quota);
  return answer?.status === 200;
}

class InProcessApi implements TestApi {
  readonly clock: FakeClock;
  readonly storage: Storage;
  readonly stores: ResourceStores;
  readonly #handler: (context: RequestContext) => Promise<HttpResponse>;

  constructor(clock: FakeClock, storage: Storage, stores: ResourceStores, handler: (context: RequestContext) => Promise<HttpResponse>) {
    this.clock = clock;
    this.storage = storage;
    this.stores = stores;
    this.#handler = handler;
  }

  async raw(method: string, path: string, body?: unknown, options: TestRequestOptions = {}): Promise<HttpResponse> {
    const context = this.#context(method, path, body, options);
    try {
      return await this.#handler(context);
    } catch (error) {
      return errorResponse(error, context);
    }
  }

  async request(method: string, path: string, body?: unknown, options: TestRequestOptions = {}): Promise<TestResponse> {
    const response = await this.raw(method, path, body, options);
    if (response.kind === 'upgraded') throw new Error('the connection was upgraded');
    const text = response.kind === 'full' ? bodyText(response.body) : await collect(response);
    return { status: response.status, headers: response.headers, text, json: parse(text) };
  }

  async watch(path: string, options: TestRequestOptions = {}): Promise<TestWatch> {
    const response = await this.raw('GET', path, undefined, options);
    if (response.kind !== 'stream') throw new Error(`not a stream: ${response.kind === 'full' ? bodyText(response.body) : response.kind}`);
    return new TestWatch(response.run);
  }

  async close(): Promise<void> {
    await this.storage.close();
  }

  #context(method: string, path: string, body: unknown, options: TestRequestOptions): RequestContext {
    const mark = path.indexOf('?');
    const query = new URLSearchParams(mark < 0 ? '' : path.slice(mark + 1));
    const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
    const http: HttpRequest = {
      method,
      url: path,
      headers: {
        'user-agent': 'tester/1.0',
        ...(body === undefined ? {} : { 'content-type': options.contentType ?? 'application/json' }),
        ...options.headers,
      },
      readBody: async (maxBytes) => {
        if (bytes.length > maxBytes) throw new BodyTooLargeError(maxBytes);
        return bytes;
      },
      signal: options.signal ?? new AbortController().signal,
      peer: { address: 'in-process' },
      ...(options.upgrade === undefined ? {} : { upgrade: options.upgrade }),
    };
    return {
      http,
      auditId: 'test',
      receivedAtMs: this.clock.now(),
      info: parseRequestInfo(method, decodeURIComponent(mark < 0 ? path : path.slice(0, mark)), query),
      query,
      user: options.user ?? admin,
      warnings: new WarningList(),
      auditAnnotations: new Map(),
    };
  }
}

/** An open watch whose reader is the test: as slow as it wants to be. */
export class TestWatch {
  readonly done: Promise<void>;
  readonly #gone = new AbortController();
  readonly #chunks: string[] = [];
  #stalledBytes: number | undefined;
  #release: () => void = () => {};

  constructor(run: (sink: StreamSink) => Promise<void>) {
    this.done = run(this.#sink());
  }

  #sink(): StreamSink {
    const bufferedBytes = () => this.#stalledBytes ?? 0;
    return {
      signal: this.#gone.signal,
      write: (chunk) => {
        this.#chunks.push(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('utf8'));
        if (this.#stalledBytes !== undefined) this.#stalledBytes += chunk.length;
        return this.#stalledBytes === undefined;
      },
      drained: () =>
        new Promise((resolve) => {
          if (this.#stalledBytes === undefined) resolve();
          else this.#release = resolve;
        }),
      get bufferedBytes() {
        return bufferedBytes();
      },
      flush() {},
    };
  }

  /** What has arrived so far. */
  // biome-ignore lint/suspicious/noExplicitAny: expectations navigate freely through JSON
  get events(): any[] {
    return this.#chunks
      .join('')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }

  /** `ADDED a`, `DELETED b`, … */
  get summary(): string[] {
    return this.events.map((event) => `${event.type} ${event.object.metadata?.name ?? ''}`.trim());
  }

  /** From now on nothing is taken. */
  stall(): void {
    this.#stalledBytes = 0;
  }

  resume(): void {
    this.#stalledBytes = undefined;
    this.#release();
  }

  get stalledBytes(): number {
    return this.#stalledBytes ?? 0;
  }

  close(): void {
    this.#gone.abort(new Error('client closed the connection'));
  }
}

async function collect(response: Extract<HttpResponse, { kind: 'stream' }>): Promise<string> {
  const chunks: Buffer[] = [];
  await response.run({
    signal: new AbortController().signal,
    write(chunk) {
      chunks.push(Buffer.from(chunk as Uint8Array));
      return true;
    },
    drained: () => Promise.resolve(),
    bufferedBytes: 0,
    flush() {},
  });
  return Buffer.concat(chunks).toString('utf8');
}

function bodyText(body: Uint8Array | string | readonly Uint8Array[]): string {
  if (typeof body === 'string') return body;
  return Buffer.concat(body instanceof Uint8Array ? [body] : [...body]).toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
