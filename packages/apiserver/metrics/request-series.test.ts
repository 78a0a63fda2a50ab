import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import type { RequestLabels } from './request-labels.ts';
import { RequestSeries } from './request-series.ts';

const labels: RequestLabels = {
  verb: 'GET',
  dry_run: '',
  group: '',
  version: 'v1',
  resource: 'pods',
  subresource: '',
  scope: 'resource',
  component: 'apiserver',
};

/** Values of a metric by the labels that matter. */
function values(text: string, name: string, ...with_: readonly string[]): string[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) && with_.every((label) => line.includes(label)))
    .map((line) => line.slice(line.lastIndexOf(' ') + 1));
}

describe('RequestSeries', () => {
  it('renders a counter per code and a cumulated histogram', async () => {
    const registry = new Registry();
    const series = new RequestSeries();
    series.register(registry);
    series.count(labels, { code: 200, seconds: 0.001, sizeBytes: 400 });
    series.count(labels, { code: 200, seconds: 0.003, sizeBytes: 2000 });
    series.count(labels, { code: 404, seconds: 61, sizeBytes: 100 });
    series.count({ ...labels, dry_run: 'All' }, { code: 201, seconds: 0.1 });
    for (let reading = 0; reading < 2; reading++) {
      const text = await registry.metrics();
      expect(text).toContain('# TYPE apiserver_request_total counter');
      expect(values(text, 'apiserver_request_total', 'dry_run=""', 'code="200"')).toEqual(['2']);
      expect(values(text, 'apiserver_request_total', 'dry_run=""', 'code="404"')).toEqual(['1']);
      expect(values(text, 'apiserver_request_total', 'dry_run="All"', 'code="201"')).toEqual(['1']);
      expect(text).toContain('# TYPE apiserver_request_duration_seconds histogram');
      const bucket = 'apiserver_request_duration_seconds_bucket';
      expect(values(text, bucket, 'dry_run=""', 'le="0.005"')).toEqual(['2']);
      expect(values(text, bucket, 'dry_run=""', 'le="60"')).toEqual(['2']);
      expect(values(text, bucket, 'dry_run=""', 'le="+Inf"')).toEqual(['3']);
      expect(values(text, bucket, 'dry_run="All"', 'le="0.05"')).toEqual(['0']);
      expect(values(text, bucket, 'dry_run="All"', 'le="0.1"')).toEqual(['1']);
      expect(values(text, 'apiserver_request_duration_seconds_sum', 'dry_run=""')).toEqual(['61.004']);
      expect(values(text, 'apiserver_request_duration_seconds_count', 'dry_run=""')).toEqual(['3']);
      expect(values(text, 'apiserver_response_sizes_bucket', 'le="1000"')).toEqual(['2']);
      expect(values(text, 'apiserver_response_sizes_sum')).toEqual(['2500']);
    }
  });

  it('leaves dry runs and the finest bounds out of the indicator of service levels', async () => {
    const registry = new Registry();
    const series = new RequestSeries();
    series.register(registry);
    series.count(labels, { code: 200, seconds: 0.001 });
    series.count({ ...labels, dry_run: 'All' }, { code: 200, seconds: 0.001 });
    const text = await registry.metrics();
    expect(text).toContain('# TYPE apiserver_request_sli_duration_seconds histogram');
    expect(values(text, 'apiserver_request_sli_duration_seconds_count')).toEqual(['1']);
    expect(values(text, 'apiserver_request_sli_duration_seconds_bucket')).toHaveLength(22);
    expect(values(text, 'apiserver_request_sli_duration_seconds_bucket', 'le="0.025"')).toEqual([]);
    expect(values(text, 'apiserver_request_sli_duration_seconds_bucket', 'dry_run')).toEqual([]);
  });

  it('shows requests that last while they are open', async () => {
    const registry = new Registry();
    const series = new RequestSeries();
    series.register(registry);
    const watch = { ...labels, verb: 'WATCH', scope: 'cluster' };
    const closes = [series.open(watch), series.open(watch)];
    expect(values(await registry.metrics(), 'apiserver_longrunning_requests', 'verb="WATCH"')).toEqual(['2']);
    for (const close of closes) close();
    expect(values(await registry.metrics(), 'apiserver_longrunning_requests')).toEqual([]);
  });
});
