/**
 * Counts what namespaces use of their quotas. Identity: `resourcequota-controller`. A quota is counted when it is new or changed, when
 * something that it limits went away, and a while after admission counted something in: what was refused afterwards comes out again.
 * Only what a quota limits is watched, from then on.
 */

import type { V1ResourceQuota } from '@coffer/api/generated/types';
import type { GroupResource, KubeObject } from '@coffer/api/meta/object';
import { equalJson } from '@coffer/api/meta/safe-object';
import { type Amounts, addAmounts, maskAmounts, sameAmounts } from '@coffer/api/quota/amounts';
import { usedBy } from '@coffer/api/quota/evaluator';
import { evaluatorOf, evaluatorsOf, isQuotable } from '@coffer/api/quota/evaluators';
import type { DiscoveredResource } from '@coffer/client/discovery/discover-resources';
import { discoverResources } from '@coffer/client/discovery/discover-resources';
import type { Informer } from '@coffer/client/informer/informer';
import { Reflector } from '@coffer/client/reflector/reflector';
import { type ApiObject, keyOf, namespaceOf } from '@coffer/client/rest/api-object';
import { refId } from '@coffer/client/rest/resource-ref';
import { RESOURCE_QUOTAS } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';

const WORKERS = 5;
/** How long after a count by admission the objects themselves are counted. */
const RECOUNT_AFTER_MS = 5000;
const RESYNC_MS = 5 * 60_000;

export async function runResourceQuotaController(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  await new ResourceQuotaController(deps, signal).run();
}

class ResourceQuotaController {
  readonly #deps: LoopDeps;
  readonly #signal: AbortSignal;
  readonly #quotas: Informer<V1ResourceQuota>;
  readonly #queue: WorkQueue;
  /** Running watches by resource. */
  readonly #monitors = new Map<string, Promise<void>>();
  #resources: readonly DiscoveredResource[] | undefined;

  constructor(deps: LoopDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#quotas = deps.informers.informer(RESOURCE_QUOTAS);
    this.#queue = new WorkQueue(deps.clock);
  }

  async run(): Promise<void> {
    const { informers, logger } = this.#deps;
    await informers.whenSynced(this.#signal).catch(() => undefined);
    this.#quotas.addHandler({
      onAdd: (quota) => this.#queue.add(keyOf(quota)),
      onUpdate: (old, quota) => {
        if (!equalJson(old.spec, quota.spec)) this.#queue.add(keyOf(quota));
        else if (!equalJson(old.status, quota.status)) this.#queue.addAfter(keyOf(quota), RECOUNT_AFTER_MS);
      },
      onDelete: (quota) => this.#recount(RESOURCE_QUOTAS, namespaceOf(quota)),
    });
    await Promise.all([this.#queue.run(WORKERS, (key) => this.#sync(key), logger, this.#signal), this.#resync()]);
    await Promise.all(this.#monitors.values());
  }

  /** What ends by the passing of time makes no event. */
  async #resync(): Promise<void> {
    while (!this.#signal.aborted) {
      await this.#deps.clock.sleep(RESYNC_MS, this.#signal).catch(() => undefined);
      for (const quota of this.#quotas.list()) this.#queue.add(keyOf(quota));
    }
  }

  async #sync(key: string): Promise<void> {
    const quota = this.#quotas.get(key);
    if (quota === undefined) return;
    const { api, clock } = this.#deps;
    const namespace = namespaceOf(quota);
    const limits = quota.spec?.hard ?? {};
    const resources = await this.#limitedResources(Object.keys(limits));
    const evaluators = evaluatorsOf(resources);
    const list = async ({ group, resource }: GroupResource): Promise<readonly KubeObject[]> => {
      const ref = resources.find((candidate) => candidate.group === group && candidate.resource === resource);
      if (ref === undefined) return [];
      const { items } = await api.resource(ref).listAll({ namespace, metadataOnly: !readsObjects(ref), signal: this.#signal });
      return items as unknown as readonly KubeObject[];
    };
    const counted = await usedBy(quota, evaluators, list, clock.now());
    const used = maskAmounts({ ...quota.status?.used, ...counted }, Object.keys(limits));
    if (sameAmounts(limits, quota.status?.hard ?? {}) && quota.status?.used !== undefined && sameAmounts(used, quota.status.used)) return;
    await this.#write(quota, limits, used);
  }

  /** Written at the revision that was counted: what admission counted in meanwhile is not lost, this count is tried again. */
  async #write(quota: V1ResourceQuota, hard: Amounts, used: Amounts): Promise<void> {
    const status = { hard: addAmounts({}, hard), used };
    await this.#deps.api
      .resource(RESOURCE_QUOTAS)
      .updateStatus({ ...quota, status }, { namespace: namespaceOf(quota), signal: this.#signal });
  }

  /** The served resources that limits of these names are about, each of them watched from now on. */
  async #limitedResources(names: readonly string[]): Promise<readonly DiscoveredResource[]> {
    if (this.#resources === undefined) {
      const { resources } = await discoverResources(this.#deps.api, this.#signal);
      this.#resources = resources.filter(isQuotable);
    }
    const limited = this.#resources.filter((resource) => evaluatorOf(resource).matchingNames(names).length > 0);
    for (const resource of limited) this.#watch(resource);
    return limited;
  }

  #watch(resource: DiscoveredResource): void {
    const id = refId(resource);
    // Quotas themselves are followed by the informer.
    if (this.#monitors.has(id) || id === refId(RESOURCE_QUOTAS)) return;
    const { api, clock, logger } = this.#deps;
    const uses = readsObjects(resource);
    const store = {
      replace: () => this.#recount(resource),
      apply: (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: ApiObject) => {
        if (type === 'DELETED' || (uses && type === 'MODIFIED')) this.#recount(resource, namespaceOf(object));
      },
    };
    const reflector = new Reflector<ApiObject>({ client: api.resource(resource), store, clock, logger }, { metadataOnly: !uses });
    this.#monitors.set(id, reflector.run(this.#signal));
  }

  #recount(resource: GroupResource, namespace?: string): void {
    const evaluator = evaluatorOf(resource);
    for (const quota of this.#quotas.list()) {
      if (namespace !== undefined && namespaceOf(quota) !== namespace) continue;
      if (evaluator.matchingNames(Object.keys(quota.spec?.hard ?? {})).length > 0) this.#queue.add(keyOf(quota));
    }
  }
}

/** What an object uses is more than that it is there. */
function readsObjects({ group, resource }: GroupResource): boolean {
  return group === '' && (resource === 'pods' || resource === 'services');
}
