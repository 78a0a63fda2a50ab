/** Keeps the service account `default` in every namespace that is not going away. Identity: `service-account-controller`. */
import { isReason } from '@coffer/api/errors/status-error';
import { nameOf, namespaceOf } from '@coffer/client/rest/api-object';
import { NAMESPACES, SERVICE_ACCOUNTS } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isNamespaceTerminating } from '../common/namespace-terminating.ts';

const NAME = 'default';

export async function runServiceAccountController(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  const namespaces = deps.informers.informer(NAMESPACES);
  const accounts = deps.informers.informer(SERVICE_ACCOUNTS, { fieldSelector: `metadata.name=${NAME}` });
  const queue = new WorkQueue(deps.clock);
  await deps.informers.whenSynced(signal);
  namespaces.addHandler({
    onAdd: (namespace) => queue.add(nameOf(namespace)),
    onUpdate: (_old, namespace) => queue.add(nameOf(namespace)),
  });
  accounts.addHandler({ onDelete: (account) => queue.add(namespaceOf(account)) });

  const sync = async (name: string): Promise<void> => {
    const namespace = namespaces.get(name);
    if (namespace === undefined || namespace.status?.phase === 'Terminating' || namespace.metadata?.deletionTimestamp !== undefined) return;
    if (accounts.get(`${name}/${NAME}`) !== undefined) return;
    try {
      await deps.api
        .resource(SERVICE_ACCOUNTS)
        .create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: NAME, namespace: name } }, { namespace: name, signal });
    } catch (error) {
      if (isReason(error, 'AlreadyExists') || isReason(error, 'NotFound') || isNamespaceTerminating(error)) return;
      throw error;
    }
  };
  await queue.run(2, sync, deps.logger, signal);
}
