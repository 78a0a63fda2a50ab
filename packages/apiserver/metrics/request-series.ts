import { Counter, Gauge, type Metric, type Registry } from 'prom-client';
import { DurationHistogram, type DurationSeries, exponentialBounds } from './duration-histogram.ts';
import type { RequestLabels } from './request-labels.ts';

/**
 * Counts, durations and sizes of requests under kube-apiserver's names. Counting is one look-up and a few additions, because it happens
 * on every request; samples are made only when somebody reads the metrics.
 */
export interface RequestSample {
  readonly code: number;
  readonly seconds: number;
  /** Bytes of the answer to a read. */
  readonly sizeBytes?: number;
}

interface Series {
  readonly labels: RequestLabels;
  readonly durations: DurationSeries;
  /** Undefined until the first answer to a read. */
  sizes: DurationSeries | undefined;
  readonly codes: Map<number, number>;
  /** Watches and followed logs that are open. */
  open: number;
  /** Somebody asked for it although it is going away. */
  deprecated: boolean;
}

/** `apiserver_request_sli_duration_seconds` has the same bounds from here on. */
const sliFromSeconds = 0.05;

export class RequestSeries {
  readonly #series = new Map<string, Series>();
  readonly #durations = new DurationHistogram(
    'apiserver_request_duration_seconds',
    '[STABLE] Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.',
    [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60],
  );
  readonly #sizes = new DurationHistogram(
    'apiserver_response_sizes',
    '[STABLE] Response size distribution in bytes for each group, version, verb, resource, subresource, scope and component.',
    exponentialBounds(1000, 10, 7),
  );

  count(labels: RequestLabels, { code, seconds, sizeBytes }: RequestSample): void {
    const series = this.#of(labels);
    series.durations.observe(seconds);
    series.codes.set(code, (series.codes.get(code) ?? 0) + 1);
    if (sizeBytes === undefined) return;
    series.sizes ??= this.#sizes.series(withoutDryRun(labels));
    series.sizes.observe(sizeBytes);
  }

  /** The request was for a version of a resource that is going away. */
  markDeprecated(labels: RequestLabels): void {
    this.#of(labels).deprecated = true;
  }

  /** A request that lasts has begun; call the result when it ends. */
  open(labels: RequestLabels): () => void {
    const series = this.#of(labels);
    series.open++;
    return () => {
      series.open--;
    };
  }

  #of(labels: RequestLabels): Series {
    const { verb, dry_run, group, version, resource, subresource, scope } = labels;
    const key = `${verb} ${dry_run} ${group} ${version} ${resource} ${subresource} ${scope}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      const durations = this.#durations.series({ ...labels });
      series = { labels, durations, sizes: undefined, codes: new Map(), open: 0, deprecated: false };
      this.#series.set(key, series);
    }
    return series;
  }

  register(registry: Registry): void {
    const all = this.#series;
    const registers = [registry];
    const labelNames = ['verb', 'dry_run', 'group', 'version', 'resource', 'subresource', 'scope', 'component'];
    new Counter({
      name: 'apiserver_request_total',
      help: '[STABLE] Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.',
      labelNames: [...labelNames, 'code'],
      registers,
      collect() {
        this.reset();
        for (const { labels, codes } of all.values()) {
          for (const [code, count] of codes) this.inc({ ...labels, code }, count);
        }
      },
    });
    this.#durations.register(registry);
    this.#registerSli(registry);
    this.#registerDeprecated(registry);
    this.#sizes.register(registry);
    new Gauge({
      name: 'apiserver_longrunning_requests',
      help: '[STABLE] Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component. Not all requests are tracked this way.',
      labelNames: labelNames.filter((name) => name !== 'dry_run'),
      registers,
      collect() {
        this.reset();
        for (const { labels, open } of all.values()) if (open > 0) this.set(withoutDryRun(labels), open);
      },
    });
  }

  /** Of nothing that is served it is known when it will be gone: `removed_release` is empty. */
  #registerDeprecated(registry: Registry): void {
    const all = this.#series;
    new Gauge({
      name: 'apiserver_requested_deprecated_apis',
      help: '[STABLE] Gauge of deprecated APIs that have been requested, broken out by API group, version, resource, subresource, and removed_release.',
      labelNames: ['group', 'version', 'resource', 'subresource', 'removed_release'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, deprecated } of all.values()) {
          if (!deprecated) continue;
          const { group, version, resource, subresource } = labels;
          this.set({ group, version, resource, subresource, removed_release: '' }, 1);
        }
      },
    });
  }

  /** Nothing that kube-apiserver subtracts (webhooks, queues) takes time here: the same durations, dry runs left out. */
  #registerSli(registry: Registry): void {
    const name = 'apiserver_request_sli_duration_seconds';
    const read = () => ({
      name,
      help: '[ALPHA] Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds for each verb, group, version, resource, subresource, scope and component.',
      type: 'histogram',
      aggregator: 'sum',
      values: [...this.#series.values()]
        .filter(({ labels, durations }) => labels.dry_run === '' && durations.count > 0)
        .flatMap(({ durations }) => durations.samples(name))
        .filter(({ labels: { le } }) => typeof le !== 'number' || le >= sliFromSeconds)
        .map(({ labels: { dry_run: _none, ...labels }, ...sample }) => ({ ...sample, labels })),
    });
    registry.registerMetric({ name, get: async () => read() } as unknown as Metric);
  }
}

function withoutDryRun({ dry_run: _none, ...labels }: RequestLabels): Omit<RequestLabels, 'dry_run'> {
  return labels;
}
