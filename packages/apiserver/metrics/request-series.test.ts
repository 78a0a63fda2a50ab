import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { RequestSeries } from './request-series.ts';

const labels = { verb: 'GET', group: '', version: 'v1', resource: 'pods', subresource: '', scope: 'resource', component: 'apiserver' };

describe('RequestSeries', () => {
  it('renders a counter per code and a cumulated histogram', async () => {
    const registry = new Registry();
    const series = new RequestSeries();
    series.register(registry);
    series.count(labels, 200, false, 0.001);
    series.count(labels, 200, false, 0.003);
    series.count(labels, 404, false, 61);
    series.count(labels, 201, true, 0.1);
    for (let reading = 0; reading < 2; reading++) {
      const text = await registry.metrics();
      expect(text).toContain('# TYPE apiserver_request_total counter');
      expect(text).toMatch(/apiserver_request_total\{verb="GET",.*scope="resource",component="apiserver",code="200",dry_run=""\} 2\n/);
      expect(text).toMatch(/apiserver_request_total\{.*code="404",dry_run=""\} 1\n/);
      expect(text).toMatch(/apiserver_request_total\{.*code="201",dry_run="All"\} 1\n/);
      expect(text).toContain('# TYPE apiserver_request_duration_seconds histogram');
      expect(text).toMatch(/apiserver_request_duration_seconds_bucket\{.*le="0.0005"\} 0\n/);
      expect(text).toMatch(/apiserver_request_duration_seconds_bucket\{.*le="0.001"\} 1\n/);
      expect(text).toMatch(/apiserver_request_duration_seconds_bucket\{.*le="0.1"\} 3\n/);
      expect(text).toMatch(/apiserver_request_duration_seconds_bucket\{.*le="60"\} 3\n/);
      expect(text).toMatch(/apiserver_request_duration_seconds_bucket\{.*le="\+Inf"\} 4\n/);
      expect(text).toMatch(/apiserver_request_duration_seconds_sum\{.*\} 61.104/);
      expect(text).toMatch(/apiserver_request_duration_seconds_count\{.*\} 4\n/);
    }
  });
});
