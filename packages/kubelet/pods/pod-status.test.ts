import type { ContainerStatus, PodSandboxStatus } from '@coffer/cri/runtime/container-runtime';
import { describe, expect, it } from 'vitest';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import type { Container, Pod, PodStatus } from '../types.ts';
import { computePodStatus, type PodStatusInput } from './pod-status.ts';

const startMs = Date.UTC(2026, 0, 1);

function pod(spec: Partial<Pod['spec']>, status: PodStatus = {}, metadata: object = {}): Pod {
  return {
    metadata: { name: 'p', namespace: 'ns', uid: 'u', generation: 3, ...metadata },
    spec: { restartPolicy: 'Always', containers: [{ name: 'c', image: 'i' }], ...spec },
    status,
  };
}

const sandbox: PodSandboxStatus = {
  id: 's',
  namespace: 'ns',
  name: 'p',
  uid: 'u',
  attempt: 0,
  state: 'ready',
  createdAtMs: startMs,
  ips: ['10.0.0.5'],
  labels: {},
  annotations: {},
};

function container(name: string, state: ContainerStatus['state'], more: Partial<ContainerStatus> = {}): ContainerStatus {
  return {
    id: `id-${name}`,
    sandboxId: 's',
    name,
    attempt: 0,
    state,
    createdAtMs: startMs,
    startedAtMs: startMs + 1000,
    finishedAtMs: state === 'exited' ? startMs + 5000 : undefined,
    exitCode: state === 'exited' ? 0 : undefined,
    signal: undefined,
    reason: state === 'exited' ? 'Completed' : '',
    message: '',
    image: 'i',
    imageRef: 'sha256:1',
    logPath: '',
    pid: undefined,
    labels: {},
    annotations: {},
    user: undefined,
    ...more,
  };
}

function compute(of: Pod, containers: readonly ContainerStatus[], more: Partial<PodStatusInput> = {}): PodStatus {
  const runtime: RuntimePod = { sandboxes: [sandbox], containers };
  return computePodStatus({
    pod: of,
    previous: of.status,
    runtime,
    runtimeName: 'sandbox',
    podIsTerminal: false,
    probes: { started: () => true, ready: () => true },
    startFailure: () => undefined,
    applied: new Map(),
    appliedPod: undefined,
    messages: new Map(),
    hostIps: ['192.0.2.1'],
    nowMs: startMs,
    verdict: undefined,
    resize: [],
    restarting: new Set(),
    recursiveReadOnly: true,
    ...more,
  });
}

const sidecar: Container = { name: 'side', image: 'i', restartPolicy: 'Always' };
const init: Container = { name: 'init', image: 'i' };

