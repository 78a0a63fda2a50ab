/**
 * What the loops over services share: a queue of services that are looked at when they, their pods or what was made for them change. Pods
 * are watched from the first service on that selects any, because many clusters have none.
 */
import type { V1Pod, V1Service } from '@coffer/api/generated/types';
import { fromLabels } from '@coffer/api/selectors/labels';
import type { Informer } from '@coffer/client/informer/informer';
import type { ApiObject } from '@coffer/client/rest/api-object';
import { keyOf, namespaceOf, revisionOf } from '@coffer/client/rest/api-object';
import { PODS, SERVICES } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';
import { hasSelector } from './service-backends.ts';

export interface ServiceLoop<Made extends ApiObject> {
  readonly made: Informer<Made>;
  /** The key of the service something was made for, or undefined when it is not ours. */
  serviceOf(made: Made): string | undefined;
  /** The service of that key was deleted; `sync` follows. */
  serviceDeleted?(key: string): void;
  /** `service` is undefined when it is gone; without a selector it has no pods of ours. */
  sync(key: string, service: V1Service | undefined, pods: readonly V1Pod[]): Promise<void>;
}

/** Runs the loop until the signal is aborted. */
export async function runServiceLoop<Made extends ApiObject>(deps: LoopDeps, loop: ServiceLoop<Made>, signal: AbortSignal): Promise<void> {
  const services = deps.informers.informer(SERVICES);
  const queue = new WorkQueue(deps.clock);
  let pods: Informer<V1Pod> | undefined;
  const byNamespace = 'namespace';

  const podChanged = (pod: V1Pod) => {
    for (const service of services.list()) if (selects(service, pod)) queue.add(keyOf(service));
  };

  async function podsOf(service: V1Service): Promise<readonly V1Pod[]> {
    if (pods === undefined) {
      pods = deps.informers.informer(PODS);
      pods.addIndex(byNamespace, (pod) => [namespaceOf(pod)]);
      await pods.whenSynced(signal);
      pods.addHandler({
        onAdd: podChanged,
        onUpdate: (old, pod) => {
          if (JSON.stringify(old.metadata?.labels) !== JSON.stringify(pod.metadata?.labels)) podChanged(old);
          podChanged(pod);
        },
        onDelete: podChanged,
      });
    }
    await pods.whenSynced(signal);
    return pods.byIndex(byNamespace, namespaceOf(service)).filter((pod) => selects(service, pod));
  }

  await deps.informers.whenSynced(signal).catch(() => undefined);
  services.addHandler({
    onAdd: (service) => queue.add(keyOf(service)),
    onUpdate: (old, service) => {
      if (revisionOf(old) !== revisionOf(service)) queue.add(keyOf(service));
    },
    onDelete: (service) => {
      loop.serviceDeleted?.(keyOf(service));
      queue.add(keyOf(service));
    },
  });
  const madeChanged = (object: Made) => {
    const key = loop.serviceOf(object);
    if (key !== undefined) queue.add(key);
  };
  loop.made.addHandler({ onAdd: madeChanged, onUpdate: (_old, object) => madeChanged(object), onDelete: madeChanged });

  const sync = async (key: string): Promise<void> => {
    const service = services.get(key);
    if (service === undefined || !hasSelector(service)) await loop.sync(key, service, []);
    else await loop.sync(key, service, await podsOf(service));
  };
  await queue.run(4, sync, deps.logger, signal);
}

function selects(service: V1Service, pod: V1Pod): boolean {
  return (
    namespaceOf(service) === namespaceOf(pod) &&
    hasSelector(service) &&
    fromLabels(service.spec?.selector ?? {}).matches(pod.metadata?.labels)
  );
}
