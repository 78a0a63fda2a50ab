import { Counter, type Registry } from 'prom-client';
import { DurationHistogram, type DurationSeries } from './duration-histogram.ts';

/**
 * Counts and durations of requests, as `apiserver_request_total` and `apiserver_request_duration_seconds`. Counting is one look-up and
 * a few additions, because it happens on every request; samples are made only when somebody reads the metrics.
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
  readonly durations: DurationSeries;
  /** By status code; those with `dryRun=All` apart. */
  readonly codes: Map<number, number>;
  readonly dryRunCodes: Map<number, number>;
}

export class RequestSeries {
  readonly #series = new Map<string, Series>();
  readonly #durations = new DurationHistogram(
    'apiserver_request_duration_seconds',
    'Response latency distribution in seconds for each verb, group, version, resource, subresource and scope.',
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  );

  count(labels: RequestLabels, code: number, dryRun: boolean, seconds: number): void {
    const key = `${labels.verb} ${labels.group} ${labels.version} ${labels.resource} ${labels.subresource} ${labels.scope}`;
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { labels, durations: this.#durations.series({ ...labels }), codes: new Map(), dryRunCodes: new Map() };
      this.#series.set(key, series);
    }
    series.durations.observe(seconds);
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
    this.#durations.register(registry);
  }
}
