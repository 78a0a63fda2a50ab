import { mkdtemp, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually } from '../support/coffer-process.ts';
import { expectedLines, keyOf, linesOf } from './decision-file.ts';
import { identities, type Question, questions } from './questions.ts';

// The decisions of a running server over HTTP, for eight identities and every resource and verb, against the reviewed data file.

let coffer: CofferProcess;
const agent = new Agent({ keepAlive: true, maxSockets: 8, rejectUnauthorized: false });

beforeAll(async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'coffer-matrix-'));
  const tokens = path.join(dataDir, 'matrix-tokens.csv');
  const lines = Object.entries(identities).map(([identity, user]) =>
    user ? `${identity}-token,${user.name},,"${user.groups.join(',')}"` : '',
  );
  await writeFile(tokens, ['test-admin-token,operator,,"system:masters"', ...lines, ''].join('\n'), { mode: 0o600 });
  coffer = await CofferProcess.start({ dataDir, args: ['--runtime', 'none', '--token-auth-file', tokens, '--max-requests-inflight', '0'] });
  for (const [url, object] of fixtures) {
    if (url.endsWith('/pods'))
      await eventually('the default account', async () => (await coffer.call('GET', defaultAccount)).status === 200);
    const answer = await coffer.call('POST', url, object);
    if (answer.status !== 201) throw new Error(`${url}: ${answer.text}`);
  }
  await eventually('the aggregated role', async () => (await coffer.call('GET', `${rbac}/clusterroles/view`)).text.includes('widgets'));
  await eventually('the role that aggregates it', async () =>
    (await coffer.call('GET', `${rbac}/clusterroles/admin`)).text.includes('widgets'),
  );
});
afterAll(async () => {
  agent.destroy();
  await coffer?.dispose();
});

const defaultAccount = '/api/v1/namespaces/matrix/serviceaccounts/default';
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const inMatrix = `${rbac}/namespaces/matrix`;

function binding(user: string, role: string): readonly [string, object] {
  const subjects = [{ kind: 'User', name: user, apiGroup: 'rbac.authorization.k8s.io' }];
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role };
  return [`${inMatrix}/rolebindings`, { metadata: { name: user }, subjects, roleRef }];
}

const fixtures: readonly (readonly [string, object])[] = [
  ['/api/v1/namespaces', { metadata: { name: 'matrix' } }],
  ['/api/v1/namespaces', { metadata: { name: 'other' } }],
  ['/api/v1/namespaces/matrix/serviceaccounts', { metadata: { name: 'reader' } }],
  ['/api/v1/nodes', { metadata: { name: 'n1' } }],
  ['/api/v1/namespaces/matrix/serviceaccounts', { metadata: { name: 'plain' }, automountServiceAccountToken: false }],
  [
    '/api/v1/namespaces/matrix/pods',
    {
      metadata: { name: 'p' },
      spec: {
        nodeName: 'n1',
        automountServiceAccountToken: false,
        containers: [{ name: 'c', image: 'i', envFrom: [{ secretRef: { name: 'used' } }, { configMapRef: { name: 'used' } }] }],
      },
    },
  ],
  binding('viewer', 'view'),
  binding('editor', 'edit'),
  binding('admin', 'admin'),
  [
    `${inMatrix}/roles`,
    {
      metadata: { name: 'two-secrets' },
      rules: [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['one', 'two'], verbs: ['get'] }],
    },
  ],
  [
    `${inMatrix}/rolebindings`,
    {
      metadata: { name: 'reader' },
      subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'matrix' }],
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'two-secrets' },
    },
  ],
  [
    `${rbac}/clusterroles`,
    {
      metadata: { name: 'widgets-view', labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' } },
      rules: [{ apiGroups: ['example.com'], resources: ['widgets'], verbs: ['get', 'list', 'watch'] }],
    },
  ],
];

