import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { Filter } from '../filters/filter.ts';
import type { RequestContext } from '../request/context.ts';
import { type RequestLabels, RequestSeries } from './request-series.ts';

/** What the gauges read when somebody asks for `/metrics`. */
export interface MetricsSources {
  readonly inFlight: () => { readonly readOnly: number; readonly mutating: number };
  /** Objects per resource, e.g. `configmaps`, `deployments.apps`. */
  readonly objectCounts: () => Iterable<readonly [group: string, resource: string, count: number]>;
  readonly storeSizeBytes: () => Promise<number>;
  readonly openWatches: () => Promise<number>;
  /** How far this server's view of roles and bindings is behind the store. */
  readonly rbacIndexDelaySeconds: () => Promise<number>;
  /** True for what the server serves; only that may become labels. */
  readonly isServed: (group: string, version: string, resource: string, subresource: string) => boolean;
}

export interface ServerMetrics {
  /** Outermost filter: counts and times every request. */
  readonly filter: Filter;
  readonly countWatchEvents: (group: string, version: string, kind: string, count: number) => void;
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
    help: 'Number of events sent in watch clients.',
    labelNames: ['group', 'version', 'kind'],
    registers,
  });
  addGauges(registers, sources);
  return {
    registry,
    filter: async (context, next) => {
      const startedMs = performance.now();
      const response = await next(context);
      const code = response.kind === 'upgraded' ? 101 : response.status;
      const dryRun = context.query.size > 0 && context.query.get('dryRun') === 'All';
      requests.count(requestLabels(context, sources), code, dryRun, (performance.now() - startedMs) / 1000);
      return response;
    },
    countWatchEvents: (group, version, kind, count) => watchEvents.inc({ group, version, kind }, count),
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  };
}

/** Whatever the server does not serve shares one set of label values, so that a client cannot grow the metric. */
function requestLabels({ info }: RequestContext, { isServed }: MetricsSources): RequestLabels {
  const known = info.isResourceRequest && isServed(info.group, info.version, info.resource, info.subresource);
  if (!known) {
    const verb = info.isResourceRequest ? 'OTHER' : verbOf(info.verb);
    return { verb, group: '', version: '', resource: '', subresource: '', scope: '', component: 'apiserver' };
  }
  const { verb, group, version, resource, subresource, name, namespace } = info;
  const scope = name !== '' ? 'resource' : namespace !== '' ? 'namespace' : 'cluster';
  return {
    verb: knownVerbs.has(verb) ? verb.toUpperCase() : 'OTHER',
    group,
    version,
    resource,
    subresource,
    scope,
    component: 'apiserver',
  };
}

const knownVerbs = new Set(['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection', 'proxy']);
const knownMethods = new Set(['get', 'put', 'post', 'delete', 'patch', 'head', 'options', 'connect']);

function verbOf(method: string): string {
  return knownMethods.has(method) ? method.toUpperCase() : 'OTHER';
}

function addGauges(registers: Registry[], sources: MetricsSources): void {
  new Gauge({
    name: 'apiserver_current_inflight_requests',
    help: 'Requests being served now, by kind; watches and streams do not count.',
    labelNames: ['request_kind'],
    registers,
    collect() {
      const { readOnly, mutating } = sources.inFlight();
      this.set({ request_kind: 'readOnly' }, readOnly);
      this.set({ request_kind: 'mutating' }, mutating);
    },
  });
  new Gauge({
    name: 'apiserver_longrunning_requests',
    help: 'Open watches.',
    registers,
    async collect() {
      this.set(await sources.openWatches());
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
    help: 'Number of stored objects by group and resource.',
    labelNames: ['group', 'resource'],
    registers,
    collect() {
      for (const [group, resource, count] of sources.objectCounts()) this.set({ group, resource }, count);
    },
  });
  new Gauge({
    name: 'apiserver_storage_objects',
    help: 'Number of stored objects by resource.',
    labelNames: ['resource'],
    registers,
    collect() {
      for (const [group, resource, count] of sources.objectCounts())
        this.set({ resource: group === '' ? resource : `${resource}.${group}` }, count);
    },
  });
  for (const name of ['apiserver_storage_size_bytes', 'etcd_mvcc_db_total_size_in_bytes', 'etcd_debugging_mvcc_db_total_size_in_bytes']) {
    new Gauge({
      name,
      help: 'Size of the store on disk in bytes.',
      registers,
      async collect() {
        this.set(await sources.storeSizeBytes());
      },
    });
  }
}
