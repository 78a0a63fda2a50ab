/** Creates and deletes the pods of a set, with the events that tell about it. */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Pod } from '@coffer/api/generated/types';
import { nameOf, namespaceOf } from '@coffer/client/rest/api-object';
import { PODS } from '@coffer/client/rest/well-known';
import { controllerReference } from '../common/controller-ref.ts';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isNamespaceTerminating } from '../common/namespace-terminating.ts';
import type { PodSet, SetKind } from './pod-set.ts';

const MAX_NAME = 253;

/** Creates one pod from the template. A failure is recorded as an event and thrown. */
export async function createPod(deps: LoopDeps, kind: SetKind, set: PodSet, signal: AbortSignal): Promise<void> {
  const template = set.spec?.template;
  const pod: V1Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: namePrefix(nameOf(set)),
      ...(template?.metadata?.labels === undefined ? {} : { labels: template.metadata.labels }),
      ...(template?.metadata?.annotations === undefined ? {} : { annotations: template.metadata.annotations }),
      ...(template?.metadata?.finalizers === undefined ? {} : { finalizers: template.metadata.finalizers }),
      ownerReferences: [controllerReference(set, kind.ref)],
    },
    ...(template?.spec === undefined ? {} : { spec: template.spec }),
  };
  try {
    const created = await deps.api.resource(PODS).create(pod, { namespace: namespaceOf(set), signal });
    deps.events.record(set, 'Normal', 'SuccessfulCreate', `Created pod: ${nameOf(created)}`);
  } catch (error) {
    if (!isNamespaceTerminating(error)) {
      deps.events.record(set, 'Warning', 'FailedCreate', `Error creating: ${error instanceof Error ? error.message : String(error)}`);
    }
    throw error;
  }
}

/** Deletes one pod; resolves when it is already gone. */
export async function deletePod(deps: LoopDeps, set: PodSet, pod: V1Pod, signal: AbortSignal): Promise<void> {
  try {
    await deps.api.resource(PODS).delete(nameOf(pod), { namespace: namespaceOf(set), signal });
  } catch (error) {
    if (isReason(error, 'NotFound')) throw error;
    deps.events.record(set, 'Warning', 'FailedDelete', `Error deleting: ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  }
  deps.events.record(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${nameOf(pod)}`);
}

/** The owner's name and a dash, or the bare name when that could not start a pod's name. */
function namePrefix(owner: string): string {
  const prefix = `${owner}-`;
  return prefix.length <= MAX_NAME ? prefix : owner;
}
