import type { V1ObjectMeta, V1PodSpec } from '@coffer/api/generated/types';
import { getOwn, isRecord } from '@coffer/api/meta/safe-object';
import type { AnyContainer, PodToCheck } from './check.ts';

const seccompPod = 'seccomp.security.alpha.kubernetes.io/pod';
const seccompContainerPrefix = 'container.seccomp.security.alpha.kubernetes.io/';

/** Annotations and spec of a pod, or of a template. */
export function podToCheck(pod: { readonly metadata?: V1ObjectMeta; readonly spec?: unknown }): PodToCheck {
  const spec = isRecord(pod.spec) ? (pod.spec as unknown as V1PodSpec) : { containers: [] };
  return { annotations: pod.metadata?.annotations ?? {}, spec };
}

/**
 * Whether an update of a pod touches what is checked: images, seccomp annotations and the list of containers. A pod that runs keeps
 * running when its namespace has become stricter, and its labels may still change.
 */
export function isSignificantChange(pod: PodToCheck, old: PodToCheck): boolean {
  const { annotations } = pod;
  const annotationChanged = (key: string) => getOwn(annotations, key) !== getOwn(old.annotations, key);
  const changed = (container: AnyContainer, before: AnyContainer | undefined) =>
    before === undefined || container.image !== before.image || annotationChanged(seccompContainerPrefix + container.name);
  if (annotationChanged(seccompPod)) return true;
  const oldEphemeral = old.spec.ephemeralContainers ?? [];
  return (
    listChanged(pod.spec.containers, old.spec.containers, changed) ||
    listChanged(pod.spec.initContainers ?? [], old.spec.initContainers ?? [], changed) ||
    (pod.spec.ephemeralContainers ?? []).some((container) =>
      changed(
        container,
        oldEphemeral.find(({ name }) => name === container.name),
      ),
    )
  );
}

function listChanged(
  containers: readonly AnyContainer[],
  old: readonly AnyContainer[],
  changed: (container: AnyContainer, before: AnyContainer | undefined) => boolean,
): boolean {
  return containers.length !== old.length || containers.some((container, i) => changed(container, old[i]));
}
