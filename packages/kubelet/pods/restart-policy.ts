/** Whether a container that ended is started again. Pure; rules as upstream, container restart rules included. */
import { asksForAllContainers, mayRestart } from '@coffer/api/kinds/restart-rules';
import type { ContainerStatus } from '@coffer/cri/runtime/container-runtime';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import type { Container, Pod } from '../types.ts';

/** By the container's own policy and rules where it has them, else by the pod's. */
export function restartsAfterExit(container: Container, pod: Pod, exitCode: number): boolean {
  return mayRestart(container, pod.spec, exitCode);
}

/** The containers whose exit asks for a restart of the whole pod in place, and that nobody has cleared away since. */
export function restartTriggers(pod: Pod, runtime: RuntimePod): readonly string[] {
  if (pod.metadata.deletionTimestamp !== undefined) return [];
  return [...(pod.spec.initContainers ?? []), ...pod.spec.containers].flatMap((container) => {
    const status = latestContainer(runtime, container.name);
    if (status?.state !== 'exited') return [];
    return asksForAllContainers(container, status.exitCode ?? 0) ? [container.name] : [];
  });
}

/** The newest instance of a container. */
export function latestContainer(runtime: RuntimePod, name: string): ContainerStatus | undefined {
  return runtime.containers.find((container) => container.name === name);
}

/** Whether a container that is not running should be started. */
export function shouldBeStarted(container: Container, pod: Pod, runtime: RuntimePod): boolean {
  if (pod.metadata.deletionTimestamp !== undefined) return false;
  const status = latestContainer(runtime, container.name);
  if (status === undefined) return true;
  switch (status.state) {
    case 'running':
      return false;
    case 'unknown':
    case 'created':
      return true;
    case 'exited':
      return restartsAfterExit(container, pod, status.exitCode ?? 0);
  }
}
