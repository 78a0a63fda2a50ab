import type { Catalog } from '@coffer/api/catalog/catalog';
import type { HealthChecks } from '../health/health-checks.ts';
import type { NonResourceEndpoint } from './non-resource-endpoints.ts';

/** What every server has besides its API groups and health checks. */
const fixedPaths = [
  '/.well-known/openid-configuration',
  '/metrics',
  '/openapi/v2',
  '/openapi/v3',
  '/openapi/v3/',
  '/openid/v1/jwks',
  '/version',
] as const;

/** `/` and `/index.html`: the paths there are, sorted, for people who look around. */
export function rootIndexEndpoint(catalog: Catalog, health: HealthChecks): NonResourceEndpoint {
  return ({ info }) => {
    if (info.path !== '/' && info.path !== '' && info.path !== '/index.html') return undefined;
    const paths = [...fixedPaths, ...groupPaths(catalog), ...health.paths()].sort();
    const body = JSON.stringify({ paths }, null, 2);
    return { kind: 'full', status: 200, headers: { 'content-type': 'application/json' }, body };
  };
}

function groupPaths(catalog: Catalog): string[] {
  const below = catalog.groups().flatMap(({ name, versions }) => {
    const root = name === '' ? '/api' : `/apis/${name}`;
    return [root, ...versions.map((version) => `${root}/${version}`)];
  });
  return [...below, '/apis', '/apis/'];
}
