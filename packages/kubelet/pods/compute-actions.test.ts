import type { ContainerStatus, PodSandboxStatus } from '@coffer/cri/runtime/container-runtime';
import { describe, expect, it } from 'vitest';
import { containerAnnotations, containerHash } from '../runtime/labels.ts';
import type { Container, Pod } from '../types.ts';
import { type ActionInput, computeActions } from './compute-actions.ts';

const side: Container = { name: 'side', image: 'i', restartPolicy: 'Always' };
const first: Container = { name: 'first', image: 'i' };
const second: Container = { name: 'second', image: 'i' };
const app: Container = { name: 'app', image: 'i' };

function sandboxOf(attempt: number, state: PodSandboxStatus['state'] = 'ready'): PodSandboxStatus {
  return {
    id: `s${attempt}`,
    namespace: 'ns',
    name: 'p',
    uid: 'u',
    attempt,
    state,
    createdAtMs: attempt,
    ips: [],
    labels: {},
    annotations: {},
  };
}

function status(container: Container, state: ContainerStatus['state'], exitCode = 0, sandboxId = 's0'): ContainerStatus {
  const facts = {
    hash: containerHash(container),
    attempt: 0,
    terminationMessageFile: undefined,
    terminationMessagePolicy: 'File',
    graceSeconds: 30,
    sources: [],
  };
  return {
    id: `id-${container.name}`,
    sandboxId,
    name: container.name,
    attempt: 0,
    state,
    createdAtMs: 0,
    startedAtMs: 0,
    finishedAtMs: state === 'exited' ? 1 : undefined,
    exitCode: state === 'exited' ? exitCode : undefined,
    signal: undefined,
    reason: '',
    message: '',
    image: 'i',
    imageRef: '',
    logPath: '',
    pid: undefined,
    labels: {},
    annotations: containerAnnotations(facts),
    user: undefined,
  };
}

function actions(
  spec: { readonly init?: readonly Container[]; readonly containers?: readonly Container[]; readonly restartPolicy?: string },
  containers: readonly ContainerStatus[],
  more: Partial<ActionInput> & { readonly sandboxes?: readonly PodSandboxStatus[] } = {},
) {
  const pod: Pod = {
    metadata: { name: 'p', namespace: 'ns', uid: 'u' },
    spec: { restartPolicy: spec.restartPolicy ?? 'Always', initContainers: spec.init ?? [], containers: spec.containers ?? [app] },
    status: {},
  };
  const result = computeActions({
    pod,
    restartsForResize: () => false,
    runtime: { sandboxes: more.sandboxes ?? [sandboxOf(0)], containers },
    failedProbe: () => undefined,
    hasStarted: () => true,
    ...more,
  });
  return {
    killPod: result.killPod,
    createSandbox: result.createSandbox,
    start: result.start.map((entry) => entry.container.name),
    kill: result.kill.map((entry) => entry.message),
  };
}

const idle = { killPod: false, createSandbox: false, start: [], kill: [] };

describe('computeActions', () => {
  it('creates a sandbox and starts with the first init container, or with all regular ones', () => {
    expect(actions({ init: [first, second] }, [], { sandboxes: [] })).toEqual({ ...idle, createSandbox: true, start: ['first'] });
    expect(actions({ containers: [app, second] }, [], { sandboxes: [] })).toEqual({
      ...idle,
      createSandbox: true,
      start: ['app', 'second'],
    });
  });

  it('replaces a sandbox that has gone, unless nothing is left to run', () => {
    const gone = [sandboxOf(0, 'not-ready')];
    expect(actions({}, [status(app, 'exited', 1)], { sandboxes: gone })).toEqual({
      ...idle,
      killPod: true,
      createSandbox: true,
      start: ['app'],
    });
    expect(actions({ restartPolicy: 'Never' }, [status(app, 'exited', 1)], { sandboxes: gone })).toEqual({ ...idle, killPod: true });
  });

  it('runs init containers one after the other', () => {
    const init = [first, second];
    expect(actions({ init }, [])).toEqual({ ...idle, start: ['first'] });
    expect(actions({ init }, [status(first, 'running')])).toEqual(idle);
    expect(actions({ init }, [status(first, 'exited')])).toEqual({ ...idle, start: ['second'] });
    expect(actions({ init }, [status(first, 'exited'), status(second, 'exited')])).toEqual({ ...idle, start: ['app'] });
  });

  it('runs init containers again in a new sandbox', () => {
    expect(
      actions({ init: [first] }, [status(first, 'exited'), status(app, 'exited', 1)], {
        sandboxes: [sandboxOf(1), sandboxOf(0, 'not-ready')],
      }),
    ).toEqual({
      ...idle,
      start: ['first'],
    });
  });

  it('gives up on a failed init container that may not be restarted', () => {
    expect(actions({ init: [first] }, [status(first, 'exited', 1)])).toEqual({ ...idle, start: ['first'] });
    expect(actions({ init: [first], restartPolicy: 'Never' }, [status(first, 'exited', 1)])).toEqual({ ...idle, killPod: true });
  });

  it('waits for a sidecar to have started before what follows, and keeps it running', () => {
    const init = [side, first];
    expect(actions({ init }, [status(side, 'running')], { hasStarted: () => false })).toEqual(idle);
    expect(actions({ init }, [status(side, 'running')])).toEqual({ ...idle, start: ['first'] });
    expect(actions({ init: [side] }, [status(side, 'exited', 1), status(app, 'running')])).toEqual({ ...idle, start: ['side'] });
  });

  it('restarts what ended by policy, and stops the pod when nothing is left', () => {
    expect(actions({}, [status(app, 'exited')])).toEqual({ ...idle, start: ['app'] });
    expect(actions({ restartPolicy: 'OnFailure' }, [status(app, 'exited', 1)])).toEqual({ ...idle, start: ['app'] });
    expect(actions({ restartPolicy: 'OnFailure' }, [status(app, 'exited')])).toEqual({ ...idle, killPod: true });
  });

  it('kills and restarts a container whose probe failed or whose image changed', () => {
    const running = [status(app, 'running')];
    expect(actions({}, running, { failedProbe: () => 'liveness' })).toEqual({
      ...idle,
      start: ['app'],
      kill: ['Container app failed liveness probe, will be restarted'],
    });
    expect(
      actions({ containers: [app, second], restartPolicy: 'Never' }, [status(app, 'running'), status(second, 'running')], {
        failedProbe: (container) => (container.name === 'app' ? 'startup' : undefined),
      }),
    ).toEqual({ ...idle, kill: ['Container app failed startup probe'] });
    expect(actions({ containers: [{ ...app, image: 'new' }] }, running).kill).toEqual([
      'Container app definition changed, will be restarted',
    ]);
  });

  it('leaves a healthy pod alone', () => {
    expect(actions({}, [status(app, 'running')])).toEqual(idle);
  });
});
