import { builtInCatalog } from '@coffer/api/catalog/catalog';
import { describe, expect, it } from 'vitest';
import { HealthChecks } from '../health/health-checks.ts';
import type { RequestContext } from '../request/context.ts';
import { rootIndexEndpoint } from './root-index.ts';

const index = rootIndexEndpoint(builtInCatalog(), new HealthChecks());

async function ask(path: string) {
  const response = await index({ info: { path } } as RequestContext);
  return response?.kind === 'full' ? (JSON.parse(String(response.body)) as { paths: string[] }).paths : undefined;
}

describe('the root index', () => {
  it('lists groups, versions, health checks and documents in order', async () => {
    const paths = (await ask('/')) ?? [];
    expect(paths).toEqual([...paths].sort());
    expect(paths).toEqual(
      expect.arrayContaining(['/api', '/api/v1', '/apis', '/apis/apps', '/apis/apps/v1', '/healthz/ping', '/openapi/v2', '/version']),
    );
    expect(await ask('/index.html')).toEqual(paths);
    expect(await ask('/other')).toBeUndefined();
  });
});
