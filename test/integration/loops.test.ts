import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { V1Pod } from '@coffer/api/generated/types';
import { systemClock } from '@coffer/base/time/clock';
import { loadKubeconfig, resolveConnection } from '@coffer/client/kubeconfig/connection';
import { ApiClient } from '@coffer/client/rest/api-client';
import {
  CERTIFICATE_SIGNING_REQUESTS,
  CLUSTER_ROLES,
  CONFIG_MAPS,
  DEPLOYMENTS,
  NAMESPACES,
  NODES,
  PODS,
  REPLICA_SETS,
  SECRETS,
  SERVICE_ACCOUNTS,
} from '@coffer/client/rest/well-known';
import { httpsTransport } from '@coffer/client/transport/https';
import type { Transport } from '@coffer/client/transport/transport';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually } from '../support/coffer-process.ts';

// The control loops against the real server, over TLS, with a node that exists on paper only: this test plays its kubelet.

let coffer: CofferProcess;
let transport: Transport;
let api: ApiClient;
const stop = new AbortController();

beforeAll(async () => {
  coffer = await CofferProcess.start({ args: ['--runtime', 'none'] });
  const connection = resolveConnection(loadKubeconfig(coffer.kubeconfig), systemClock);
  transport = httpsTransport({ connection, clock: systemClock, userAgent: 'loops-test/1' });
  api = new ApiClient({ transport, clock: systemClock });
  const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'paper' } };
  await api.resource(NODES).create(node);
  const resources = { cpu: '8', memory: '16Gi', pods: '110' };
  const conditions = [{ type: 'Ready', status: 'True', lastHeartbeatTime: apiTime() }];
  await api.resource(NODES).updateStatus({ ...node, status: { capacity: resources, allocatable: resources, conditions } });
  playKubelet().catch(() => undefined);
});

afterAll(async () => {
  stop.abort(new Error('the test is over'));
  transport.close();
  await coffer.dispose();
});

const apiTime = () => `${new Date().toISOString().slice(0, 19)}Z`;

/** Says of every pod of the node that it runs, and of every deleted one that it is gone. */
async function playKubelet(): Promise<void> {
  const started = new Set<string>();
  const seen = async (pod: V1Pod) => {
    const { name = '', namespace = '', uid = '', deletionTimestamp } = pod.metadata ?? {};
    if (deletionTimestamp !== undefined) {
      await api.resource(PODS).delete(name, { namespace, body: { gracePeriodSeconds: 0, preconditions: { uid } } });
    } else if (!started.has(uid)) {
      started.add(uid);
      const status = {
        phase: 'Running',
        podIP: '10.0.0.1',
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: apiTime() }],
      };
      await api.resource(PODS).patch(name, 'strategic', { status }, { namespace, subresource: 'status' });
    }
  };
  for await (const events of api.resource(PODS).watch({ fieldSelector: 'spec.nodeName=paper', signal: stop.signal })) {
    for (const event of events) if (event.type !== 'DELETED') seen(event.object).catch(() => undefined);
  }
}

async function kubectl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await coffer.kubectl(args, { timeoutMs: 60_000 });
  expect(`${code} ${stderr}`).toMatch(/^0 /);
  return stdout;
}

const images = async (namespace: string) =>
  (await api.resource(PODS).list({ namespace })).items.map((pod) => pod.spec?.containers[0]?.image);

