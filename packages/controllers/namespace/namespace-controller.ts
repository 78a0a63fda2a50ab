/**
 * Empties namespaces that are being deleted and then removes the finalizer `kubernetes`, which ends them. Identity:
 * `namespace-controller`. While something remains (pods shut down gracefully, objects have finalizers) it looks again after a pause that
 * grows (`PAUSES`).
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Namespace } from '@coffer/api/generated/types';
import { backoffDelayMs } from '@coffer/base/backoff';
import { nameOf, uidOf } from '@coffer/client/rest/api-object';
import { NAMESPACES } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';
import { nextConditions } from './namespace-conditions.ts';
import { deleteContent } from './namespace-content.ts';

const WORKERS = 4;
const FINALIZER = 'kubernetes';
/** Between looks at a namespace that is not empty yet: soon at first, because most pods shut down quickly. */
const PAUSES = { initialMs: 100, factor: 1.25, maxMs: 5000 };

export async function runNamespaceController(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  const namespaces = deps.informers.informer(NAMESPACES);
  const queue = new WorkQueue(deps.clock);
  /** Passes made over a namespace that still had content, by UID. */
  const passes = new Map<string, number>();
  const enqueue = (namespace: V1Namespace) => {
    if (namespace.metadata?.deletionTimestamp !== undefined) queue.add(nameOf(namespace));
  };
  namespaces.addHandler({
    onAdd: enqueue,
    onUpdate: (old, namespace) => {
      if (old.metadata?.deletionTimestamp === undefined) enqueue(namespace);
    },
    onDelete: (namespace) => passes.delete(uidOf(namespace)),
  });
  await namespaces.whenSynced(signal);

  const sync = async (name: string): Promise<void> => {
    if (namespaces.get(name)?.metadata?.deletionTimestamp === undefined) return;
    const client = deps.api.resource(NAMESPACES);
    try {
      let namespace = await client.get(name, { signal });
      if (namespace.metadata?.deletionTimestamp === undefined) return;
      if (namespace.status?.phase !== 'Terminating') {
        namespace = await client.updateStatus({ ...namespace, status: { ...namespace.status, phase: 'Terminating' } }, { signal });
      }
      if (!(namespace.spec?.finalizers ?? []).includes(FINALIZER)) return;
      const pass = await deleteContent(deps.api, name, signal);
      const conditions = nextConditions(namespace.status?.conditions ?? [], pass, deps.clock.now());
      if (conditions !== undefined) {
        namespace = await client.updateStatus({ ...namespace, status: { ...namespace.status, conditions } }, { signal });
      }
      if (!pass.empty) {
        const count = passes.get(uidOf(namespace)) ?? 0;
        passes.set(uidOf(namespace), count + 1);
        queue.addAfter(name, backoffDelayMs(PAUSES, count));
        return;
      }
      const finalizers = (namespace.spec?.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER);
      await client.update({ ...namespace, spec: { ...namespace.spec, finalizers } }, { subresource: 'finalize', signal });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  };
  await queue.run(WORKERS, sync, deps.logger, signal);
}
