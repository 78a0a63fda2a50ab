/**
 * Deletes objects whose owners are gone, completes foreground deletion and orphaning. Identity: `generic-garbage-collector`. Watches the
 * metadata of every resource that can be listed, watched and deleted; what is served is asked again every `REDISCOVER_MS`, so that
 * resources that appear later are collected too.
 */

import { StatusError } from '@coffer/api/errors/status-error';
import type { V1ObjectMeta, V1OwnerReference } from '@coffer/api/generated/types';
import type { DiscoveredResource } from '@coffer/client/discovery/discover-resources';
import { discoverResources } from '@coffer/client/discovery/discover-resources';
import { Reflector } from '@coffer/client/reflector/reflector';
import type { ApiObject } from '@coffer/client/rest/api-object';
import { refApiVersion, refId } from '@coffer/client/rest/resource-ref';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import type { LoopDeps } from '../common/loop-deps.ts';
import { Collector, UnknownOwnerKindError } from './collector.ts';
import type { GraphNode } from './graph.ts';
import { OwnerGraph, sameResource } from './graph.ts';

const WORKERS = 20;
const REDISCOVER_MS = 30_000;
/** Written often, never owned. */
const IGNORED: ReadonlySet<string> = new Set(['events', 'events.events.k8s.io']);

export async function runGarbageCollector(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  await new GarbageCollector(deps, signal).run();
}

interface Monitor {
  readonly resource: DiscoveredResource;
  readonly stop: AbortController;
  readonly reflector: Reflector<ApiObject>;
  readonly done: Promise<void>;
}

class GarbageCollector {
  readonly #deps: LoopDeps;
  readonly #signal: AbortSignal;
  readonly #graph: OwnerGraph;
  readonly #deletions: WorkQueue;
  readonly #orphanings: WorkQueue;
  readonly #collector: Collector;
  readonly #monitors = new Map<string, Monitor>();
  readonly #firstSync = deferred();
  #resources: readonly DiscoveredResource[] = [];

