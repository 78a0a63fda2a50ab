import type { KubeObject } from '@coffer/api/meta/object';
import { NODES, PODS, RUNTIME_CLASSES } from '@coffer/client/rest/well-known';
import { PullError, RuntimeRefusal } from '@coffer/cri/runtime/container-runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestNode } from './testing/test-node.ts';
import type { PodStatus } from './types.ts';

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.start();
});
afterEach(() => node.close());

const phase = (name: string, wanted: string) => node.until(() => expect(node.pod(name).status.phase).toBe(wanted));
const started = () => node.runtime.calls.filter((call) => call.startsWith('startContainer'));
const first = (name: string) => node.pod(name).status.containerStatuses?.[0];

describe('probes', () => {
  it('keeps a pod unready until its readiness probe succeeds, and says why', async () => {
    let healthy = false;
    node.runtime.execResult = () => ({ exitCode: healthy ? 0 : 1 });
    node.createPod('p', { containers: [{ name: 'c', image: 'i', readinessProbe: { exec: { command: ['check'] }, periodSeconds: 1 } }] });
    await phase('p', 'Running');
    await node.until(() => expect(node.events('p')).toContain('Warning Unhealthy Readiness probe failed: '));
    expect(first('p')).toMatchObject({ started: true, ready: false });
    healthy = true;
    await node.clock.advance(1000);
    await node.until(() => expect(first('p')?.ready).toBe(true));
    expect(node.pod('p').status.conditions?.find((c) => c.type === 'Ready')?.status).toBe('True');
  });

  it('restarts a container whose liveness probe fails', async () => {
    node.runtime.execResult = () => ({ exitCode: 4, stdout: Buffer.from('sick\n') });
    node.createPod('p', {
      containers: [{ name: 'c', image: 'i', livenessProbe: { exec: { command: ['check'] }, periodSeconds: 1, failureThreshold: 1 } }],
    });
    await node.until(() => expect(first('p')?.restartCount).toBe(1));
    await node.until(() => {
      expect(node.events('p')).toContain('Warning Unhealthy Liveness probe failed: sick\n');
      expect(node.events('p')).toContain('Normal Killing Container c failed liveness probe, will be restarted');
    });
  });

  it('counts a container as started only after its startup probe', async () => {
    let up = false;
    node.runtime.execResult = (command) => ({ exitCode: command[0] === 'up' && !up ? 1 : 0 });
    node.createPod('p', {
      containers: [
        {
          name: 'c',
          image: 'i',
          startupProbe: { exec: { command: ['up'] }, periodSeconds: 1, failureThreshold: 30 },
          readinessProbe: { exec: { command: ['ready'] }, periodSeconds: 1 },
        },
      ],
    });
    await phase('p', 'Running');
    await node.until(() => expect(node.runtime.calls).toContain('execSync up'));
    expect(first('p')).toMatchObject({ started: false, ready: false });
    up = true;
    await node.clock.advance(1000);
    await node.until(() => expect(first('p')?.started).toBe(true));
    await node.clock.advance(1000);
    await node.until(() => expect(first('p')?.ready).toBe(true));
  });

  it('reports a command that takes too long', async () => {
    node.runtime.execResult = () => ({ exitCode: 0, timedOut: true });
    node.createPod('p', {
      containers: [{ name: 'c', image: 'i', readinessProbe: { exec: { command: ['sleep', '9'] }, timeoutSeconds: 2 } }],
    });
    await node.until(() =>
      expect(node.events('p')).toContain('Warning Unhealthy Readiness probe failed: command timed out: "sleep 9" timed out after 2s'),
    );
  });
});

describe('a runtime class', () => {
  it('says which handler runs the pod, and has to be there', async () => {
    node.api.put(RUNTIME_CLASSES, { metadata: { name: 'small' }, handler: 'vm' });
    node.createPod('p', { runtimeClassName: 'small' });
    node.createPod('q', { runtimeClassName: 'none' });
    await phase('p', 'Running');
    expect([...node.runtime.sandboxes.values()].map(({ config }) => config.runtimeHandler)).toEqual(['vm']);
    await node.until(() => expect(node.events('q').join()).toContain('Warning FailedCreatePodSandBox Failed to create pod sandbox: '));
    expect(node.pod('q').status.phase).toBe('Pending');
  });
});

