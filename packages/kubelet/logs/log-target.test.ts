import { describe, expect, it } from 'vitest';
import type { ContainerApiStatus } from '../types.ts';
import { logContainerId } from './log-target.ts';

function id(status: Partial<ContainerApiStatus>, previous = false): string {
  return logContainerId(
    'p',
    { containerStatuses: [{ name: 'c', image: '', imageID: '', ready: false, restartCount: 0, ...status }] },
    'c',
    previous,
  );
}

describe('logContainerId', () => {
  it('means the running instance, the ended one, or the one before', () => {
    expect(id({ containerID: 'sandbox://new', state: { running: {} } })).toBe('new');
    expect(id({ state: { terminated: { exitCode: 0, containerID: 'sandbox://done' } } })).toBe('done');
    const last = { terminated: { exitCode: 1, containerID: 'sandbox://old' } };
    expect(id({ state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: last })).toBe('old');
    expect(id({ containerID: 'sandbox://new', state: { running: {} }, lastState: last }, true)).toBe('old');
  });

  it.each<[Partial<ContainerApiStatus>, boolean, string]>([
    [
      { state: { waiting: { reason: 'CreateContainerConfigError' } } },
      false,
      'container "c" in pod "p" is waiting to start: CreateContainerConfigError',
    ],
    [{ state: { waiting: { reason: 'ErrImagePull' } } }, false, 'container "c" in pod "p" is waiting to start: image can\'t be pulled'],
    [
      { state: { waiting: { reason: 'ImagePullBackOff' } } },
      false,
      'container "c" in pod "p" is waiting to start: trying and failing to pull image',
    ],
    [{ state: { running: {} } }, true, 'previous terminated container "c" in pod "p" not found'],
    [{ state: { terminated: { exitCode: 137 } } }, false, 'container "c" in pod "p" is terminated'],
  ])('%#', (status, previous, message) => {
    expect(() => id(status, previous)).toThrow(message);
  });

  it('knows no other containers', () => {
    expect(() => logContainerId('p', {}, 'x', false)).toThrow('container "x" in pod "p" is not available');
  });
});