  constructor(deps: LoopDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#deletions = new WorkQueue(deps.clock, { retriesPerSecond: 100, retryBurst: 1000 });
    this.#orphanings = new WorkQueue(deps.clock, { retriesPerSecond: 100, retryBurst: 1000 });
    const resourceOf = (reference: V1OwnerReference) => this.#resourceOf(reference);
    this.#graph = new OwnerGraph({
      attemptToDelete: (node) => this.#deletions.add(node.uid),
      attemptToOrphan: (node) => this.#orphanings.add(node.uid),
      resourceOf,
      invalidOwner: (dependent, reference) => this.#recordInvalidOwner(dependent, reference),
    });
    this.#collector = new Collector(
      { api: deps.api, graph: this.#graph, resourceOf, attemptToDelete: (node) => this.#deletions.add(node.uid) },
      signal,
    );
  }

  async run(): Promise<void> {
    const { logger } = this.#deps;
    const monitors = this.#monitorResources();
    // An owner may only be let go when all its dependents are known.
    await this.#firstSync.promise;
    await Promise.all([
      this.#deletions.run(WORKERS, (uid) => this.#delete(uid), logger, this.#signal),
      this.#orphanings.run(WORKERS, (uid) => this.#orphan(uid), logger, this.#signal),
      monitors,
    ]);
    await Promise.all([...this.#monitors.values()].map((monitor) => monitor.done));
  }

  async #monitorResources(): Promise<void> {
    const { api, clock, logger } = this.#deps;
    while (!this.#signal.aborted) {
      let pauseMs = REDISCOVER_MS;
      try {
        const { resources, failures } = await discoverResources(api, this.#signal);
        for (const failure of failures)
          logger.warn('a group version could not be discovered', { groupVersion: failure.groupVersion, err: failure.error });
        this.#resources = resources;
        this.#syncMonitors(failures.length > 0);
        await Promise.all([...this.#monitors.values()].map((monitor) => monitor.reflector.whenSynced(this.#signal)));
        this.#firstSync.resolve();
      } catch (error) {
        if (this.#signal.aborted) break;
        logger.warn('the served resources could not be discovered, trying again', { err: error });
        pauseMs = 1000;
      }
      await clock.sleep(pauseMs, this.#signal).catch(() => undefined);
    }
    this.#firstSync.resolve();
  }

  /** Starts monitors of new resources; stops those of resources that are gone, unless discovery was incomplete. */
  #syncMonitors(incomplete: boolean): void {
    const wanted = this.#resources.filter(
      (resource) => ['list', 'watch', 'delete'].every((verb) => resource.verbs.includes(verb)) && !IGNORED.has(refId(resource)),
    );
    for (const [id, monitor] of this.#monitors) {
      if (incomplete || wanted.some((resource) => sameResource(resource, monitor.resource))) continue;
      monitor.stop.abort(new Error('the resource is not served any more'));
      this.#monitors.delete(id);
    }
    for (const resource of wanted)
      if (!this.#monitors.has(refId(resource))) this.#monitors.set(refId(resource), this.#startMonitor(resource));
  }

  #startMonitor(resource: DiscoveredResource): Monitor {
    const { api, clock, logger } = this.#deps;
    const stop = new AbortController();
    const store = {
      replace: (items: readonly ApiObject[]) => {
        const uids = new Set(items.map((item) => item.metadata?.uid ?? ''));
        const gone = [...this.#graph.observedOf(resource)].filter((node) => !uids.has(node.uid));
        for (const item of items) if (item.metadata !== undefined) this.#graph.put(resource, item.metadata);
        for (const node of gone) this.#graph.remove(node.uid);
      },
      apply: (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: ApiObject) => {
        if (object.metadata === undefined) return;
        if (type === 'DELETED') this.#graph.remove(object.metadata.uid ?? '');
        else this.#graph.put(resource, object.metadata);
      },
    };
    const reflector = new Reflector<ApiObject>(
      { client: api.resource(resource), store, clock, logger },
      { metadataOnly: true, transform: ownershipOnly },
    );
    return { resource, stop, reflector, done: reflector.run(AbortSignal.any([this.#signal, stop.signal])) };
  }

  async #delete(uid: string): Promise<void> {
    const node = this.#graph.get(uid);
    if (node === undefined) return;
    try {
      await this.#collector.attemptToDelete(node);
    } catch (error) {
      if (error instanceof UnknownOwnerKindError) {
        // Not an error of ours: looked at again when the served resources were asked for again.
        this.#deletions.addAfter(uid, REDISCOVER_MS);
        return;
      }
      if (error instanceof StatusError && error.reason === 'Forbidden') {
        // Admission or authorization said no: the object stays, and asking at full speed changes nothing.
        this.#deps.logger.warn('an object without owners may not be deleted', {
          resource: node.resource?.resource,
          name: node.name,
          err: error,
        });
        this.#deletions.addAfter(uid, REDISCOVER_MS);
        return;
      }
      throw error;
    }
  }

  async #orphan(uid: string): Promise<void> {
    const node = this.#graph.get(uid);
    if (node !== undefined) await this.#collector.orphanDependents(node);
  }

  #resourceOf(reference: V1OwnerReference): DiscoveredResource | undefined {
    const group = reference.apiVersion.includes('/') ? reference.apiVersion.slice(0, reference.apiVersion.indexOf('/')) : '';
    return this.#resources.find((resource) => resource.group === group && resource.kind === reference.kind);
  }

  #recordInvalidOwner(dependent: GraphNode, reference: V1OwnerReference): void {
    if (dependent.resource === undefined) return;
    const about = {
      kind: dependent.resource.kind,
      apiVersion: refApiVersion(dependent.resource),
      name: dependent.name,
      uid: dependent.uid,
      ...(dependent.namespace === '' ? {} : { namespace: dependent.namespace }),
    };
    const owner = `[${reference.apiVersion}/${reference.kind}, namespace: ${dependent.namespace}, name: ${reference.name}, uid: ${reference.uid}]`;
    this.#deps.events.record(
      about,
      'Warning',
      'OwnerRefInvalidNamespace',
      `ownerRef ${owner} does not exist in namespace ${JSON.stringify(dependent.namespace)}`,
    );
  }
}

/** What the graph and the reflector read of an object; of a hundred thousand objects the rest would be much. */
function ownershipOnly({ metadata }: ApiObject): ApiObject {
  const kept: V1ObjectMeta = {};
  for (const field of OWNERSHIP_FIELDS) if (metadata?.[field] !== undefined) Object.assign(kept, { [field]: metadata[field] });
  return { metadata: kept };
}

const OWNERSHIP_FIELDS = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'ownerReferences',
  'finalizers',
  'deletionTimestamp',
] as const satisfies readonly (keyof V1ObjectMeta)[];

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