describe('lifecycle', () => {
  it('runs postStart, and preStop before the stop', async () => {
    node.createPod('p', {
      containers: [
        { name: 'c', image: 'i', lifecycle: { postStart: { exec: { command: ['hello'] } }, preStop: { exec: { command: ['bye'] } } } },
      ],
    });
    await phase('p', 'Running');
    node.deletePod('p');
    await node.until(() => expect(node.hasPod('p')).toBe(false));
    const calls = node.runtime.calls.filter((call) => /hello|bye|stopContainer|startContainer/.test(call));
    expect(calls).toEqual(['startContainer c', 'execSync hello', 'execSync bye', 'stopContainer c 30000']);
  });

  it('kills a container whose postStart hook fails', async () => {
    node.runtime.execResult = () => ({ exitCode: 1 });
    node.createPod('p', { containers: [{ name: 'c', image: 'i', lifecycle: { postStart: { exec: { command: ['no'] } } } }] });
    await node.until(() => expect(node.events('p')).toContain('Warning FailedPostStartHook PostStartHook failed'));
    await node.until(() => expect(node.events('p')).toContain('Normal Killing FailedPostStartHook'));
    await node.until(() => expect(first('p')?.state?.waiting?.reason).toMatch(/PostStartHookError|CrashLoopBackOff/));
  });

  it('ends sidecars after the containers they serve, the last one first', async () => {
    const side = { image: 'i', restartPolicy: 'Always' };
    node.createPod('p', {
      initContainers: [
        { name: 's1', ...side },
        { name: 's2', ...side },
      ],
    });
    await phase('p', 'Running');
    expect(started()).toEqual(['startContainer s1', 'startContainer s2', 'startContainer c']);
    node.deletePod('p');
    await node.until(() => expect(node.hasPod('p')).toBe(false));
    expect(node.runtime.calls.filter((call) => call.startsWith('stopContainer')).map((call) => call.split(' ')[1])).toEqual([
      'c',
      's2',
      's1',
    ]);
  });

  it('never shows a pod that goes on although all of it was stopped', async () => {
    node.createPod('p', {});
    await phase('p', 'Running');
    node.deletePod('p');
    await node.until(() => expect(node.hasPod('p')).toBe(false));
    const shown = node.api.requests.flatMap(({ method, path, body }) => {
      if (method !== 'PATCH' || !path.endsWith('/pods/p/status')) return [];
      const { status = {} } = body as { readonly status?: PodStatus };
      const state = Object.keys(status.containerStatuses?.[0]?.state ?? {})[0];
      return state === undefined ? [] : [`${state} ${status.phase}`];
    });
    expect(shown).toContain('terminated Failed');
    expect(shown).not.toContain('terminated Running');
  });

  it('lets pods have what somebody advertises in the capacity of the node', async () => {
    const statusNow = () => (node.node()?.status ?? {}) as { readonly capacity?: object; readonly allocatable?: object };
    const status = statusNow();
    node.api.put(NODES, {
      ...node.node(),
      status: { ...status, capacity: { ...status.capacity, 'example.com/dongle': '4' } },
    } as KubeObject);
    await node.clock.advance(10_000);
    await node.until(() => expect(statusNow().allocatable).toMatchObject({ 'example.com/dongle': '4', pods: '110' }));
    expect(statusNow().capacity).toMatchObject({ 'example.com/dongle': '4', pods: '110' });
    node.api.put(NODES, { ...node.node(), status: { ...statusNow(), capacity: status.capacity } } as KubeObject);
    await node.clock.advance(10_000);
    await node.until(() => expect(statusNow().allocatable).toEqual(status.allocatable));
  });

  it('ends a pod whose deadline has passed', async () => {
    node.createPod('p', { activeDeadlineSeconds: 5 });
    await phase('p', 'Running');
    await node.clock.advance(6000);
    await phase('p', 'Failed');
    expect(node.pod('p').status).toMatchObject({
      reason: 'DeadlineExceeded',
      message: 'Pod was active on the node longer than the specified deadline',
    });
    await node.until(() => expect(node.runtime.calls.some((call) => call.startsWith('stopPodSandbox'))).toBe(true));
  });

  it('forgets the back-off of a container whose image changed', async () => {
    node.runtime.behaviour = (config) => (config.image === 'broken' ? 1 : undefined);
    node.createPod('p', { containers: [{ name: 'c', image: 'broken', command: ['app'] }] });
    await node.until(() => expect(first('p')?.state?.waiting?.reason).toBe('CrashLoopBackOff'));
    const pod = node.pod('p');
    node.api.put(PODS, { ...pod, spec: { ...pod.spec, containers: [{ name: 'c', image: 'whole', command: ['app'] }] } });
    await node.until(() => expect(first('p')).toMatchObject({ image: 'whole', state: { running: {} } }));
  });

  it('puts right what somebody else wrote into its status, after a while', async () => {
    node.createPod('p', {});
    await node.until(() => expect(first('p')?.ready).toBe(true));
    await node.kubelet.whenIdle();
    const pod = node.pod('p');
    node.api.put(PODS, { ...pod, status: { ...pod.status, phase: 'Pending', containerStatuses: [] } });
    await node.clock.advance(5000);
    expect(node.pod('p').status.phase).toBe('Pending');
    await node.clock.advance(5000);
    await phase('p', 'Running');
    expect(first('p')?.ready).toBe(true);
  });

  it('shows what readiness probes find while a pod is being stopped', async () => {
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let healthy = true;
    node.runtime.execResult = () => ({ exitCode: healthy ? 0 : 1 });
    const stop = node.runtime.stopContainer.bind(node.runtime);
    let asked = false;
    node.runtime.stopContainer = async (id, timeoutMs) => {
      asked = true;
      await held;
      await stop(id, timeoutMs);
    };
    const readinessProbe = { exec: { command: ['check'] }, periodSeconds: 1, failureThreshold: 1 };
    node.createPod('p', { containers: [{ name: 'c', image: 'i', command: ['app'], readinessProbe }] });
    await node.until(() => expect(first('p')?.ready).toBe(true));
    node.deletePod('p');
    await node.until(() => expect(asked).toBe(true));
    healthy = false;
    await node.clock.advance(1000);
    await node.until(() => expect(first('p')?.ready).toBe(false));
    expect(first('p')?.state?.running).toBeDefined();
    release();
    await node.until(() => expect(node.hasPod('p')).toBe(false));
  });

  it('shows the end of a pod only when nothing of it runs any more', async () => {
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const stop = node.runtime.stopPodSandbox.bind(node.runtime);
    let asked = false;
    node.runtime.stopPodSandbox = async (id) => {
      asked = true;
      await held;
      await stop(id);
    };
    node.createPod('p', { restartPolicy: 'Never' });
    await phase('p', 'Running');
    node.runtime.end(node.runtime.find('c')?.status.id ?? '', 0);
    await node.until(() => expect(asked).toBe(true));
    const condition = (type: string) => node.pod('p').status.conditions?.find((c) => c.type === type);
    await node.until(() => expect(condition('Ready')).toMatchObject({ status: 'False', reason: 'PodCompleted' }));
    expect(node.pod('p').status.phase).toBe('Running');
    expect(first('p')?.state?.terminated?.exitCode).toBe(0);
    release();
    await phase('p', 'Succeeded');
    expect(condition('PodReadyToStartContainers')?.status).toBe('False');
  });

  it('stops sooner when a second deletion gives less time', async () => {
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const stop = node.runtime.stopContainer.bind(node.runtime);
    let calls = 0;
    node.runtime.stopContainer = async (id, timeoutMs) => {
      if (calls++ === 0) await held;
      await stop(id, timeoutMs);
      release();
    };
    node.createPod('p', {});
    await phase('p', 'Running');
    node.deletePod('p', 30);
    await node.until(() => expect(calls).toBe(1));
    node.deletePod('p', 2);
    await node.until(() => expect(node.hasPod('p')).toBe(false));
    expect(node.runtime.calls).toContain('stopContainer c 2000');
  });

  it('shows who has ended while the preStop hook of another runs, which a second deletion cuts short', async () => {
    node.createPod('p', {
      terminationGracePeriodSeconds: 9999,
      containers: [
        { name: 'quick', image: 'i' },
        { name: 'slow', image: 'i', lifecycle: { preStop: { sleep: { seconds: 9999 } } } },
      ],
    });
    const ready = () => (node.pod('p').status.containerStatuses ?? []).filter((one) => one.ready).map(({ name }) => name);
    await node.until(() => expect(ready()).toEqual(['quick', 'slow']));
    node.deletePod('p', 9999);
    await node.until(() => expect(ready()).toEqual(['slow']));
    expect(first('p')).toMatchObject({ name: 'quick', restartCount: 0, state: { terminated: { exitCode: 143 } } });
    expect(node.pod('p').status.phase).toBe('Running');
    node.deletePod('p', 1);
    await node.until(() => expect(node.runtime.calls).toContain('stopContainer slow 1000'));
    await node.clock.advance(1000);
    await node.until(() => expect(node.hasPod('p')).toBe(false));
  });

  it('refuses pods for which there is no place', async () => {
    await node.close();
    node = await TestNode.start({ maxPods: 1 });
    node.createPod('a', {});
    await phase('a', 'Running');
    node.createPod('b', {});
    await phase('b', 'Failed');
    const { startTime, ...status } = node.pod('b').status;
    expect(startTime).toBeDefined();
    expect(status).toEqual({
      observedGeneration: 1,
      phase: 'Failed',
      reason: 'OutOfpods',
      message: "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 1, capacity: 1",
      qosClass: 'BestEffort',
    });
    expect(node.events('b')).toContain("Warning OutOfpods Node didn't have enough resource: pods, requested: 1, used: 1, capacity: 1");
    node.deletePod('b');
    await node.until(() => expect(node.hasPod('b')).toBe(false));
  });

  it('looks at the newest labels of its node before it refuses a pod for them', async () => {
    const object = node.node();
    node.api.put(NODES, { ...object, metadata: { ...object?.metadata, labels: { ...object?.metadata.labels, disk: 'ssd' } } });
    node.createPod('a', { nodeSelector: { disk: 'ssd' } });
    node.createPod('b', { nodeSelector: { disk: 'hdd' } });
    await phase('a', 'Running');
    await phase('b', 'Failed');
    expect(node.pod('b').status).toMatchObject({
      reason: 'NodeAffinity',
      message: "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    });
  });

  it('leaves pods to the next start when the node goes down', async () => {
    node.createPod('p', {});
    await phase('p', 'Running');
    await node.kubelet.drainAndStop({ graceMs: 1000 });
    expect(node.runtime.calls).toContain('stopContainer c 1000');
    expect(node.pod('p').status.phase).toBe('Running');
    await node.clock.advance(1000);
    await node.boot();
    await node.until(() => expect(first('p')).toMatchObject({ restartCount: 1, ready: true }));
    expect(first('p')?.lastState?.terminated?.exitCode).toBe(143);
    await node.until(() =>
      expect(node.events('p')).toContain('Normal SandboxChanged Pod sandbox changed, it will be killed and re-created.'),
    );
  });

  it('starts an ephemeral container in a running pod', async () => {
    const pod = node.createPod('p', {});
    await phase('p', 'Running');
    node.api.put(PODS, {
      ...node.api.find(PODS, 'default', 'p'),
      spec: { ...pod.spec, ephemeralContainers: [{ name: 'debug', image: 'busybox', stdin: true, tty: true }] },
    });
    await node.until(() => expect(node.pod('p').status.ephemeralContainerStatuses?.[0]?.state?.running).toBeDefined());
    expect(node.runtime.find('debug')?.config).toMatchObject({ stdin: true, tty: true });
    expect(started()).toHaveLength(2);
  });
});

describe('failures to start', () => {
  it('backs off from an image that cannot be pulled, and uses the pull Secret', async () => {
    let pulled = false;
    const image = node.runtime.image;
    node.runtime.image = (name) => (pulled ? image(name) : undefined);
    node.runtime.onPull = () => {
      if (node.runtime.pulls.length < 2) throw new PullError('ErrImagePull', 'no such image');
      pulled = true;
    };
    const config = { auths: { 'r.io': { username: 'u', password: 'p' } } };
    node.putSecret('pull', { '.dockerconfigjson': JSON.stringify(config) }, { type: 'kubernetes.io/dockerconfigjson' });
    node.createPod('p', {
      imagePullSecrets: [{ name: 'pull' }],
      containers: [{ name: 'c', image: 'r.io/app', imagePullPolicy: 'IfNotPresent' }],
    });
    await node.until(() => expect(first('p')?.state).toEqual({ waiting: { reason: 'ErrImagePull', message: 'no such image' } }));
    await node.clock.advance(2_000);
    const message = 'Back-off pulling image "r.io/app": ErrImagePull: no such image';
    await node.until(() => expect(first('p')?.state).toEqual({ waiting: { reason: 'ImagePullBackOff', message } }));
    expect(node.runtime.pulls).toHaveLength(1);
    await node.clock.advance(8_000);
    await phase('p', 'Running');
    expect(node.runtime.pulls[0]?.auth).toMatchObject({ username: 'u', password: 'p' });
    await node.until(() => {
      const events = node.events('p');
      expect(events).toContain('Normal Pulling Pulling image "r.io/app"');
      expect(events).toContain('Warning Failed Failed to pull image "r.io/app": no such image');
      expect(events).toContain('Warning Failed Error: ErrImagePull');
      expect(events).toContain('Normal BackOff Back-off pulling image "r.io/app"');
    });
  });

  it('says in the words of upstream when a registry is not available', async () => {
    node.runtime.image = () => undefined;
    node.runtime.onPull = () => {
      throw new PullError('RegistryUnavailable', 'RegistryUnavailable: connection refused');
    };
    node.createPod('p', { containers: [{ name: 'c', image: 'r.io/app', imagePullPolicy: 'IfNotPresent' }] });
    const message = 'image pull failed for r.io/app because the registry is unavailable: connection refused';
    await node.until(() => expect(first('p')?.state).toEqual({ waiting: { reason: 'RegistryUnavailable', message } }));
  });

  it('pulls the image of an image volume and gives it to the containers that mount it', async () => {
    node.createPod('p', {
      containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'models', mountPath: '/models', subPath: 'small' }] }],
      volumes: [{ name: 'models', image: { reference: 'r.io/models', pullPolicy: 'Always' } }],
    });
    await phase('p', 'Running');
    expect(node.runtime.pulls.map(({ image }) => image)).toEqual(['r.io/models']);
    expect(node.runtime.find('c')?.config.imageMounts).toEqual([
      { image: 'sha256:r.io/models', containerPath: '/models', subPath: 'small' },
    ]);
  });

  it('does not pull with policy Never', async () => {
    node.runtime.image = () => undefined;
    node.createPod('p', { containers: [{ name: 'c', image: 'app', imagePullPolicy: 'Never' }] });
    await node.until(() =>
      expect(first('p')?.state?.waiting).toEqual({
        reason: 'ErrImageNeverPull',
        message: 'Container image "app" is not present with pull policy of Never',
      }),
    );
    expect(node.runtime.pulls).toEqual([]);
  });

  it('refuses root where the pod forbids it', async () => {
    const pod = node.createPod('p', { securityContext: { runAsNonRoot: true } });
    await node.until(() =>
      expect(first('p')?.state?.waiting).toEqual({
        reason: 'CreateContainerConfigError',
        message: `container has runAsNonRoot and image will run as root (pod: "p_default(${pod.metadata.uid})", container: c)`,
      }),
    );
  });

  it('shows what the runtime refuses, in its words', async () => {
    node.runtime.onCreate = () => {
      throw new RuntimeRefusal('CommandRequired', 'this runtime needs a command');
    };
    node.createPod('p', {});
    await node.until(() =>
      expect(first('p')?.state?.waiting).toEqual({ reason: 'CommandRequired', message: 'this runtime needs a command' }),
    );
  });

  it('waits for drivers it does not have, in words that say so', async () => {
    node.createPod('p', {
      containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
      volumes: [{ name: 'v', csi: { driver: 'secrets-store.csi.k8s.io' } }],
    });
    await node.until(() =>
      expect(node.events('p').join()).toContain('driver name secrets-store.csi.k8s.io not found in the list of registered CSI drivers'),
    );
    expect(first('p')?.state).toEqual({ waiting: { reason: 'ContainerCreating' } });
  });
});
