import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.ts';

const pods = '/api/v1/namespaces/ns/pods';
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

function create(spec: object, metadata: object = { name: 'p' }) {
  return api.request('POST', `${pods}?dryRun=All`, { metadata, spec: { containers: [{ name: 'c', image: 'i' }], ...spec } });
}

describe('ServiceAccount', () => {
  it('runs pods as the default account with its token mounted', async () => {
    const { json } = await create({ initContainers: [{ name: 'i', image: 'i' }] });
    const [volume] = json.spec.volumes;
    expect(json.spec).toMatchObject({ serviceAccountName: 'default', serviceAccount: 'default' });
    expect(volume.name).toMatch(/^kube-api-access-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    expect(volume.projected.sources.map((source: object) => Object.keys(source)[0])).toEqual([
      'serviceAccountToken',
      'configMap',
      'downwardAPI',
    ]);
    const mount = { name: volume.name, readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' };
    expect(json.spec.containers[0].volumeMounts).toEqual([mount]);
    expect(json.spec.initContainers[0].volumeMounts).toEqual([mount]);
  });

  it('mounts no token where the pod or its account does not want one, or something else is at its place', async () => {
    expect((await create({ automountServiceAccountToken: false })).json.spec).not.toHaveProperty('volumes');
    await api.request('POST', '/api/v1/namespaces/ns/serviceaccounts', {
      metadata: { name: 'quiet' },
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: 'r' }],
    });
    const quiet = await create({ serviceAccountName: 'quiet' });
    expect(quiet.json.spec).not.toHaveProperty('volumes');
    expect(quiet.json.spec.imagePullSecrets).toEqual([{ name: 'r' }]);
    const own = await create({
      volumes: [{ name: 'v', emptyDir: {} }],
      containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'v', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }] }],
    });
    expect(own.json.spec.volumes).toHaveLength(1);
  });

  it('refuses accounts that do not exist, by the name the pod will have', async () => {
    const detail = 'error looking up service account ns/nobody: serviceaccount "nobody" not found';
    expect((await create({ serviceAccountName: 'nobody' })).json).toMatchObject({ code: 403, message: `pods "p" is forbidden: ${detail}` });
    const generated = await create({ serviceAccountName: 'nobody' }, { generateName: 'gen-' });
    expect(generated.json.message).toBe(`pods "gen-" is forbidden: ${detail}`);
  });

  it('waits a moment for the default account of a new namespace', async () => {
    await api.request('POST', '/api/v1/namespaces', { metadata: { name: 'fresh' } });
    const spec = { containers: [{ name: 'c', image: 'i' }] };
    const creating = api.request('POST', '/api/v1/namespaces/fresh/pods', { metadata: { name: 'p' }, spec });
    await api.request('POST', '/api/v1/namespaces/fresh/serviceaccounts', { metadata: { name: 'default' } });
    await api.clock.advance(200);
    expect((await creating).json.spec).toMatchObject({ serviceAccountName: 'default' });

    await api.request('POST', '/api/v1/namespaces', { metadata: { name: 'bare' } });
    const refused = api.request('POST', '/api/v1/namespaces/bare/pods', { metadata: { name: 'p' }, spec });
    for (let i = 0; i < 10; i++) await api.clock.advance(200);
    expect((await refused).json.message).toContain('error looking up service account bare/default: serviceaccount "default" not found');
  });

  it('keeps to the Secrets an account lists, where it says so', async () => {
    await api.request('POST', '/api/v1/namespaces/ns/serviceaccounts', {
      metadata: { name: 'strict', annotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' } },
      secrets: [{ name: 'mine' }],
      imagePullSecrets: [{ name: 'registry' }],
    });
    const refusal = async (spec: object) => (await create({ serviceAccountName: 'strict', ...spec })).json.message;
    const env = (name: string) => [{ name: 'E', valueFrom: { secretKeyRef: { name, key: 'k' } } }];
    const unlisted = 'is not allowed because service account strict does not reference that';
    expect(
      await refusal({
        volumes: [{ name: 'v', secret: { secretName: 'mine' } }],
        containers: [{ name: 'c', image: 'i', env: env('mine') }],
      }),
    ).toBeUndefined();
    expect(await refusal({ volumes: [{ name: 'v', secret: { secretName: 'other' } }] })).toBe(
      `pods "p" is forbidden: volume with secret.secretName="other" ${unlisted} secret`,
    );
    expect(await refusal({ initContainers: [{ name: 'i', image: 'i', env: env('other') }] })).toContain(
      `init container i with envVar E referencing secret.secretName="other" ${unlisted} secret`,
    );
    expect(await refusal({ containers: [{ name: 'c', image: 'i', envFrom: [{ secretRef: { name: 'other' } }] }] })).toContain(
      `container c with envFrom referencing secret.secretName="other" ${unlisted} secret`,
    );
    expect(await refusal({ imagePullSecrets: [{ name: 'registry' }, { name: 'x' }] })).toContain(
      `imagePullSecrets[1].name="x" ${unlisted} imagePullSecret`,
    );
  });

  it('keeps mirror pods away from secrets and accounts', async () => {
    const mirror = { name: 'p', annotations: { 'kubernetes.io/config.mirror': 'x' } };
    const { json } = await create({ nodeName: 'n', serviceAccountName: 'default' }, mirror);
    expect(json.message).toBe('pods "p" is forbidden: a mirror pod may not reference service accounts');
    const secret = await create({ nodeName: 'n', volumes: [{ name: 's', secret: { secretName: 'x' } }] }, mirror);
    expect(secret.json.message).toBe('pods "p" is forbidden: a mirror pod may not reference secrets');
    expect((await create({ nodeName: 'n' }, mirror)).json.spec).not.toHaveProperty('serviceAccountName');
  });
});

