import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../../testing/test-api.ts';

let api: TestApi;
const metrics = new Registry();

beforeAll(async () => {
  api = await openTestApi({ metrics });
});
afterAll(() => api.close());

const label = (mode: string) => `pod-security.kubernetes.io/${mode}`;
const privileged = { containers: [{ name: 'c', image: 'i', securityContext: { privileged: true } }] };
const ordinary = { containers: [{ name: 'c', image: 'i' }] };
const violation = 'privileged (container "c" must not set securityContext.privileged=true)';

/** A namespace with these modes set, and its default account. */
async function namespace(name: string, modes: Readonly<Record<string, string>>): Promise<string> {
  const labels = Object.fromEntries(Object.entries(modes).map(([mode, value]) => [label(mode), value]));
  expect((await api.request('POST', '/api/v1/namespaces', { metadata: { name, labels } })).status).toBe(201);
  await api.request('POST', `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: 'default' } });
  return `/api/v1/namespaces/${name}`;
}

const pod = (name: string, spec: object) => ({ metadata: { name }, spec });
const warnings = (response: { headers: Readonly<Record<string, unknown>> }) => response.headers.warning;
const merge = { contentType: 'application/merge-patch+json' };

it('allows everything in a namespace without labels', async () => {
  const answer = await api.request('POST', '/api/v1/namespaces/ns/pods', pod('free', privileged));
  expect(answer.status).toBe(201);
  expect(warnings(answer)).toBeUndefined();
});

it('refuses pods that violate what is enforced, whoever makes them and in a dry run too', async () => {
  const base = await namespace('enforced', { enforce: 'baseline' });
  const refused = await api.request('POST', `${base}/pods?dryRun=All`, pod('p', privileged));
  expect(refused.json).toMatchObject({
    code: 403,
    reason: 'Forbidden',
    message: `pods "p" is forbidden: violates PodSecurity "baseline:latest": ${violation}`,
    details: { name: 'p', kind: 'pods' },
  });
  const generated = await api.request('POST', `${base}/pods`, { metadata: { generateName: 'gen-' }, spec: privileged });
  expect(generated.json.message).toMatch(/^pods "gen-[a-z0-9]{5}" is forbidden: violates PodSecurity/);
  expect((await api.request('POST', `${base}/pods`, pod('p', ordinary))).status).toBe(201);
});

it('looks at updates that change what is checked, and at no others', async () => {
  const base = await namespace('tightened', {});
  await api.request('POST', `${base}/pods`, pod('p', privileged));
  await api.request('PATCH', base, { metadata: { labels: { [label('enforce')]: 'baseline' } } }, merge);
  const strategic = { contentType: 'application/strategic-merge-patch+json' };
  const patch = (body: object) => api.request('PATCH', `${base}/pods/p`, body, strategic);
  expect((await patch({ metadata: { labels: { a: 'b' } } })).status).toBe(200);
  const image = { spec: { containers: [{ name: 'c', image: 'other' }] } };
  expect((await patch(image)).json).toMatchObject({
    code: 403,
    message: `pods "p" is forbidden: violates PodSecurity "baseline:latest": ${violation}`,
  });
  const debug = { spec: { ephemeralContainers: [{ name: 'd', image: 'i' }] } };
  const added = await api.request('PATCH', `${base}/pods/p/ephemeralcontainers`, debug, strategic);
  expect(added.json.code).toBe(403);
  const status = await api.request('PATCH', `${base}/pods/p/status`, { status: { phase: 'Running' } }, merge);
  expect(status.status).toBe(200);
});

it('warns about pods and templates, and refuses templates never', async () => {
  const base = await namespace('warned', { enforce: 'baseline', warn: 'restricted', 'warn-version': 'v1.18' });
  const text = (spec: string) => [`299 - "would violate PodSecurity \\"restricted:v1.18\\": ${spec}"`];
  const noRoot = 'runAsNonRoot != true (pod or container \\"c\\" must set securityContext.runAsNonRoot=true)';
  const noEscalation = 'allowPrivilegeEscalation != false (container \\"c\\" must set securityContext.allowPrivilegeEscalation=false)';
  expect(warnings(await api.request('POST', `${base}/pods`, pod('p', ordinary)))).toEqual(text(`${noEscalation}, ${noRoot}`));
  // What is refused is not warned about as well.
  expect(warnings(await api.request('POST', `${base}/pods`, pod('q', privileged)))).toBeUndefined();

  const template = { metadata: { labels: { app: 'a' } }, spec: privileged };
  const workload = { metadata: { name: 'd' }, spec: { selector: { matchLabels: { app: 'a' } }, template } };
  const created = await api.request('POST', '/apis/apps/v1/namespaces/warned/deployments', workload);
  expect(created.status).toBe(201);
  expect(warnings(created)).toEqual(
    text(`privileged (container \\"c\\" must not set securityContext.privileged=true), ${noEscalation}, ${noRoot}`),
  );
  expect(warnings(await api.request('POST', `${base}/podtemplates`, { metadata: { name: 't' }, template: { spec: ordinary } }))).toEqual(
    text(`${noEscalation}, ${noRoot}`),
  );
  const scaled = await api.request('PATCH', '/apis/apps/v1/namespaces/warned/deployments/d/scale', { spec: { replicas: 0 } }, merge);
  expect(warnings(scaled)).toBeUndefined();
});

it('refuses labels that mean nothing', async () => {
  const labels = { [label('enforce')]: 'strict', [label('warn-version')]: '1.2' };
  const refused = await api.request('POST', '/api/v1/namespaces', { metadata: { name: 'bad', labels } });
  expect(refused.json).toMatchObject({
    code: 422,
    reason: 'Invalid',
    message:
      'Namespace "bad" is invalid: [metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "1.2": must be "latest" or "v1.x"]',
  });
  const patched = await api.request('PATCH', '/api/v1/namespaces/ns', { metadata: { labels: { [label('audit')]: 'x' } } }, merge);
  expect(patched.json.code).toBe(422);
});

it('tells which existing pods violate what is enforced from now on', async () => {
  const base = await namespace('existing', {});
  for (const name of ['b', 'a', 'c']) await api.request('POST', `${base}/pods`, pod(name, privileged));
  await api.request('POST', `${base}/pods`, pod('h', { ...ordinary, hostNetwork: true }));
  const enforce = (level: string | null, dryRun = '') =>
    api.request('PATCH', `${base}${dryRun}`, { metadata: { labels: { [label('enforce')]: level } } }, merge);
  const expected = [
    '299 - "existing pods in namespace \\"existing\\" violate the new PodSecurity enforce level \\"baseline:latest\\""',
    '299 - "a (and 2 other pods): privileged"',
    '299 - "h: host namespaces"',
  ];
  expect(warnings(await enforce('baseline', '?dryRun=All'))).toEqual(expected);
  expect(warnings(await enforce('baseline'))).toEqual(expected);
  expect(warnings(await enforce('baseline'))).toBeUndefined();
  expect(warnings(await enforce(null))).toBeUndefined();
});

it('counts what it evaluates', async () => {
  const text = await metrics.metrics();
  expect(text).toContain(
    'pod_security_evaluations_total{decision="allow",policy_level="privileged",policy_version="latest",mode="enforce",request_operation="create",resource="pod",subresource=""}',
  );
  expect(text).toContain(
    'decision="deny",policy_level="baseline",policy_version="latest",mode="enforce",request_operation="update",resource="pod",subresource="ephemeralcontainers"} 1',
  );
  expect(text).toContain(
    'decision="deny",policy_level="restricted",policy_version="v1.18",mode="warn",request_operation="create",resource="controller",subresource=""} 2',
  );
});
