/** Publishes the cluster's CA as ConfigMap `kube-root-ca.crt` in every namespace and restores it when changed. Identity: `root-ca-cert-publisher`. */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1ConfigMap } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import { nameOf, namespaceOf } from '@coffer/client/rest/api-object';
import { CONFIG_MAPS, NAMESPACES } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isNamespaceTerminating } from '../common/namespace-terminating.ts';

const NAME = 'kube-root-ca.crt';
const DESCRIPTION = 'kubernetes.io/description';
const DESCRIPTION_TEXT =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. ' +
  'No other usage is guaranteed across distributions of Kubernetes clusters.';

export interface RootCaDeps extends LoopDeps {
  /** Certificates in PEM. */
  readonly caBundle: string;
}

export async function runRootCaPublisher(deps: RootCaDeps, signal: AbortSignal): Promise<void> {
  const namespaces = deps.informers.informer(NAMESPACES);
  const configMaps = deps.informers.informer(CONFIG_MAPS, { fieldSelector: `metadata.name=${NAME}` });
  const queue = new WorkQueue(deps.clock);
  await deps.informers.whenSynced(signal);
  namespaces.addHandler({
    onAdd: (namespace) => queue.add(nameOf(namespace)),
    onUpdate: (_old, namespace) => queue.add(nameOf(namespace)),
  });
  configMaps.addHandler({
    onUpdate: (_old, configMap) => queue.add(namespaceOf(configMap)),
    onDelete: (configMap) => queue.add(namespaceOf(configMap)),
  });
  const data = { 'ca.crt': deps.caBundle };

  const sync = async (name: string): Promise<void> => {
    const namespace = namespaces.get(name);
    if (namespace === undefined || namespace.status?.phase === 'Terminating' || namespace.metadata?.deletionTimestamp !== undefined) return;
    const client = deps.api.resource(CONFIG_MAPS);
    const current = configMaps.get(`${name}/${NAME}`);
    if (current === undefined) {
      const configMap: V1ConfigMap = {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: NAME, namespace: name, annotations: { [DESCRIPTION]: DESCRIPTION_TEXT } },
        data,
      };
      try {
        await client.create(configMap, { namespace: name, signal });
      } catch (error) {
        if (isReason(error, 'AlreadyExists') || isReason(error, 'NotFound') || isNamespaceTerminating(error)) return;
        throw error;
      }
      return;
    }
    const annotated = (current.metadata?.annotations?.[DESCRIPTION] ?? '') !== '';
    if (equalJson(current.data, data) && annotated) return;
    const annotations = { ...current.metadata?.annotations, [DESCRIPTION]: DESCRIPTION_TEXT };
    await client.update({ ...current, metadata: { ...current.metadata, annotations }, data }, { namespace: name, signal });
  };
  await queue.run(2, sync, deps.logger, signal);
}