describe('computePodStatus phase', () => {
  const failed = { exitCode: 1, reason: 'Error' };
  it.each<[string, Partial<Pod['spec']>, ContainerStatus[], boolean, string]>([
    ['nothing started yet', {}, [], false, 'Pending'],
    ['running', {}, [container('c', 'running')], false, 'Running'],
    ['an exit that is followed by a restart', {}, [container('c', 'exited')], false, 'Running'],
    ['a failure that is followed by a restart', { restartPolicy: 'OnFailure' }, [container('c', 'exited', failed)], false, 'Running'],
    ['success for good', { restartPolicy: 'OnFailure' }, [container('c', 'exited')], false, 'Succeeded'],
    ['failure for good', { restartPolicy: 'Never' }, [container('c', 'exited', failed)], false, 'Failed'],
    ['stopped by the kubelet', {}, [container('c', 'exited', { exitCode: 143 })], true, 'Failed'],
    ['an init container at work', { initContainers: [init] }, [container('init', 'running')], false, 'Pending'],
    [
      'an init container that failed for good',
      { initContainers: [init], restartPolicy: 'Never' },
      [container('init', 'exited', failed)],
      false,
      'Failed',
    ],
    ['an init container that will be tried again', { initContainers: [init] }, [container('init', 'exited', failed)], false, 'Pending'],
    [
      'a sidecar beside a running container',
      { initContainers: [sidecar] },
      [container('c', 'running'), container('side', 'running')],
      false,
      'Running',
    ],
    [
      'a sidecar that outlives its pod',
      { initContainers: [sidecar], restartPolicy: 'Never' },
      [container('c', 'exited'), container('side', 'running')],
      false,
      'Running',
    ],
    [
      'a container whose own rule restarts it',
      {
        restartPolicy: 'Never',
        containers: [
          {
            name: 'c',
            image: 'i',
            restartPolicy: 'Never',
            restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }],
          },
        ],
      },
      [container('c', 'exited', { exitCode: 42 })],
      false,
      'Running',
    ],
  ])('%s: %#', (_name, spec, containers, podIsTerminal, phase) => {
    expect(compute(pod(spec), containers, { podIsTerminal }).phase).toBe(phase);
  });

  it('never leaves a terminal phase that the API has', () => {
    expect(compute(pod({}, { phase: 'Failed', reason: 'Evicted', message: 'm' }), [container('c', 'running')])).toMatchObject({
      phase: 'Failed',
      reason: 'Evicted',
      message: 'm',
    });
  });

  it('takes the verdict of the kubelet', () => {
    const verdict = { reason: 'DeadlineExceeded', message: 'too long', rejected: false };
    expect(compute(pod({}), [container('c', 'running')], { verdict })).toMatchObject({
      phase: 'Failed',
      reason: 'DeadlineExceeded',
      message: 'too long',
    });
  });
});

describe('computePodStatus conditions', () => {
  const conditionOf = (status: PodStatus, type: string) => status.conditions?.find((c) => c.type === type);

  it('names the containers that are not ready, and carries the generation', () => {
    const status = compute(
      pod({
        containers: [
          { name: 'a', image: 'i' },
          { name: 'b', image: 'i' },
        ],
      }),
      [container('a', 'running')],
      {
        probes: { started: () => true, ready: () => false },
      },
    );
    expect(status.observedGeneration).toBe(3);
    expect(conditionOf(status, 'Ready')).toEqual({
      type: 'Ready',
      status: 'False',
      reason: 'ContainersNotReady',
      message: 'containers with unready status: [a b]',
      observedGeneration: 3,
    });
    expect(conditionOf(status, 'ContainersReady')?.reason).toBe('ContainersNotReady');
  });

  it('says which init containers are incomplete', () => {
    const status = compute(pod({ initContainers: [init] }), [container('init', 'running')]);
    expect(conditionOf(status, 'Initialized')).toMatchObject({
      status: 'False',
      reason: 'ContainersNotInitialized',
      message: 'containers with incomplete status: [init]',
    });
    expect(status.containerStatuses?.[0]?.state).toEqual({ waiting: { reason: 'PodInitializing' } });
    expect(status.initContainerStatuses?.[0]).toMatchObject({ started: true, ready: false });
  });

  it('waits for readiness gates and keeps the conditions of others', () => {
    const gate = { conditionType: 'example.com/gate' };
    const foreign = { type: 'example.com/gate', status: 'False' };
    const running = [container('c', 'running')];
    const missing = compute(pod({ readinessGates: [gate] }), running);
    expect(conditionOf(missing, 'Ready')?.message).toBe('corresponding condition of pod readiness gate "example.com/gate" does not exist.');
    const closed = compute(pod({ readinessGates: [gate] }, { conditions: [foreign] }), running);
    expect(conditionOf(closed, 'Ready')).toMatchObject({
      reason: 'ReadinessGatesNotReady',
      message: 'the status of pod readiness gate "example.com/gate" is not "True", but False',
    });
    expect(closed.conditions?.[0]).toEqual(foreign);
    const open = compute(pod({ readinessGates: [gate] }, { conditions: [{ ...foreign, status: 'True' }] }), running);
    expect(conditionOf(open, 'Ready')?.status).toBe('True');
  });

  it('says PodCompleted after success', () => {
    const status = compute(pod({ restartPolicy: 'Never' }), [container('c', 'exited')]);
    expect(conditionOf(status, 'Ready')).toMatchObject({ status: 'False', reason: 'PodCompleted' });
    expect(conditionOf(status, 'Initialized')).toMatchObject({ status: 'True', reason: 'PodCompleted' });
  });
});

