import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admin, type InProcessServer, startInProcessServer } from './in-process-server.ts';

// The roles and bindings a server makes at its first start, against a reviewed list.

interface Listed {
  readonly metadata: { readonly name: string; readonly labels?: Record<string, string>; readonly annotations?: Record<string, string> };
  readonly roleRef?: { readonly name: string };
}

const rbac = '/apis/rbac.authorization.k8s.io/v1';
let server: InProcessServer;
beforeAll(async () => {
  server = await startInProcessServer();
});
afterAll(() => server?.close());

async function list(resource: string, selector = ''): Promise<readonly Listed[]> {
  const path = `${rbac}/${resource}${selector === '' ? '' : `?labelSelector=${encodeURIComponent(selector)}`}`;
  const answer = await server.transportAs(admin).request({ method: 'GET', path, headers: {} });
  return JSON.parse(Buffer.from(answer.body).toString('utf8')).items;
}

const names = (items: readonly Listed[]) => items.map((item) => item.metadata.name);

describe('a fresh server', () => {
  const defaults = 'kubernetes.io/bootstrapping=rbac-defaults';

  it('has the default ClusterRoles and their bindings, and no others under that label', async () => {
    const lines = (await readFile(new URL('expected-cluster-roles.txt', import.meta.url), 'utf8')).split('\n');
    const expected = lines.filter((line) => line !== '' && !line.startsWith('#'));
    expect(names(await list('clusterroles', defaults))).toEqual(expected.map((line) => line.replace(/ \+$/, '')));
    const bound = expected.filter((line) => line.endsWith(' +')).map((line) => line.slice(0, -2));
    expect(names(await list('clusterrolebindings', defaults))).toEqual(bound);
  });

  it('says of all of them that the server keeps them up to date', async () => {
    const all = [
      ...(await list('clusterroles')),
      ...(await list('clusterrolebindings')),
      ...(await list('roles')),
      ...(await list('rolebindings')),
    ];
    const others = all.filter(({ metadata }) => metadata.annotations?.['rbac.authorization.kubernetes.io/autoupdate'] !== 'true');
    expect(names(others)).toEqual([]);
  });

  it('binds roles that exist', async () => {
    const roles = names(await list('clusterroles'));
    const dangling = (await list('clusterrolebindings')).filter(({ roleRef }) => !roles.includes(roleRef?.name ?? ''));
    expect(names(dangling)).toEqual([]);
  });
});