describe('DefaultTolerationSeconds', () => {
  it('adds five minutes for nodes that are not ready or unreachable, unless the pod says something', async () => {
    const { json } = await create({
      tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 }],
    });
    expect(json.spec.tolerations).toEqual([
      { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 },
      { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
    ]);
    expect((await create({ tolerations: [{ operator: 'Exists' }] })).json.spec.tolerations).toHaveLength(1);
  });
});

describe('Priority', () => {
  it('comes from the class', async () => {
    expect((await create({})).json.spec).toMatchObject({ priority: 0, preemptionPolicy: 'PreemptLowerPriority' });
    expect((await create({ priorityClassName: 'system-node-critical' })).json.spec.priority).toBe(2_000_001_000);
    expect((await create({ priorityClassName: 'none' })).json.message).toBe(
      'pods "p" is forbidden: no PriorityClass with name none was found',
    );
    expect((await create({ priority: 7 })).json.message).toBe(
      'pods "p" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 0 from the given PriorityClass name',
    );
  });
});

describe('Priority of classes that users make', () => {
  const classes = '/apis/scheduling.k8s.io/v1/priorityclasses';

  it('is that of the named class, or of the one default', async () => {
    await api.request('POST', classes, { metadata: { name: 'high' }, value: 1000, preemptionPolicy: 'Never' });
    expect((await create({ priorityClassName: 'high' })).json.spec).toMatchObject({ priority: 1000, preemptionPolicy: 'Never' });
    await api.request('POST', classes, { metadata: { name: 'usual' }, value: 10, globalDefault: true });
    expect((await create({})).json.spec).toMatchObject({ priority: 10, priorityClassName: 'usual' });
    const second = await api.request('POST', classes, { metadata: { name: 'other' }, value: 20, globalDefault: true });
    expect(second.json.message).toBe(
      'priorityclasses.scheduling.k8s.io "other" is forbidden: PriorityClass usual is already marked as default. Only one default can exist',
    );
    expect((await api.request('DELETE', `${classes}/usual`)).status).toBe(200);
    expect((await create({})).json.spec.priority).toBe(0);
  });

  it('leaves the classes of the system where they are', async () => {
    await api.request('POST', classes, { metadata: { name: 'system-node-critical' }, value: 2_000_001_000 });
    expect((await api.request('DELETE', `${classes}/system-node-critical`)).json).toMatchObject({
      code: 403,
      message:
        'priorityclasses.scheduling.k8s.io "system-node-critical" is forbidden: this is a system priority class and cannot be deleted',
    });
  });
});