describe('control loops on the real server', () => {
  it('give every namespace its account and the CA', async () => {
    await kubectl('create', 'namespace', 'fresh');
    await eventually('account', async () => api.resource(SERVICE_ACCOUNTS).get('default', { namespace: 'fresh' }));
    const ca = await eventually('CA', async () => api.resource(CONFIG_MAPS).get('kube-root-ca.crt', { namespace: 'fresh' }));
    expect(ca.data?.['ca.crt']).toContain('BEGIN CERTIFICATE');
    await kubectl('-n', 'fresh', 'delete', 'configmap', 'kube-root-ca.crt');
    await eventually('restored CA', async () => api.resource(CONFIG_MAPS).get('kube-root-ca.crt', { namespace: 'fresh' }));
  });

  it('roll out, roll back and scale deployments as kubectl expects it', async () => {
    await kubectl('create', 'namespace', 'roll');
    await kubectl('-n', 'roll', 'create', 'deployment', 'web', '--image=v1', '--replicas=3');
    expect(await kubectl('-n', 'roll', 'rollout', 'status', 'deployment/web', '--timeout=30s')).toContain('successfully rolled out');
    await kubectl('-n', 'roll', 'set', 'image', 'deployment/web', 'v1=v2');
    await kubectl('-n', 'roll', 'rollout', 'status', 'deployment/web', '--timeout=30s');
    await eventually('v2 alone', async () => (await images('roll')).join() === 'v2,v2,v2');
    await kubectl('-n', 'roll', 'rollout', 'undo', 'deployment/web');
    await kubectl('-n', 'roll', 'rollout', 'status', 'deployment/web', '--timeout=30s');
    expect((await kubectl('-n', 'roll', 'rollout', 'history', 'deployment/web')).match(/^\d+/gm)).toEqual(['2', '3']);
    await kubectl('-n', 'roll', 'rollout', 'restart', 'deployment/web');
    await kubectl('-n', 'roll', 'rollout', 'status', 'deployment/web', '--timeout=30s');
    await kubectl('-n', 'roll', 'scale', 'deployment/web', '--replicas=1');
    await eventually('one pod', async () => (await images('roll')).length === 1);
    const events = await kubectl('-n', 'roll', 'get', 'events', '-o', 'jsonpath={.items[*].message}');
    expect(events).toMatch(/Scaled up replica set web-[a-z0-9]+ from 0 to 3/);
    expect(events).toMatch(/Successfully assigned roll\/web-[a-z0-9-]+ to paper/);
  });

  it('collect dependents in all three ways', async () => {
    await kubectl('create', 'namespace', 'gc');
    for (const cascade of ['background', 'foreground', 'orphan']) {
      await kubectl('-n', 'gc', 'create', 'deployment', cascade, '--image=v1', '--replicas=2');
      await kubectl('-n', 'gc', 'rollout', 'status', `deployment/${cascade}`, '--timeout=30s');
      await kubectl('-n', 'gc', 'delete', 'deployment', cascade, `--cascade=${cascade}`, '--timeout=30s');
    }
    await eventually('only the orphans', async () => (await images('gc')).length === 2);
    const [set] = (await api.resource(REPLICA_SETS).list({ namespace: 'gc' })).items;
    expect(set?.metadata?.name).toMatch(/^orphan-/);
    expect(set?.metadata?.ownerReferences).toBeUndefined();
    expect((await api.resource(DEPLOYMENTS).list({ namespace: 'gc' })).items).toEqual([]);
  });

  it('empty a namespace that is deleted, and nothing comes back', async () => {
    await kubectl('create', 'namespace', 'doomed');
    await kubectl('-n', 'doomed', 'create', 'deployment', 'web', '--image=v1', '--replicas=5');
    await kubectl('-n', 'doomed', 'create', 'configmap', 'c', '--from-literal=a=b');
    await kubectl('-n', 'doomed', 'rollout', 'status', 'deployment/web', '--timeout=30s');
    await kubectl('delete', 'namespace', 'doomed', '--timeout=30s');
    expect((await api.resource(NAMESPACES).list()).items.map((namespace) => namespace.metadata?.name)).not.toContain('doomed');
    expect((await api.resource(PODS).list({ namespace: 'doomed' })).items).toEqual([]);
    expect((await api.resource(CONFIG_MAPS).list({ namespace: 'doomed' })).items).toEqual([]);
  });

  it('say why a pod stays pending', async () => {
    const container = { name: 'c', image: 'i', resources: { requests: { cpu: '9' } } };
    await api
      .resource(PODS)
      .create({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'big', namespace: 'fresh' }, spec: { containers: [container] } });
    const message = await eventually('condition', async () => {
      const pod = await api.resource(PODS).get('big', { namespace: 'fresh' });
      return pod.status?.conditions?.find((condition) => condition.type === 'PodScheduled')?.message;
    });
    expect(message).toBe(
      '0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.',
    );
    await kubectl('-n', 'fresh', 'delete', 'pod', 'big');
  });

  it('sign approved certificate requests and fill token Secrets', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'coffer-csr-'));
    const file = path.join(folder, 'request.pem');
    execFileSync(
      'openssl',
      ['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', path.join(folder, 'key.pem'), '-subj', '/O=dev/CN=jane', '-out', file],
      { stdio: 'ignore' },
    );
    const request = readFileSync(file).toString('base64');
    rmSync(folder, { recursive: true });
    await api.resource(CERTIFICATE_SIGNING_REQUESTS).create({
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name: 'jane' },
      spec: { request, signerName: 'kubernetes.io/kube-apiserver-client', usages: ['client auth'], expirationSeconds: 3600 },
    });
    await kubectl('certificate', 'approve', 'jane');
    const signed = await eventually(
      'certificate',
      async () => (await api.resource(CERTIFICATE_SIGNING_REQUESTS).get('jane')).status?.certificate,
    );
    const subject = execFileSync('openssl', ['x509', '-noout', '-subject'], { input: Buffer.from(signed, 'base64') }).toString();
    expect(subject).toMatch(/O ?= ?dev, ?CN ?= ?jane/);
    await api.resource(SECRETS).create({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'token', namespace: 'fresh', annotations: { 'kubernetes.io/service-account.name': 'default' } },
      type: 'kubernetes.io/service-account-token',
    });
    const token = await eventually('token', async () => (await api.resource(SECRETS).get('token', { namespace: 'fresh' })).data?.token);
    const whoami = await coffer.call(
      'POST',
      '/apis/authentication.k8s.io/v1/selfsubjectreviews',
      { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
      {
        authorization: `Bearer ${Buffer.from(token, 'base64').toString()}`,
      },
    );
    expect(whoami.body.status?.userInfo?.username).toBe('system:serviceaccount:fresh:default');
  });

  it('aggregate cluster roles', async () => {
    const view = await eventually('view', async () => {
      const role = await api.resource(CLUSTER_ROLES).get('view');
      return (role.rules ?? []).length > 0 && role;
    });
    expect(view.rules?.some((rule) => rule.resources?.includes('configmaps'))).toBe(true);
  });
});
