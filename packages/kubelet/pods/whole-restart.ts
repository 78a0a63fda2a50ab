/**
 * Restart of a whole pod in place, which a rule of one of its containers can ask for: every container is stopped at once, without hooks
 * or grace, and removed; sandbox and volumes stay. With nothing left in the runtime the pod starts as a new one does, init containers
 * first. Promises: the container that asked is removed last, so that a kubelet that dies between finds the request again.
 */
import { restartsAllContainers } from '@coffer/api/kinds/restart-rules';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import type { RuntimeCache, RuntimePod } from '../runtime/runtime-cache.ts';
import { isTerminalPhase, type Pod } from '../types.ts';
import type { ContainerKiller } from './container-killer.ts';
import { latestContainer, restartTriggers } from './restart-policy.ts';

export interface WholeRestartDeps {
  readonly runtime: Pick<ContainerRuntime, 'removeContainer'>;
  readonly cache: RuntimeCache;
  readonly killer: Pick<ContainerKiller, 'killAll'>;
}

/** Names of the containers that are to be started once more. Owned by the pod's worker. */
export class RestartState {
  readonly names = new Set<string>();
  #recalled = false;

  /**
   * Notes what a container asks for now, and what an earlier kubelet began and did not finish: it said so, or it left a container
   * waiting that had ended and of which the runtime knows nothing.
   */
  note(pod: Pod, runtime: RuntimePod): void {
    if (restartTriggers(pod, runtime).length > 0) for (const name of restartedNames(pod)) this.names.add(name);
    if (this.#recalled) return;
    this.#recalled = true;
    const { conditions = [], initContainerStatuses = [], containerStatuses = [], phase } = pod.status;
    if (isTerminalPhase(phase) || !restartsAllContainers(pod.spec)) return;
    const announced = conditions.some(({ type, status }) => type === 'AllContainersRestarting' && status === 'True');
    const statuses = [...initContainerStatuses, ...containerStatuses];
    for (const name of restartedNames(pod)) {
      if (latestContainer(runtime, name) !== undefined) continue;
      const before = statuses.find((status) => status.name === name);
      const cleared = before?.state?.waiting !== undefined && before.lastState?.terminated !== undefined;
      if (announced || cleared) this.names.add(name);
    }
  }
}

function restartedNames(pod: Pod): string[] {
  return [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map(({ name }) => name);
}

/** Clears the pod's containers away when one of them asks for it. `show` publishes the status in between. */
export async function restartWholePod(deps: WholeRestartDeps, pod: Pod, state: RestartState, show: () => Promise<unknown>): Promise<void> {
  const { runtime, cache, killer } = deps;
  const { uid } = pod.metadata;
  const triggers = new Set(restartTriggers(pod, cache.get(uid)));
  if (triggers.size === 0) return;
  for (const name of restartedNames(pod)) state.names.add(name);
  await show();
  await killer.killAll(pod, 0);
  await show();
  const { containers } = cache.get(uid);
  const ours = containers.filter(({ name }) => state.names.has(name));
  for (const asked of [false, true]) {
    for (const container of ours.filter(({ name }) => triggers.has(name) === asked)) {
      await runtime.removeContainer(container.id);
      await cache.refreshContainer(uid, container.id);
    }
  }
  await show();
}
