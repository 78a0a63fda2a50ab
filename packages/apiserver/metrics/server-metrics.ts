import type { HttpResponse, StreamSink } from '@coffer/base/http/handler';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Filter } from '../filters/filter.ts';
import { isLongRunning } from '../filters/long-running.ts';
import type { RequestContext } from '../request/context.ts';
import { type IsServed, requestLabels } from './request-labels.ts';
import { RequestSeries } from './request-series.ts';

/** What the gauges read when somebody asks for `/metrics`. */
export interface MetricsSources {
  readonly inFlight: () => { readonly readOnly: number; readonly mutating: number };
  /** Objects per resource, e.g. `configmaps`, `deployments.apps`. */
  readonly objectCounts: () => Iterable<readonly [group: string, resource: string, count: number]>;
  readonly storeSizeBytes: () => Promise<number>;
  /** How far this server's view of roles and bindings is behind the store. */
  readonly rbacIndexDelaySeconds: () => Promise<number>;
  readonly isServed: IsServed;
}

export interface ServerMetrics {
  /** Outermost filter: counts and times every request. */
  readonly filter: Filter;
  readonly countWatchEvents: (group: string, version: string, resource: string, count: number) => void;
  readonly registry: Registry;
  render(): Promise<{ readonly contentType: string; readonly body: string }>;
}

/** Metrics with kube-apiserver's names where one exists. Labels hold kinds, verbs and codes, never names or values of objects. */
export function createServerMetrics(sources: MetricsSources): ServerMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 10 });
  const registers = [registry];
  const requests = new RequestSeries();
  requests.register(registry);
  const watchEvents = new Counter({
    name: 'apiserver_watch_events_total',
    help: '[ALPHA] Number of events sent in watch clients',
    labelNames: ['group', 'version', 'resource'],
    registers,
  });
  addGauges(registers, sources);
  return {
    registry,
    filter: async (context, next) => {
      const startedMs = performance.now();
      const response = await next(context);
      return counted(requests, context, response, sources.isServed, startedMs);
    },
    countWatchEvents: (group, version, resource, count) => watchEvents.inc({ group, version, resource }, count),
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}

/** Counts the answer when it is complete: what is streamed, when the stream ends. */
function counted(
  requests: RequestSeries,
  context: RequestContext,
  response: HttpResponse,
  isServed: IsServed,
  startedMs: number,
): HttpResponse {
  const labels = requestLabels(context, isServed);
  if (context.auditAnnotations.has('k8s.io/deprecated')) requests.markDeprecated(labels);
  const isRead = labels.verb === 'GET' || labels.verb === 'LIST';
  const count = (code: number, sizeBytes: number) =>
    requests.count(labels, { code, seconds: (performance.now() - startedMs) / 1000, ...(isRead ? { sizeBytes } : {}) });
  if (response.kind !== 'stream') {
    if (response.kind === 'upgraded') count(101, 0);
    else count(response.status, bodyLength(response.body));
    return response;
  }
  const { run, status } = response;
  return {
    ...response,
    async run(sink) {
      const close = isLongRunning(context) ? requests.open(labels) : undefined;
      const measured = isRead ? new CountingSink(sink) : undefined;
      try {
        await run(measured ?? sink);
      } finally {
        close?.();
        count(status, measured?.bytes ?? 0);
      }
    },
  };
}

function bodyLength(body: Extract<HttpResponse, { kind: 'full' }>['body']): number {
  if (typeof body === 'string') return Buffer.byteLength(body);
  return body instanceof Uint8Array ? body.length : body.reduce((sum, part) => sum + part.length, 0);
}

class CountingSink implements StreamSink {
  readonly #sink: StreamSink;
  bytes = 0;

  constructor(sink: StreamSink) {
    this.#sink = sink;
  }

  write(chunk: Uint8Array | string): boolean {
    this.bytes += typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.length;
    return this.#sink.write(chunk);
  }

  drained(): Promise<void> {
    return this.#sink.drained();
  }

  get bufferedBytes(): number {
    return this.#sink.bufferedBytes;
  }

  flush(): void {
    this.#sink.flush();
  }

  get signal(): AbortSignal {
    return this.#sink.signal;
  }
}

function addGauges(registers: Registry[], sources: MetricsSources): void {
  new Gauge({
    name: 'apiserver_current_inflight_requests',
    help: '[STABLE] Requests being served now, by kind; watches and streams do not count.',
    labelNames: ['request_kind'],
    registers,
    collect() {
      const { readOnly, mutating } = sources.inFlight();
      this.set({ request_kind: 'readOnly' }, readOnly);
      this.set({ request_kind: 'mutating' }, mutating);
    },
  });
  new Gauge({
    name: 'coffer_rbac_index_delay_seconds',
    help: 'Time until every role and binding that is in the store now counts on this server.',
    registers,
    async collect() {
      this.set(await sources.rbacIndexDelaySeconds());
    },
  });
  new Gauge({
    name: 'apiserver_resource_objects',
    help: '[ALPHA] Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.',
    labelNames: ['group', 'resource'],
    registers,
    collect() {
      for (const [group, resource, count] of sources.objectCounts()) this.set({ group, resource }, count);
    },
  });
  new Gauge({
    name: 'apiserver_storage_objects',
    help: '[STABLE] (Deprecated since 1.34.0) [DEPRECATED, consider using apiserver_resource_objects instead] Number of stored objects at the time of last check split by kind. In case of a fetching error, the value will be -1.',
    labelNames: ['resource'],
    registers,
    collect() {
      for (const [group, resource, count] of sources.objectCounts())
        this.set({ resource: group === '' ? resource : `${resource}.${group}` }, count);
    },
  });
  new Gauge({
    name: 'apiserver_storage_size_bytes',
    help: '[STABLE] Size of the storage database file physically allocated in bytes.',
    labelNames: ['storage_cluster_id'],
    registers,
    async collect() {
      this.set({ storage_cluster_id: 'etcd-0' }, await sources.storeSizeBytes());
    },
  });
  for (const name of ['etcd_mvcc_db_total_size_in_bytes', 'etcd_debugging_mvcc_db_total_size_in_bytes']) {
    new Gauge({
      name,
      help: 'Total size of the underlying database physically allocated in bytes.',
      registers,
      async collect() {
        this.set(await sources.storeSizeBytes());
      },
    });
  }
}
