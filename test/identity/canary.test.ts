import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, CofferProcess, eventually } from '../support/coffer-process.ts';
import { argumentLists, CanarySearch, canary, formsOf, visibleParts } from './canaries.ts';

// Random secret values go through every feature that handles them, at log level debug; then everything that is not the Secret itself
// is searched for them. The search is tried on planted values first.

const count = process.env.COFFER_SOAK === '1' ? 500 : 50;
const secrets = '/api/v1/namespaces/canary/secrets';

let folder: string;
let coffer: CofferProcess;
let webhook: Server;
let helper: ChildProcess;
/** Output of processes that have ended, and answers that were errors. */
const logs: string[] = [];
const errors: string[] = [];
const sampledArguments: (readonly [string, string])[] = [];
const values: string[] = [];
const planted = { audit: canary().replaceAll('/', '.'), event: canary(), process: canary() };

function fresh(): string {
  const value = canary();
  values.push(value);
  return value;
}

async function start(port?: number): Promise<void> {
  coffer = await CofferProcess.start({
    dataDir: folder,
    ...(port === undefined ? {} : { port }),
    args: [
      ...['--log-level', 'debug', '--audit-log-path', path.join(folder, 'audit.log')],
      ...['--audit-policy-file', path.join(folder, 'policy.yaml')],
      ...['--authentication-token-webhook-config-file', path.join(folder, 'webhook.yaml')],
    ],
  });
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'coffer-canary-'));
  // The most talkative policy there is.
  await writeFile(path.join(folder, 'policy.yaml'), 'apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: RequestResponse}\n');
  webhook = createServer((_request, response) => response.writeHead(500).end('down'));
  await new Promise<void>((resolve) => webhook.listen(0, '127.0.0.1', resolve));
  const { port } = webhook.address() as AddressInfo;
  await writeFile(
    path.join(folder, 'webhook.yaml'),
    `clusters: [{name: w, cluster: {server: "http://127.0.0.1:${port}/"}}]\nusers: [{name: w, user: {}}]\ncontexts: [{name: w, context: {cluster: w, user: w}}]\ncurrent-context: w\n`,
  );
  await start();
  await coffer.call('POST', '/api/v1/namespaces', { metadata: { name: 'canary' } });
  await eventually(
    'the default account',
    async () => (await coffer.call('GET', '/api/v1/namespaces/canary/serviceaccounts/default')).status === 200,
  );
});
afterAll(async () => {
  helper?.kill('SIGKILL');
  await coffer?.dispose();
  await new Promise((resolve) => webhook?.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

/** A request that is expected to fail: what the client reads is searched as well. */
async function refused(answer: Promise<Answer>): Promise<void> {
  const { status, text } = await answer;
  expect(status).toBeGreaterThanOrEqual(400);
  errors.push(text);
}

/** What one value goes through. */
async function throughTheApi(index: number): Promise<void> {
  const name = `s-${index}`;
  const json = (type: string) => ({ 'content-type': type });
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  // Created, read, listed, replaced, patched in each way.
  await coffer.call('POST', secrets, { metadata: { name }, stringData: { a: fresh() }, data: { b: base64(fresh()) } });
  const stored = (await coffer.call('GET', `${secrets}/${name}`)).body;
  await coffer.call('PUT', `${secrets}/${name}`, { ...stored, data: { a: base64(fresh()) } });
  await coffer.call('PATCH', `${secrets}/${name}`, JSON.stringify({ stringData: { c: fresh() } }), json('application/merge-patch+json'));
  await coffer.call(
    'PATCH',
    `${secrets}/${name}`,
    JSON.stringify({ stringData: { d: fresh() } }),
    json('application/strategic-merge-patch+json'),
  );
  const add = JSON.stringify([{ op: 'add', path: '/data/e', value: base64(fresh()) }]);
  await coffer.call('PATCH', `${secrets}/${name}`, add, json('application/json-patch+json'));
  const apply = JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: { a: fresh() } });
  await coffer.call('PATCH', `${secrets}/${name}?fieldManager=one&force=true`, apply, json('application/apply-patch+yaml'));
  // Conflicts.
  await refused(coffer.call('PUT', `${secrets}/${name}`, { ...stored, stringData: { a: fresh() } }));
  const conflicting = JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: { a: fresh() } });
  await coffer.call('PATCH', `${secrets}/${name}?fieldManager=two`, conflicting, json('application/apply-patch+yaml'));
  const stale = JSON.stringify({ metadata: { resourceVersion: '1' }, stringData: { a: fresh() } });
  await refused(coffer.call('PATCH', `${secrets}/${name}`, stale, json('application/merge-patch+json')));
  const test = JSON.stringify([{ op: 'test', path: '/data/a', value: base64(fresh()) }]);
  await refused(coffer.call('PATCH', `${secrets}/${name}`, test, json('application/json-patch+json')));
  // Bodies that cannot be read.
  await refused(coffer.call('POST', secrets, `{"metadata":{"name":"x"},"stringData":{"a":"${fresh()}"`));
  await refused(coffer.call('POST', secrets, `{"metadata":{"name":"x"},"stringData":{"a":"${fresh()}" "${fresh()}"}}`));
  await refused(coffer.call('POST', secrets, { metadata: { name: 'x' }, data: { a: `${fresh()}!` } }));
  await refused(coffer.call('POST', secrets, { metadata: { name: 'x' }, stringData: { a: { b: fresh() } } }));
  await refused(coffer.call('POST', secrets, { metadata: { name: 'x' }, stringData: [fresh()] }));
  await refused(coffer.call('POST', secrets, { metadata: { name: 'x' }, stringData: fresh() }));
  await refused(coffer.call('POST', secrets, `metadata: {name: x}\nstringData: {a: "${fresh()}"`, json('application/yaml')));
  await refused(coffer.call('POST', secrets, `metadata: {name: x}\nstringData: {a: [${fresh()}]}\n`, json('application/yaml')));
  // Objects that are not valid.
  await refused(coffer.call('POST', secrets, { metadata: { name: 'x' }, stringData: { 'a/b': fresh() } }));
  await refused(coffer.call('POST', secrets, { metadata: { name: 'x' }, type: 'kubernetes.io/tls', stringData: { 'tls.crt': fresh() } }));
  const docker = { metadata: { name: 'x' }, type: 'kubernetes.io/dockerconfigjson', stringData: { '.dockerconfigjson': fresh() } };
  await refused(coffer.call('POST', secrets, docker));
  await refused(coffer.call('POST', secrets, { metadata: { name: 'x' }, type: 'kubernetes.io/basic-auth', stringData: { note: fresh() } }));
  await refused(coffer.call('POST', secrets, { metadata: { name }, stringData: { a: fresh() } }));
  const unknown = { metadata: { name: 'x' }, stringDatum: { a: fresh() } };
  await refused(coffer.call('POST', `${secrets}?fieldValidation=Strict`, unknown));
  await coffer.call('POST', `${secrets}?dryRun=All`, { metadata: { name: `dry-${index}` }, stringData: { a: fresh() } });
  await coffer.call('PATCH', `${secrets}/${name}`, JSON.stringify({ immutable: true }), json('application/merge-patch+json'));
  await refused(
    coffer.call('PATCH', `${secrets}/${name}`, JSON.stringify({ stringData: { a: fresh() } }), json('application/merge-patch+json')),
  );
  await coffer.call('GET', secrets, undefined, { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' });
  // Without permission, and under a wrong path.
  const jane = { 'impersonate-user': 'jane' };
  await refused(coffer.call('POST', secrets, { metadata: { name: 'x' }, stringData: { a: fresh() } }, jane));
  await refused(coffer.call('POST', '/api/v1/namespaces/none/secrets', { metadata: { name: 'x' }, stringData: { a: fresh() } }));
}

/** Credentials are secrets too. */
async function asCredentials(index: number): Promise<void> {
  if (index % 10 !== 0) return;
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const jwt = [`{"alg":"ES256"}`, `{"iss":"https://kubernetes.default.svc.cluster.local","jti":"${fresh()}"}`, fresh()];
  const encoded = jwt.map((part) => Buffer.from(part).toString('base64url')).join('.');
  await refused(coffer.call('GET', '/api', undefined, bearer(encoded)));
  await coffer.call('GET', '/api', undefined, { authorization: `Basic ${Buffer.from(`jane:${fresh()}`).toString('base64')}` });
  await coffer.call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', { spec: { token: encoded } });
}

describe('canaries', () => {
  it(`send ${count} objects through every feature`, async () => {
    let next = 0;
    const worker = async () => {
      for (let index = next++; index < count; index = next++) {
        await throughTheApi(index);
        await asCredentials(index);
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
    expect(values.length).toBeGreaterThan(count * 20);
  }, 900_000);

  it('go through kubectl, a token webhook that fails, and the environment and files of a pod', async () => {
    const literal = fresh();
    const manifest = `apiVersion: v1\nkind: Secret\nmetadata: {name: applied, namespace: canary}\nstringData: {a: "${literal}", b: "${fresh()}"}\n`;
    expect((await coffer.kubectl(['apply', '-f', '-'], { input: manifest })).code).toBe(0);
    expect((await coffer.kubectl(['apply', '-f', '-'], { input: manifest.replace(literal, fresh()) })).code).toBe(0);
    errors.push((await coffer.kubectl(['-n', 'canary', 'describe', 'secret', 'applied'])).stdout);
    await refused(coffer.call('GET', '/api', undefined, { authorization: `Bearer ${fresh()}` }));
    const pod = `apiVersion: v1
kind: Pod
metadata: {name: user, namespace: canary}
spec:
  containers:
  - name: c
    image: busybox
    command: [sleep, "3600"]
    envFrom: [{secretRef: {name: applied}}]
    volumeMounts: [{name: s, mountPath: /etc/s}]
  - name: broken
    image: busybox
    command: ["/no/such/program"]
    env: [{name: A, valueFrom: {secretKeyRef: {name: applied, key: a}}}]
  volumes: [{name: s, secret: {secretName: applied}}]
`;
    expect((await coffer.kubectl(['apply', '-f', '-'], { input: pod })).code).toBe(0);
    if (process.getuid?.() === 0) {
      await eventually('the pod', async () => {
        sampledArguments.push(...(await argumentLists()));
        const { body } = await coffer.call('GET', '/api/v1/namespaces/canary/pods/user');
        return body.status?.containerStatuses?.some((status: { started?: boolean }) => status.started === true);
      });
      const rotated = manifest.replace(literal, fresh());
      expect((await coffer.kubectl(['apply', '-f', '-'], { input: rotated })).code).toBe(0);
      errors.push((await coffer.kubectl(['-n', 'canary', 'describe', 'pod', 'user'])).stdout);
    }
  });

  it('survive a crash of the server', async () => {
    await coffer.call('POST', secrets, { metadata: { name: 'before-crash' }, stringData: { a: fresh() } });
    const { port } = coffer;
    await coffer.stop('SIGKILL');
    logs.push(coffer.output);
    await start(port);
    expect((await coffer.call('GET', `${secrets}/before-crash`)).status).toBe(200);
    await coffer.call('POST', secrets, { metadata: { name: 'after-crash' }, stringData: { a: fresh() } });
  });

  it('would be found: the search finds a value planted in each place, in each encoding', async () => {
    // Planted for real where that is possible: an audited URI, an event, the arguments and environment of a process.
    await coffer.call('GET', `/api/v1/namespaces/canary/configmaps/${encodeURIComponent(planted.audit)}`);
    await coffer.call('POST', '/api/v1/namespaces/canary/events', {
      metadata: { name: 'planted' },
      involvedObject: { kind: 'Pod', name: 'user', namespace: 'canary' },
      reason: 'Planted',
      message: `value ${planted.event}`,
      type: 'Normal',
    });
    helper = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 600000)', planted.process], {
      env: { PLANTED: planted.process },
      stdio: 'ignore',
    });
    const find = (value: string, text: string) => new CanarySearch([value]).in('x', text).length;
    await eventually('the planted values', async () => {
      const [audit, events] = [await readFile(path.join(folder, 'audit.log'), 'utf8'), await eventTexts()];
      const parts = await visibleParts(helper.pid ?? 0);
      const found = parts.filter(([, text]) => find(planted.process, text) > 0).map(([place]) => path.basename(place));
      const listed = (await argumentLists()).some(([, text]) => find(planted.process, text) > 0);
      return find(planted.audit, audit) > 0 && find(planted.event, events) > 0 && found.join() === 'cmdline,environ' && listed;
    });
    const value = canary();
    const { text: metrics } = await coffer.call('GET', '/metrics');
    for (const form of formsOf(value)) {
      expect(find(value, `${coffer.output}{"msg":"${form}"}\n`)).toBe(1);
      expect(find(value, `${metrics}x{label="${form}"} 1\n`)).toBe(1);
    }
    for (const wrapped of [`prefix${value}suffix`, `p${value}s`, `pr${value}`])
      expect(find(value, Buffer.from(wrapped).toString('base64'))).toBe(1);
  });

  it('are nowhere: logs, errors, audit, events, metrics, processes', async () => {
    const search = new CanarySearch(values);
    const places: (readonly [string, string])[] = [
      ...logs.map((text, i) => [`log ${i}`, text] as const),
      ['log', coffer.output],
      ...errors.map((text, i) => [`answer ${i} ${text.slice(0, 120)}`, text] as const),
      ['audit', await readFile(path.join(folder, 'audit.log'), 'utf8')],
      ['events', await eventTexts()],
      ['metrics', (await coffer.call('GET', '/metrics')).text],
      ...(await visibleParts(coffer.child.pid ?? 0)),
      ...(await argumentLists()),
      ...sampledArguments,
      ...(await filesOutsideTheStore()),
    ];
    expect(places.flatMap(([place, text]) => search.in(place, text))).toEqual([]);
    expect(coffer.output.length + logs.join('').length).toBeGreaterThan(0);
  }, 900_000);
});

async function eventTexts(): Promise<string> {
  const [core, group] = await Promise.all([coffer.call('GET', '/api/v1/events'), coffer.call('GET', '/apis/events.k8s.io/v1/events')]);
  return core.text + group.text;
}

/** Regular files of the data directory that are neither the store nor on a file system in memory. */
async function filesOutsideTheStore(): Promise<(readonly [string, string])[]> {
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
  const inMemory = mounts.filter(([, , type]) => type === 'tmpfs').map(([, at = '']) => at);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .filter(
      (file) => !file.startsWith(path.join(folder, 'db')) && !inMemory.some((at) => file.startsWith(`${at}/`) && at.startsWith(folder)),
    );
  const texts = await Promise.all(files.map(async (file) => [file, await readFile(file, 'latin1').catch(() => '')] as const));
  return texts.filter(([file]) => !file.endsWith('audit.log'));
}
