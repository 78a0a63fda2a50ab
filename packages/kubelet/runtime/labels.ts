/** Labels and annotations on what the kubelet creates in the runtime: how a later kubelet recognises it. Names as upstream where it has one. */
import { createHash } from 'node:crypto';
import { getOwn } from '@coffer/api/meta/safe-object';
import type { ContainerStatus, PodSandboxStatus } from '@coffer/cri/runtime/container-runtime';
import type { SourceRecord } from '../objects/source-record.ts';
import type { Container, Pod } from '../types.ts';

const podName = 'io.kubernetes.pod.name';
const podNamespace = 'io.kubernetes.pod.namespace';
const podUid = 'io.kubernetes.pod.uid';
const containerName = 'io.kubernetes.container.name';
const containerHashKey = 'io.kubernetes.container.hash';
const restartCount = 'io.kubernetes.container.restartCount';
const messagePolicy = 'io.kubernetes.container.terminationMessagePolicy';
const gracePeriod = 'io.kubernetes.pod.terminationGracePeriod';
const messageFile = 'coffer.dev/termination-message-file';
const sourcesKey = 'coffer.dev/sources';

export function podLabels(pod: Pod): Record<string, string> {
  return {
    ...pod.metadata.labels,
    [podName]: pod.metadata.name,
    [podNamespace]: pod.metadata.namespace,
    [podUid]: pod.metadata.uid,
  };
}

export function containerLabels(pod: Pod, container: Container): Record<string, string> {
  return {
    [podName]: pod.metadata.name,
    [podNamespace]: pod.metadata.namespace,
    [podUid]: pod.metadata.uid,
    [containerName]: container.name,
  };
}

export interface ContainerFacts {
  readonly hash: string;
  readonly attempt: number;
  readonly terminationMessageFile: string | undefined;
  readonly terminationMessagePolicy: string;
  readonly graceSeconds: number;
  readonly sources: readonly SourceRecord[];
}

export function containerAnnotations(facts: ContainerFacts): Record<string, string> {
  return {
    [containerHashKey]: facts.hash,
    [restartCount]: String(facts.attempt),
    [messagePolicy]: facts.terminationMessagePolicy,
    [gracePeriod]: String(facts.graceSeconds),
    ...(facts.terminationMessageFile === undefined ? {} : { [messageFile]: facts.terminationMessageFile }),
    [sourcesKey]: JSON.stringify(facts.sources),
  };
}

/** What an earlier `containerAnnotations` said; defaults where an annotation is missing. */
export function factsOf(container: ContainerStatus): ContainerFacts {
  const { annotations } = container;
  return {
    hash: getOwn(annotations, containerHashKey) ?? '',
    attempt: Number(getOwn(annotations, restartCount) ?? container.attempt),
    terminationMessageFile: getOwn(annotations, messageFile),
    terminationMessagePolicy: getOwn(annotations, messagePolicy) ?? 'File',
    graceSeconds: Number(getOwn(annotations, gracePeriod) ?? 30),
    sources: parseSources(getOwn(annotations, sourcesKey)),
  };
}

function parseSources(text: string | undefined): readonly SourceRecord[] {
  if (text === undefined) return [];
  const value: unknown = JSON.parse(text);
  return Array.isArray(value) ? (value as SourceRecord[]) : [];
}

/** UID of the pod that a container or sandbox belongs to; undefined when it is not the kubelet's. */
export function podUidOf(thing: ContainerStatus | PodSandboxStatus): string | undefined {
  return getOwn(thing.labels, podUid);
}

/** Changes when a running container no longer matches its spec: upstream compares name and image. */
export function containerHash(container: Container): string {
  return createHash('sha256')
    .update(JSON.stringify([container.name, container.image]))
    .digest('hex')
    .slice(0, 16);
}
