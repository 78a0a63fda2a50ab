/** `status.phase` from the states of the containers. Pure; upstream's rules. */
import type { Container, ContainerApiStatus, Pod } from '../types.ts';
import { isSidecar } from '../types.ts';
import { restartsAfterExit } from './restart-policy.ts';

/**
 * `podIsTerminal`: the kubelet has stopped the pod, so nothing is started again. `initialized`: a regular container has been started
 * in the present sandbox. `restarting`: containers that are started once more whatever their policy, because all of the pod is.
 */
export function podPhase(
  pod: Pod,
  statuses: readonly ContainerApiStatus[],
  podIsTerminal: boolean,
  initialized: boolean,
  restarting: ReadonlySet<string>,
): string {
  const comesBack = (container: Container, exitCode: number) =>
    restarting.has(container.name) || restartsAfterExit(container, pod, exitCode);
  const find = (name: string) => statuses.find((status) => status.name === name);
  let pendingInit = 0;
  let pendingSidecars = 0;
  for (const container of pod.spec.initContainers ?? []) {
    const state = find(container.name)?.state;
    if (isSidecar(container)) continue;
    if (state?.running !== undefined) pendingInit++;
    else if (state?.terminated !== undefined) {
      const { exitCode } = state.terminated;
      if (exitCode !== 0 && !comesBack(container, exitCode)) return 'Failed';
    } else if (state?.waiting !== undefined) {
      const last = find(container.name)?.lastState?.terminated;
      if (last === undefined) pendingInit++;
      else if (last.exitCode !== 0 && !comesBack(container, last.exitCode)) return 'Failed';
    } else pendingInit++;
  }
  const count = { unknown: 0, running: 0, waiting: 0, stopped: 0, stoppedForGood: 0, succeeded: 0 };
  for (const container of pod.spec.initContainers ?? []) {
    if (!isSidecar(container)) continue;
    const status = find(container.name);
    if (status === undefined) count.unknown++;
    else if (status.state?.running !== undefined) {
      if (status.started !== true) pendingSidecars++;
      count.running++;
    } else if (status.state?.waiting !== undefined) {
      if (status.lastState?.terminated === undefined) {
        pendingSidecars++;
        count.waiting++;
      }
    } else if (status.state?.terminated === undefined) {
      pendingSidecars++;
      count.unknown++;
    }
  }
  for (const container of pod.spec.containers) {
    const status = find(container.name);
    const terminated = status?.state?.terminated;
    const last = status?.lastState?.terminated;
    if (status?.state?.running !== undefined) count.running++;
    else if (terminated !== undefined) {
      count.stopped++;
      if (!comesBack(container, terminated.exitCode)) count.stoppedForGood++;
      if (terminated.exitCode === 0) count.succeeded++;
    } else if (status?.state?.waiting !== undefined) {
      if (last !== undefined) {
        count.stopped++;
        if (!comesBack(container, last.exitCode)) count.stoppedForGood++;
      } else count.waiting++;
    } else count.unknown++;
  }
  if (pendingInit > 0 || (pendingSidecars > 0 && !initialized) || count.waiting > 0) return 'Pending';
  if (count.running > 0 && count.unknown === 0) return 'Running';
  if (count.running === 0 && count.stopped > 0 && count.unknown === 0) {
    if (!podIsTerminal && count.stopped !== count.stoppedForGood) return 'Running';
    return count.stopped === count.succeeded ? 'Succeeded' : 'Failed';
  }
  return 'Pending';
}
