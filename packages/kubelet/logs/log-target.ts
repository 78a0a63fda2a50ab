/** Which instance of a container `kubectl logs` means, or why there is none. Pure; upstream's texts. */
import type { ContainerApiStatus, PodStatus } from '../types.ts';

/** The container ID without its runtime prefix. Throws with upstream's message. */
export function logContainerId(podName: string, status: PodStatus, container: string, previous: boolean): string {
  const name = JSON.stringify(container);
  const pod = JSON.stringify(podName);
  const all: readonly ContainerApiStatus[] = [
    ...(status.containerStatuses ?? []),
    ...(status.initContainerStatuses ?? []),
    ...(status.ephemeralContainerStatuses ?? []),
  ];
  const found = all.find((candidate) => candidate.name === container);
  if (found === undefined) throw new Error(`container ${name} in pod ${pod} is not available`);
  const last = found.lastState?.terminated?.containerID ?? '';
  if (previous) {
    if (last === '') throw new Error(`previous terminated container ${name} in pod ${pod} not found`);
    return bare(last);
  }
  const { running, terminated, waiting } = found.state ?? {};
  if (running !== undefined) return bare(found.containerID ?? '');
  if (terminated !== undefined || found.lastState?.terminated !== undefined) {
    const own = terminated?.containerID ?? '';
    if (own === '' && last === '') throw new Error(`container ${name} in pod ${pod} is terminated`);
    return bare(own === '' ? last : own);
  }
  switch (waiting?.reason) {
    case undefined:
      throw new Error(`container ${name} in pod ${pod} is waiting to start - no logs yet`);
    case 'ErrImagePull':
      throw new Error(`container ${name} in pod ${pod} is waiting to start: image can't be pulled`);
    case 'ImagePullBackOff':
      throw new Error(`container ${name} in pod ${pod} is waiting to start: trying and failing to pull image`);
    default:
      throw new Error(`container ${name} in pod ${pod} is waiting to start: ${waiting?.reason ?? ''}`);
  }
}

function bare(id: string): string {
  const separator = id.indexOf('://');
  return separator < 0 ? id : id.slice(separator + 3);
}
