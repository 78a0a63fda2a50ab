/**
 * Removes pods that nobody else will: those of nodes that are gone, those deleted before they got a node, and the oldest finished ones when
 * there are too many. Takes back what pods say of a disruption that did not come. Identity: `pod-garbage-collector`. Looks every
 * `INTERVAL_MS`, in pages, and keeps no copy of the pods.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Pod } from '@coffer/api/generated/types';
import { nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { apiTime } from '@coffer/client/rest/api-time';
import { NODES, PODS } from '@coffer/client/rest/well-known';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isPodTerminal, podCondition } from '../common/pods.ts';
import { staleDisruption } from '../disruption/stale-disruption.ts';

export interface PodGarbageCollectorOptions {
  /** More finished pods than this are removed, oldest first; 0 keeps all. */
  readonly terminatedPodThreshold: number;
}

const INTERVAL_MS = 20_000;
/** A node that is gone may be about to come back under its name. */
const QUARANTINE_MS = 40_000;
const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';

export async function runPodGarbageCollector(deps: LoopDeps, options: PodGarbageCollectorOptions, signal: AbortSignal): Promise<void> {
  const nodes = deps.informers.informer(NODES);
  await nodes.whenSynced(signal).catch(() => undefined);
  /** Since when a node that pods name has been missing. */
  const missingSinceMs = new Map<string, number>();
  while (!signal.aborted) {
    try {
      await collect();
    } catch (error) {
      if (!signal.aborted) deps.logger.warn('pods could not be collected, trying again', { err: error });
    }
    await deps.clock.sleep(INTERVAL_MS, signal).catch(() => undefined);
  }

  async function collect(): Promise<void> {
    const finished: { readonly pod: V1Pod; readonly created: string }[] = [];
    const byMissingNode = new Map<string, V1Pod[]>();
    for await (const pod of allPods()) {
      const node = pod.spec?.nodeName ?? '';
      const deleted = pod.metadata?.deletionTimestamp !== undefined;
      await keepUndisrupted(pod);
      if (isPodTerminal(pod)) finished.push({ pod, created: pod.metadata?.creationTimestamp ?? '' });
      if (node === '') {
        if (deleted) await remove(pod, 'PodGC: node name is empty', false);
      } else if (nodes.get(node) === undefined) {
        byMissingNode.set(node, [...(byMissingNode.get(node) ?? []), pod]);
      } else if (deleted && isOutOfService(node)) {
        await remove(pod, 'PodGC: node is out of service', true);
      }
    }
    await removeOrphans(byMissingNode);
    await removeFinished(finished);
  }

  async function* allPods(): AsyncGenerator<V1Pod> {
    let next: string | undefined;
    do {
      const page = await deps.api.resource(PODS).list({ limit: 100, ...(next === undefined ? {} : { continue: next }), signal });
      yield* page.items;
      next = page.continue;
    } while (next !== undefined);
  }

  async function removeOrphans(byNode: ReadonlyMap<string, readonly V1Pod[]>): Promise<void> {
    const nowMs = deps.clock.monotonicMs();
    for (const node of missingSinceMs.keys()) if (!byNode.has(node)) missingSinceMs.delete(node);
    for (const [node, pods] of byNode) {
      const since = missingSinceMs.get(node) ?? nowMs;
      missingSinceMs.set(node, since);
      if (nowMs - since < QUARANTINE_MS || (await exists(node))) continue;
      for (const pod of pods) await remove(pod, 'PodGC: node no longer exists', true);
    }
  }

  async function removeFinished(finished: { readonly pod: V1Pod; readonly created: string }[]): Promise<void> {
    const excess = finished.length - options.terminatedPodThreshold;
    if (options.terminatedPodThreshold === 0 || excess <= 0) return;
    finished.sort((a, b) => (a.created < b.created ? -1 : a.created > b.created ? 1 : 0));
    for (const { pod } of finished.slice(0, excess)) await remove(pod, '', false);
  }

  async function exists(node: string): Promise<boolean> {
    try {
      await deps.api.resource(NODES).get(node, { signal });
      return true;
    } catch (error) {
      if (isReason(error, 'NotFound')) return false;
      throw error;
    }
  }

  function isOutOfService(node: string): boolean {
    const state = nodes.get(node);
    const ready = state?.status?.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True';
    return !ready && (state?.spec?.taints ?? []).some((taint) => taint.key === OUT_OF_SERVICE);
  }

  async function keepUndisrupted(pod: V1Pod): Promise<void> {
    const patch = staleDisruption(pod, deps.clock.now());
    if (patch === undefined) return;
    try {
      const scope = { namespace: namespaceOf(pod), signal, subresource: 'status' };
      await deps.api.resource(PODS).patch(nameOf(pod), 'strategic', patch, scope);
    } catch (error) {
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
    }
  }

  /** Marks a pod that did not finish as failed, then deletes it at once. */
  async function remove(pod: V1Pod, why: string, disrupted: boolean): Promise<void> {
    const scope = { namespace: namespaceOf(pod), signal };
    try {
      if (!isPodTerminal(pod)) {
        const conditions = disrupted && podCondition(pod, 'DisruptionTarget')?.status !== 'True' ? [disruption(why)] : undefined;
        const patch = { metadata: { uid: uidOf(pod) }, status: { phase: 'Failed', ...(conditions === undefined ? {} : { conditions }) } };
        await deps.api.resource(PODS).patch(nameOf(pod), 'strategic', patch, { ...scope, subresource: 'status' });
      }
      const body = { gracePeriodSeconds: 0, preconditions: { uid: uidOf(pod) } };
      await deps.api.resource(PODS).delete(nameOf(pod), { ...scope, body });
    } catch (error) {
      if (!isReason(error, 'NotFound') && !isReason(error, 'Conflict')) throw error;
    }
  }

  function disruption(message: string): object {
    return { type: 'DisruptionTarget', status: 'True', reason: 'DeletionByPodGC', message, lastTransitionTime: apiTime(deps.clock.now()) };
  }
}
