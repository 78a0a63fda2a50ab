import type { Metric, Registry } from 'prom-client';

/**
 * A histogram of durations, or of sizes, for paths that are taken very often: observing is one search for a bucket and two additions; samples are
 * made only when somebody reads the metrics. Whoever observes keeps the series of its labels.
 */
export class DurationHistogram {
  readonly #name: string;
  readonly #help: string;
  readonly #bounds: readonly number[];
  readonly #series: DurationSeries[] = [];

  /** `bounds` in seconds, ascending. */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name;
    this.#help = help;
    this.#bounds = bounds;
  }

  /** A new series; the caller makes one for each set of labels. */
  series(labels: DurationLabels): DurationSeries {
    const series = new DurationSeries(labels, this.#bounds);
    this.#series.push(series);
    return series;
  }

  register(registry: Registry): void {
    // The library's histogram cannot be given sums: to the registry, whatever answers `get` is a metric.
    const metric = { name: this.#name, get: async () => this.#read() };
    registry.registerMetric(metric as unknown as Metric);
  }

  #read() {
    return {
      name: this.#name,
      help: this.#help,
      type: 'histogram',
      aggregator: 'sum',
      values: this.#series.flatMap((s) => s.samples(this.#name)),
    };
  }
}

export type DurationLabels = Readonly<Record<string, string>>;

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export class DurationSeries {
  readonly #labels: DurationLabels;
  readonly #bounds: readonly number[];
  /** Observations per bucket, not cumulated; the last one is above all bounds. */
  readonly #buckets: number[];
  #sumSeconds = 0;

  constructor(labels: DurationLabels, bounds: readonly number[]) {
    this.#labels = labels;
    this.#bounds = bounds;
    this.#buckets = new Array<number>(bounds.length + 1).fill(0);
  }

  get count(): number {
    return this.#buckets.reduce((sum, inBucket) => sum + inBucket, 0);
  }

  observe(seconds: number): void {
    let bucket = 0;
    while (bucket < this.#bounds.length && seconds > (this.#bounds[bucket] ?? 0)) bucket++;
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
    this.#sumSeconds += seconds;
  }

  samples(name: string): Sample[] {
    let count = 0;
    const values: Sample[] = this.#buckets.map((inBucket, i) => {
      count += inBucket;
      return { metricName: `${name}_bucket`, labels: { ...this.#labels, le: this.#bounds[i] ?? '+Inf' }, value: count };
    });
    values.push({ metricName: `${name}_sum`, labels: { ...this.#labels }, value: this.#sumSeconds });
    values.push({ metricName: `${name}_count`, labels: { ...this.#labels }, value: count });
    return values;
  }
}

/** `count` bounds, each `factor` times the one before. */
export function exponentialBounds(start: number, factor: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => Number((start * factor ** i).toPrecision(12)));
}
