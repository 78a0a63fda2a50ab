import { badRequest } from '@coffer/api/errors/status-error';
import type { V1PodSpec } from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';
import type { PodRef } from '@coffer/api/node/node-api';
import { podSpec } from '../../registry/core/pod-strategy.ts';

/** The container a log or stream request means: the one it names, or the only one. Throws StatusError 400. */
export function containerOf(pod: KubeObject, requested: string): string {
  const spec = podSpec(pod);
  const name = pod.metadata.name ?? '';
  if (requested !== '') {
    if (!hasContainer(spec, requested)) throw badRequest(`container ${requested} is not valid for pod ${name}`);
    return requested;
  }
  const containers = (spec.containers ?? []).map((c) => c.name);
  if (containers.length === 1 && containers[0] !== undefined) return containers[0];
  const must = `a container name must be specified for pod ${name}`;
  if (containers.length === 0) throw badRequest(must);
  const init = (spec.initContainers ?? []).map((c) => c.name);
  const alsoInit = init.length > 0 ? ` or one of the init containers: [${init.join(' ')}]` : '';
  throw badRequest(`${must}, choose one of: [${containers.join(' ')}]${alsoInit}`);
}

function hasContainer(spec: V1PodSpec, name: string): boolean {
  const all = [...(spec.containers ?? []), ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])];
  return all.some((container) => container.name === name);
}

export function podRefOf(pod: KubeObject): PodRef {
  const { namespace = '', name = '', uid = '' } = pod.metadata;
  return { namespace, name, uid };
}

/** The node a pod runs on; throws StatusError 400 while it has none. */
export function nodeOf(pod: KubeObject): string {
  const { nodeName } = podSpec(pod);
  if (nodeName === undefined || nodeName === '') throw badRequest(`pod ${pod.metadata.name ?? ''} does not have a host assigned`);
  return nodeName;
}