/** Status of one request as an identity; the body of a watch is not waited for. */
function statusOf(
  identity: string,
  method: string,
  url: string,
  body?: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const token = identities[identity] === undefined ? {} : { authorization: `Bearer ${identity}-token` };
  const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
  const content = body === undefined ? {} : { 'content-type': type, 'content-length': String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port: coffer.port, method, path: url, agent, headers: { ...token, ...content } },
      (incoming) => {
        const status = incoming.statusCode ?? 0;
        if (url.includes('watch=1')) {
          resolve({ status, text: '' });
          incoming.on('error', () => {});
          incoming.destroy();
          return;
        }
        let text = '';
        incoming.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        incoming.on('error', reject);
        incoming.on('end', () => resolve({ status, text }));
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

async function isAllowed(identity: string, question: Question): Promise<boolean> {
  if (question.http) {
    const { method, url, body } = question.http;
    const { status } = await statusOf(identity, method, url, body);
    if (status === 401 || status === 429 || status >= 500) throw new Error(`${identity} ${method} ${url}: ${status}`);
    return status !== 403;
  }
  const { group, resource, verb, namespace, name } = question;
  const spec = { resourceAttributes: { group, resource, verb, namespace, name } };
  const { status, text } = await statusOf(
    identity,
    'POST',
    '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    JSON.stringify({ spec }),
  );
  return status === 201 && JSON.parse(text).status.allowed === true;
}

describe('decisions over HTTP', () => {
  it('are those of the data file, and nothing else is allowed', async () => {
    const allowed = new Set<string>();
    const work = Object.keys(identities).flatMap((identity) => questions.map((question) => [identity, question] as const));
    let next = 0;
    const worker = async () => {
      for (let job = work[next++]; job; job = work[next++]) {
        const [identity, question] = job;
        if (await isAllowed(identity, question)) allowed.add(keyOf(identity, question));
      }
    };
    await Promise.all(Array.from({ length: 8 }, worker));
    const observed = linesOf((identity, question) => allowed.has(keyOf(identity, question)));
    const expected = expectedLines();
    expect({
      missing: expected.filter((line) => !observed.includes(line)),
      unexpected: observed.filter((line) => !expected.includes(line)),
    }).toEqual({ missing: [], unexpected: [] });
  });

  it('ask about everything the server serves', async () => {
    const groups = (await coffer.call('GET', '/apis')).body.groups as { versions: { groupVersion: string }[] }[];
    const versions = ['api/v1', ...groups.flatMap((group) => group.versions.map(({ groupVersion }) => `apis/${groupVersion}`))];
    const asked = new Set(questions.map(({ group, resource, subresource }) => `${group}/${resource}/${subresource}`));
    const missing: string[] = [];
    for (const version of versions) {
      const { body } = await coffer.call('GET', `/${version}`);
      const group = version.startsWith('api/') ? '' : (version.split('/')[1] ?? '');
      for (const { name } of body.resources as { name: string }[]) {
        const [resource = '', subresource = ''] = name.split('/');
        if (!asked.has(`${group}/${resource}/${subresource}`)) missing.push(`${version} ${name}`);
      }
    }
    expect(missing).toEqual([]);
  });

  it('change when a binding changes, with the next request', async () => {
    const secrets = '/api/v1/namespaces/matrix/secrets';
    for (let round = 0; round < 20; round++) {
      expect((await statusOf('jane', 'GET', secrets)).status).toBe(403);
      const [url, object] = binding('jane', 'edit');
      expect((await coffer.call('POST', url, object)).status).toBe(201);
      expect((await statusOf('jane', 'GET', secrets)).status).toBe(200);
      expect((await coffer.call('DELETE', `${url}/jane`)).status).toBe(200);
    }
    expect((await statusOf('jane', 'GET', secrets)).status).toBe(403);
  });

  it('let nobody grant what he does not have', async () => {
    const role = (rules: object[]) => JSON.stringify({ metadata: { generateName: 'r-' }, rules });
    const own = [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }];
    const more = [{ apiGroups: ['certificates.k8s.io'], resources: ['signers'], verbs: ['sign'] }];
    expect((await statusOf('admin', 'POST', `${inMatrix}/roles`, role(own))).status).toBe(201);
    expect((await statusOf('admin', 'POST', `${inMatrix}/roles`, role(more))).status).toBe(403);
    const bind = (name: string) => JSON.stringify({ ...(binding('jane', name)[1] as object), metadata: { generateName: 'b-' } });
    expect((await statusOf('admin', 'POST', `${inMatrix}/rolebindings`, bind('edit'))).status).toBe(201);
    expect((await statusOf('admin', 'POST', `${inMatrix}/rolebindings`, bind('cluster-admin'))).status).toBe(403);
  });
});