describe('computePodStatus container statuses', () => {
  it('shows a running container in full', () => {
    const spec = {
      name: 'c',
      image: 'i',
      resources: { requests: { cpu: '1' } },
      volumeMounts: [{ name: 'v', mountPath: '/v', readOnly: true }],
    };
    const user = { uid: 1000, gid: 3000, supplementalGroups: [2000] };
    const status = compute(pod({ containers: [spec] }), [container('c', 'running', { user })]);
    expect(status.containerStatuses?.[0]).toEqual({
      name: 'c',
      state: { running: { startedAt: '2026-01-01T00:00:01Z' } },
      lastState: {},
      ready: true,
      restartCount: 0,
      image: 'i',
      imageID: 'sha256:1',
      containerID: 'sandbox://id-c',
      started: true,
      allocatedResources: { cpu: '1' },
      resources: { requests: { cpu: '1' } },
      volumeMounts: [{ name: 'v', mountPath: '/v', readOnly: true, recursiveReadOnly: 'Disabled' }],
      user: { linux: { uid: 1000, gid: 3000, supplementalGroups: [2000] } },
    });
  });

  it('shows the beginning of time as the start of a container that never ran', () => {
    const more = { exitCode: 128, reason: 'StartError', message: 'no such file', startedAtMs: undefined };
    const { containerStatuses } = compute(pod({ restartPolicy: 'Never' }), [container('c', 'exited', more)]);
    expect(containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 128, startedAt: '1970-01-01T00:00:00Z' });
  });

  it('turns a container that cannot be started again into a waiting one', () => {
    const failure = { reason: 'CrashLoopBackOff', message: 'back-off' };
    const status = compute(pod({}), [container('c', 'exited', { exitCode: 2, reason: 'Error' })], {
      startFailure: () => failure,
      messages: new Map([['id-c', 'last words']]),
    });
    expect(status.containerStatuses?.[0]?.state).toEqual({ waiting: failure });
    expect(status.containerStatuses?.[0]?.lastState?.terminated).toEqual({
      exitCode: 2,
      reason: 'Error',
      message: 'last words',
      startedAt: '2026-01-01T00:00:01Z',
      finishedAt: '2026-01-01T00:00:05Z',
      containerID: 'sandbox://id-c',
    });
  });

  it('shows the instance before as last state', () => {
    const newer = container('c', 'running', {
      id: 'new',
      attempt: 1,
      createdAtMs: startMs + 9000,
      annotations: { 'io.kubernetes.container.restartCount': '1' },
    });
    const status = compute(pod({}), [newer, container('c', 'exited', { id: 'old', exitCode: 3, reason: 'Error' })]);
    expect(status.containerStatuses?.[0]).toMatchObject({
      restartCount: 1,
      containerID: 'sandbox://new',
      lastState: { terminated: { exitCode: 3, containerID: 'sandbox://old' } },
    });
  });

  it('counts a container that vanished while nobody looked as ended', () => {
    const previous: PodStatus = {
      phase: 'Running',
      containerStatuses: [{ name: 'c', image: 'i', imageID: '', ready: true, restartCount: 4, state: { running: {} } }],
    };
    expect(compute(pod({}, previous), []).containerStatuses?.[0]).toMatchObject({
      restartCount: 5,
      state: { waiting: { reason: 'ContainerCreating' } },
      lastState: { terminated: { exitCode: 137, reason: 'ContainerStatusUnknown' } },
    });
  });

  it('reports addresses of the pod, or those of the node in its network', () => {
    expect(compute(pod({}), [])).toMatchObject({
      podIP: '10.0.0.5',
      podIPs: [{ ip: '10.0.0.5' }],
      hostIP: '192.0.2.1',
      hostIPs: [{ ip: '192.0.2.1' }],
    });
    expect(compute(pod({ hostNetwork: true }), [])).toMatchObject({ podIP: '192.0.2.1' });
  });
});
