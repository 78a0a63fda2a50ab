/** The kubelet's view of a pod: an API object whose identity is known to be present. Facts only; nothing here is changed in place. */
import type {
  V1Container,
  V1ContainerStatus,
  V1ObjectMeta,
  V1PodCondition,
  V1PodSpec,
  V1PodStatus,
  V1Volume,
} from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';

export type Container = V1Container;
export type ContainerApiStatus = V1ContainerStatus;
export type PodCondition = V1PodCondition;
type PodSpec = V1PodSpec;
export type PodStatus = V1PodStatus;
export type Volume = V1Volume;

interface PodMeta extends V1ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

export interface Pod {
  readonly metadata: PodMeta;
  readonly spec: PodSpec;
  readonly status: PodStatus;
}

/** A pod as the API sent it. Throws when it lacks what every stored pod has (a broken answer, never a user's mistake). */
export function podFromObject(object: KubeObject): Pod {
  const { name, namespace, uid } = object.metadata;
  const spec = object.spec;
  if (name === undefined || namespace === undefined || uid === undefined || typeof spec !== 'object' || spec === null) {
    throw new Error('the API sent a pod without name, namespace, uid or spec');
  }
  return {
    metadata: { ...object.metadata, name, namespace, uid },
    spec: spec as PodSpec,
    status: (object.status as PodStatus | undefined) ?? {},
  };
}

/** `name_namespace(uid)`, as upstream prints pods in messages. */
export function formatPod(pod: Pod): string {
  return `${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;
}

/** A sidecar: an init container that keeps running. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

/** Every container of the spec with its kind, in the order they are started. */
export function allContainers(pod: Pod): readonly { readonly kind: ContainerKind; readonly container: Container }[] {
  return [
    ...(pod.spec.initContainers ?? []).map((container) => ({ kind: 'init' as const, container })),
    ...pod.spec.containers.map((container) => ({ kind: 'regular' as const, container })),
    ...(pod.spec.ephemeralContainers ?? []).map((container) => ({ kind: 'ephemeral' as const, container: container as Container })),
  ];
}

export type ContainerKind = 'init' | 'regular' | 'ephemeral';

export function findContainer(pod: Pod, name: string): { readonly kind: ContainerKind; readonly container: Container } | undefined {
  return allContainers(pod).find((entry) => entry.container.name === name);
}

/** Path of a container in event references: `spec.containers{app}`. */
export function containerFieldPath(kind: ContainerKind, name: string): string {
  switch (kind) {
    case 'init':
      return `spec.initContainers{${name}}`;
    case 'regular':
      return `spec.containers{${name}}`;
    case 'ephemeral':
      return `spec.ephemeralContainers{${name}}`;
  }
}

export function isTerminalPhase(phase: string | undefined): boolean {
  return phase === 'Succeeded' || phase === 'Failed';
}
