import { Counter, type Metric, type Registry } from 'prom-client';

/**
 * Counts and durations of requests, as `apiserver_request_total` and `apiserver_request_duration_seconds`. Counting is one look-up and
 * two additions, because it happens on every request; samples are made only when somebody reads the metrics.
 */
export interface RequestLabels {
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly scope: string;
  readonly component: string;
}

interface Series {
  readonly labels: RequestLabels;
  /** Requests per bucket, not cumulated; the last one is above all bounds. */
  readonly buckets: number[];
  sumSeconds: number;
  /** By status code; those with `dryRun=All` apart. */
  readonly codes: Map<number, number>;
  readonly dryRunCodes: Map<number, number>;
}

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

const durationBounds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const durationName = 'apiserver_request_duration_seconds';
const durationHelp = 'Response latency distribution in seconds for each verb, group, version, resource, subresource and scope.';

export class RequestSeries {
  readonly #series = new Map<string, Series>();

  count(labels: RequestLabels, code: number, dryRun: boolean, seconds: number): void {
    const key = `${labels.verb} ${labels.group} ${labels.version} ${labels.resource} ${labels.subresource} ${labels.scope}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      const buckets = new Array<number>(durationBounds.length + 1).fill(0);
      series = { labels, buckets, sumSeconds: 0, codes: new Map(), dryRunCodes: new Map() };
      this.#series.set(key, series);
    }
    const bucket = bucketOf(seconds);
    series.buckets[bucket] = (series.buckets[bucket] ?? 0) + 1;
    series.sumSeconds += seconds;
    const codes = dryRun ? series.dryRunCodes : series.codes;
    codes.set(code, (codes.get(code) ?? 0) + 1);
  }

  register(registry: Registry): void {
    const all = this.#series;
    new Counter({
      name: 'apiserver_request_total',
      help: 'Counter of apiserver requests broken out for each verb, group, version, resource, scope and HTTP response code.',
      labelNames: ['verb', 'group', 'version', 'resource', 'subresource', 'scope', 'code', 'dry_run', 'component'],
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, codes, dryRunCodes } of all.values()) {
          for (const [code, count] of codes) this.inc({ ...labels, code, dry_run: '' }, count);
          for (const [code, count] of dryRunCodes) this.inc({ ...labels, code, dry_run: 'All' }, count);
        }
      },
    });
    // The library's histogram cannot be given sums: to the registry, whatever answers `get` is a metric.
    const durations = { name: durationName, get: async () => this.#durations() };
    registry.registerMetric(durations as unknown as Metric);
  }

  #durations() {
    const values: Sample[] = [];
    for (const { labels, buckets, sumSeconds } of this.#series.values()) {
      let count = 0;
      for (const [i, inBucket] of buckets.entries()) {
        count += inBucket;
        values.push({ metricName: `${durationName}_bucket`, labels: { ...labels, le: durationBounds[i] ?? '+Inf' }, value: count });
      }
      values.push({ metricName: `${durationName}_sum`, labels: { ...labels }, value: sumSeconds });
      values.push({ metricName: `${durationName}_count`, labels: { ...labels }, value: count });
    }
    return { name: durationName, help: durationHelp, type: 'histogram', aggregator: 'sum', values };
  }
}

/** Index of the first bound that is not below `seconds`. */
function bucketOf(seconds: number): number {
  let bucket = 0;
  while (bucket < durationBounds.length && seconds > (durationBounds[bucket] ?? 0)) bucket++;
  return bucket;
}
