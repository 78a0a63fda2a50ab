/** The parts of one kubelet and what connects them: API changes, runtime changes, probes and timers wake pod workers. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeApi } from '@coffer/api/node/node-api';
import { podReferences } from '@coffer/api/node/pod-references';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { type EventRecorder, eventTarget, type KubeletApi, type ObjectWatch, resources } from './deps.ts';
import { WatchedServices } from './env/watched-services.ts';
import { EvictionManager } from './eviction/eviction-manager.ts';
import type { NodeResources } from './eviction/node-resources.ts';
import { ImageCollector } from './images/image-collector.ts';
import { ImageManager } from './images/image-manager.ts';
import { PulledRecords } from './images/pulled-records.ts';
import type { KubeletMetrics, PodSources } from './kubelet.ts';
import { Housekeeping } from './node/housekeeping.ts';
import { KubeletNodeApi } from './node/kubelet-node-api.ts';
import { filesystemUsage, type Machine } from './node/machine.ts';
import { NodeAgent } from './node/node-agent.ts';
import { allocatable, type NodeFacts } from './node/node-status.ts';
import { ObjectManager } from './objects/object-manager.ts';
import type { ObjectSource } from './objects/source-record.ts';
import type { KubeletOptions } from './options.ts';
import { AdmissionDesk } from './pods/admission-desk.ts';
import { ContainerKiller } from './pods/container-killer.ts';
import { ContainerStarter } from './pods/container-starter.ts';
import { parseResolvConf } from './pods/network-identity.ts';
import { isOwnEcho, sameDownwardFields } from './pods/pod-changes.ts';
import { PodCleaner } from './pods/pod-cleaner.ts';
import { podIpsOf } from './pods/pod-status.ts';
import { PodSyncer } from './pods/pod-syncer.ts';
import { PodWorkers } from './pods/pod-workers.ts';
import { Resizer } from './pods/resizer.ts';
import { StartBackoff } from './pods/start-backoff.ts';
import { StatusManager } from './pods/status-manager.ts';
import { podReach } from './probes/pod-reach.ts';
import { ProbeManager } from './probes/probe-manager.ts';
import { factsOf } from './runtime/labels.ts';
import { Limiter } from './runtime/limiter.ts';
import { RuntimeCache } from './runtime/runtime-cache.ts';
import { runtimeHandlerOf } from './runtime/runtime-handler.ts';
import { runningPods } from './server/kubelet-pages.ts';
import { StaticPods } from './static/static-pods.ts';
import {
  type Container,
  type ContainerKind,
  containerFieldPath,
  findContainer,
  isTerminalPhase,
  type Pod,
  podFromObject,
} from './types.ts';
import { MemoryStorage } from './volumes/memory-storage.ts';
import { createMounter } from './volumes/mounter.ts';
import { PodDirectories } from './volumes/pod-directories.ts';
import { mountsRecursivelyReadOnly } from './volumes/recursive-read-only.ts';
import { TokenManager } from './volumes/token-manager.ts';
import { VolumeManager } from './volumes/volume-manager.ts';

export interface NodeRunnerDeps {
  readonly nodeName: string;
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly rootDir: string;
  readonly logsDir: string;
  readonly options: KubeletOptions;
  readonly api: KubeletApi;
  readonly events: EventRecorder;
  readonly machine: Machine;
  /** What the machine has left now. */
  readonly resources: () => Promise<NodeResources>;
}

/** What an evicted pod has to end by itself. */
const evictionGraceMs = 1000;

export class NodeRunner {
  readonly nodeApi: NodeApi;
  readonly #deps: NodeRunnerDeps;
  readonly #housekeeping: Housekeeping;
  readonly #cache: RuntimeCache;
  readonly #configMaps: ObjectManager;
  readonly #secrets: ObjectManager;
  readonly #services: WatchedServices;
  readonly #tokens: TokenManager;
  readonly #volumes: VolumeManager;
  readonly #memory: MemoryStorage;
  readonly #statics: StaticPods;
  readonly #statuses: StatusManager;
  readonly #probes: ProbeManager;
  readonly #images: ImageManager;
  readonly #backoff: StartBackoff;
  readonly #killer: ContainerKiller;
  readonly #workers: PodWorkers;
  readonly #cleaner: PodCleaner;
  readonly #resizer: Resizer;
  readonly #agent: NodeAgent;
  readonly #admission: AdmissionDesk;
  readonly #eviction: EvictionManager;
  readonly #hostIps: readonly string[];
  #podWatch: ObjectWatch | undefined;
  /** Of pods that the API does not have, under way since the start. */
  #removal: Promise<void> = Promise.resolve();

  static async create(deps: NodeRunnerDeps): Promise<NodeRunner> {
    const version = await deps.runtime.version();
    const resolvConf = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
    return new NodeRunner(deps, version, resolvConf);
  }

  constructor(deps: NodeRunnerDeps, version: { readonly name: string; readonly version: string }, resolvConf: string) {
    const { runtime, clock, logger, api, options, nodeName, machine } = deps;
    this.#deps = deps;
    this.#services = new WatchedServices(options.apiServer);
    this.#hostIps = options.nodeIps.length > 0 ? options.nodeIps : machine.addresses;
    const directories = new PodDirectories(deps.rootDir, deps.logsDir);
    const facts: NodeFacts = {
      nodeName,
      machine,
      addresses: this.#hostIps,
      maxPods: options.maxPods,
      kubeletVersion: options.kubeletVersion,
      kubeletPort: options.kubeletPort,
      runtimeVersion: `${version.name}://${version.version}`,
    };
    const nodeAllocatable = allocatable(facts);
    const wake = (uid: string) => this.#workers.wake(uid);
    this.#cache = new RuntimeCache({ runtime, clock, logger, onChange: wake });
    const onChange = (change: { readonly podUids: readonly string[] }) => this.#onObjectChange(change.podUids);
    this.#configMaps = new ObjectManager({ api, clock, logger, resource: resources.configMaps, noun: 'configmap', onChange });
    this.#secrets = new ObjectManager({ api, clock, logger, resource: resources.secrets, noun: 'secret', onChange });
    this.#tokens = new TokenManager(api, clock);
    const mounter = createMounter();
    this.#memory = new MemoryStorage(mounter, deps.rootDir);
    this.#volumes = new VolumeManager({
      clock,
      logger,
      directories,
      mounter,
      memory: this.#memory,
      api,
      objectsFor: (pod) => this.#objectsFor(pod),
      token: (pod, projection) => this.#tokens.token(pod, projection),
      podIps: (uid) => this.#podIps(uid),
      hostIps: () => this.#hostIps,
      allocatable: () => nodeAllocatable,
      umask: machine.umask,
      onRefreshError: (pod, error) => this.#podEvent(pod, 'Warning', 'FailedMount', error.message),
    });
    this.#statics = new StaticPods({
      directory: options.staticPodDir,
      nodeName,
      nodeUid: () => this.#agent.nodeUid,
      api,
      clock,
      logger,
      onPod: (pod) => this.#workers.update(pod),
      onRemoved: (pod) => this.#workers.remove(pod, (pod.spec.terminationGracePeriodSeconds ?? 30) * 1000),
      onMirror: (uid, mirror) => this.#statuses.observeMirror(uid, mirror),
    });
    this.#statuses = new StatusManager({ api, clock, logger, apiUidOf: (pod) => this.#statics.apiUid(pod) });
    const reachOf = (pod: Pod) => {
      const { uid } = pod.metadata;
      const own = pod.spec.hostNetwork === true ? undefined : this.#podIps(uid)[0];
      return podReach(runtime, this.#cache.get(uid), own ?? this.#hostIps[0] ?? '127.0.0.1');
    };
    this.#probes = new ProbeManager({
      runtime,
      clock,
      reachOf,
      onResult: (uid) => this.#workers.probed(uid),
      event: (pod, container, type, reason, message) =>
        this.#containerEvent(pod, findContainer(pod, container.name)?.kind ?? 'regular', container, type, reason, message),
    });
    const records = new PulledRecords(join(deps.rootDir, 'image_manager'));
    this.#images = new ImageManager(runtime, clock, records);
    this.#backoff = new StartBackoff(clock, options.crashLoopBackOff);
    const event = this.#containerEvent.bind(this);
    this.#killer = new ContainerKiller({ runtime, cache: this.#cache, clock, logger, event, reachOf });
    const recursiveReadOnly = (pod: Pod) => mountsRecursivelyReadOnly(pod, this.#agent.handlers);
    const starting = new Limiter(options.parallelStarts);
    const starter = new ContainerStarter({
      starting,
      runtime,
      cache: this.#cache,
      clock,
      images: this.#images,
      backoff: this.#backoff,
      directories,
      event,
      podEvent: this.#podEvent.bind(this),
      config: {
        directories,
        mounter,
        volumes: this.#volumes,
        services: this.#services,
        allocatable: () => nodeAllocatable,
        memoryCapacityBytes: machine.memoryBytes,
        recursiveReadOnly,
      },
    });
    this.#resizer = new Resizer({
      runtime,
      memoryCapacityBytes: machine.memoryBytes,
      allocatable: () => nodeAllocatable,
      claims: () => this.#workers.claims(),
      wake,
      podEvent: this.#podEvent.bind(this),
    });
    const syncer = new PodSyncer({
      resizer: this.#resizer,
      nodeName,
      runtime,
      runtimeName: version.name,
      cache: this.#cache,
      clock,
      logger,
      statuses: this.#statuses,
      volumes: this.#volumes,
      directories,
      probes: this.#probes,
      starter,
      killer: this.#killer,
      starting,
      dns: { clusterDomain: options.clusterDomain, clusterDns: options.clusterDns, host: parseResolvConf(resolvConf) },
      hostIps: () => this.#hostIps,
      reachOf,
      objectsFor: (pod) => this.#objectsFor(pod),
      recursiveReadOnly,
      runtimeHandlerOf: (pod) => runtimeHandlerOf(api, pod),
      podEvent: this.#podEvent.bind(this),
    });
    this.#cleaner = new PodCleaner({ runtime, cache: this.#cache, volumes: this.#volumes, directories, logger });
    this.#housekeeping = new Housekeeping({
      runtime,
      cache: this.#cache,
      clock,
      logger,
      cleaner: this.#cleaner,
      volumes: this.#volumes,
      images: new ImageCollector({
        runtime,
        clock,
        policy: options.imageCollection,
        records,
        volumeImages: () => this.#workers.pods().flatMap((pod) => (pod.spec.volumes ?? []).flatMap(({ image }) => image?.reference ?? [])),
        diskUsage: filesystemUsage,
        event: (reason, message) => this.#agent.event('Warning', reason, message),
      }),
      directories,
      logLimits: options.containerLogs,
      syncFrequencyMs: options.syncFrequencyMs,
      pods: () => this.#workers.pods().filter((pod) => this.#workers.mayRun(pod.metadata.uid)),
    });
    this.#workers = new PodWorkers({
      clock,
      logger,
      syncer,
      killer: this.#killer,
      syncFrequencyMs: options.syncFrequencyMs,
      onGone: (pod) => this.#onGone(pod),
      onForgotten: (pod) => void this.#statics.gone(pod),
      onError: (pod, error) =>
        this.#podEvent(pod, 'Warning', 'FailedSync', `error determining status: ${error instanceof Error ? error.message : String(error)}`),
    });
    this.#eviction = new EvictionManager({
      runtime,
      cache: this.#cache,
      clock,
      logger,
      directories,
      thresholds: options.evictionHard,
      resources: deps.resources,
      pods: () => this.#workers.active(),
      evict: (pod, message, disruption) => this.#evict(pod, message, disruption),
      reclaimDisk: () => this.#cleaner.removeDead(),
    });
    this.#agent = new NodeAgent({
      api,
      runtime,
      clock,
      logger,
      events: deps.events,
      facts,
      pressure: async () => {
        await this.#eviction.observe();
        return this.#eviction.conditions();
      },
      labels: options.nodeLabels,
    });
    this.#admission = new AdmissionDesk({
      logger,
      node: () => this.#agent.node,
      freshNode: () => this.#agent.readNode(),
      // What a pod has been given, which may be less than what it asks for.
      others: (pod) =>
        this.#workers.claims().flatMap((claim) => (claim.pod.metadata.uid === pod.metadata.uid ? [] : [claim.resize.given(claim.pod)])),
      allocatable: () => nodeAllocatable,
      allowedUnsafeSysctls: options.allowedUnsafeSysctls,
      pressure: (pod) => this.#eviction.refusal(pod),
      accept: (pod) => this.#follow(pod),
      reject: (pod, { reason, message }) => {
        this.#podEvent(pod, 'Warning', reason, message);
        this.#workers.reject(pod, reason, `Pod was rejected: ${message}`);
      },
    });
    this.nodeApi = new KubeletNodeApi({
      runtime,
      cache: this.#cache,
      clock,
      directories,
      ownUid: (uid) => this.#statics.ownUid(uid),
      pod: (uid) => this.#workers.pod(uid),
      pods: () => this.#workers.pods(),
      status: (uid) => this.#statuses.get(uid),
    });
  }

  /** Registers the node, adopts what runs, and begins to follow the pods bound to it. */
  async start(signal: AbortSignal): Promise<void> {
    const { api, nodeName } = this.#deps;
    await Promise.all([this.#agent.register(signal), this.#cache.relist()]);
    await this.#services.start(api);
    // First, so that mirrors in the API are recognised.
    await this.#statics.scan();
    const watch = api.watch(
      { resource: resources.pods, namespace: undefined, fieldSelector: `spec.nodeName=${nodeName}` },
      { onChange: (object) => this.#onPod(podFromObject(object)), onDelete: (object) => this.#onPodDeleted(podFromObject(object)) },
    );
    this.#podWatch = watch;
    await watch.synced;
    const leftovers = await this.#cleaner.leftovers((uid) => this.#workers.pod(uid) !== undefined);
    // They may have time to end; the node does not wait for them.
    this.#removal = this.#cleaner.removePods(leftovers);
  }

  /** Works until the signal is aborted; containers are left running. */
  async run(signal: AbortSignal): Promise<void> {
    const parts = [this.#cache, this.#agent, this.#statics, this.#housekeeping, this.#eviction];
    await Promise.all(parts.map((part) => part.run(signal)));
    this.#podWatch?.stop();
    this.#services.stop();
    this.#workers.stop();
    this.#probes.stop();
    this.#statuses.stop();
    this.#configMaps.stop();
    this.#secrets.stop();
    // Without pods that may run nothing of this kubelet needs the machine any more.
    if (!this.#workers.pods().some(({ metadata }) => this.#workers.mayRun(metadata.uid))) await this.#memory.releaseUnused();
  }

  /**
   * Stops what runs, as a machine that is switched off does: pods keep their status in the API, and the next kubelet runs them again.
   * Secret data in memory is gone afterwards.
   */
  async drain(graceMs: number): Promise<void> {
    const { runtime, logger } = this.#deps;
    this.#podWatch?.stop();
    this.#configMaps.stop();
    this.#secrets.stop();
    this.#workers.stop();
    this.#probes.stop();
    // Pods that are on their way out already may have been given more time than this.
    for (const pod of this.#workers.pods()) this.#killer.hurry(pod.metadata.uid, graceMs);
    await this.#workers.whenIdle();
    await this.#removal;
    await Promise.all(
      this.#workers.pods().map(async (pod) => {
        try {
          await this.#killer.killAll(pod, graceMs);
          for (const sandbox of this.#cache.get(pod.metadata.uid).sandboxes) await runtime.stopPodSandbox(sandbox.id);
        } catch (error) {
          logger.error('a pod could not be stopped', { pod: pod.metadata.name, namespace: pod.metadata.namespace, err: error });
        }
      }),
    );
    await this.#statuses.whenIdle();
    await this.#volumes.unmountAll();
    await this.#memory.release();
  }

  async whenIdle(): Promise<void> {
    await this.#workers.whenIdle();
    await this.#statuses.whenIdle();
  }

  pods(): readonly Pod[] {
    return this.#workers.pods();
  }

  runningPods(): readonly object[] {
    return runningPods(this.#workers.pods(), this.#cache);
  }

  sourcesOf(uid: string): PodSources {
    const { containers } = this.#cache.get(uid);
    return {
      volumes: this.#volumes.sources(uid),
      containers: new Map(containers.map((container) => [container.id, factsOf(container).sources])),
    };
  }

  metrics(): KubeletMetrics {
    const running = this.#cache
      .uids()
      .flatMap((uid) => this.#cache.get(uid).containers.filter((container) => container.state === 'running'));
    return {
      pods: this.#workers.pods().length,
      runningContainers: running.length,
      objectWatches: this.#configMaps.watchCount + this.#secrets.watchCount,
    };
  }

  #onPod(pod: Pod): void {
    if (this.#statics.takeMirror(pod)) return;
    const { uid } = pod.metadata;
    // A pod that this node has accepted before stays, whatever has changed since.
    const isNew = this.#workers.pod(uid) === undefined && this.#cache.get(uid).containers.length === 0;
    if (isNew && pod.status.startTime === undefined && pod.metadata.deletionTimestamp === undefined && !isTerminalPhase(pod.status.phase))
      this.#admission.take(pod);
    else this.#follow(pod);
  }

  /** Takes the state of a pod that belongs to this node. */
  #follow(pod: Pod): void {
    const before = this.#workers.pod(pod.metadata.uid);
    const references = podReferences(pod);
    this.#configMaps.setPod(pod, references.configMaps);
    this.#secrets.setPod(pod, references.secrets);
    this.#statuses.observe(pod);
    // Most changes are this kubelet's own status coming back.
    if (before !== undefined && isOwnEcho(before, pod)) {
      this.#workers.replace(pod);
      return;
    }
    this.#workers.update(pod);
    if (before !== undefined && !sameDownwardFields(before, pod)) void this.#volumes.refresh(pod);
  }

  #onPodDeleted(pod: Pod): void {
    if (this.#statics.dropMirror(pod)) return;
    this.#admission.forget(pod.metadata.uid);
    this.#workers.remove(pod);
    this.#resizer.retryDeferred();
  }

  #evict(pod: Pod, message: string, disruption: boolean): void {
    this.#podEvent(pod, 'Warning', 'Evicted', message);
    this.#workers.evict(pod, message, disruption, evictionGraceMs);
  }

  #onObjectChange(podUids: readonly string[]): void {
    for (const uid of podUids) {
      const pod = this.#workers.pod(uid);
      if (pod === undefined) continue;
      void this.#volumes.refresh(pod);
      this.#workers.wakeIfWaiting(uid);
    }
  }

  async #onGone(pod: Pod): Promise<void> {
    const { uid, namespace } = pod.metadata;
    // The containers of a static pod that runs again are those before its next ones.
    if (this.#statics.wants(pod)) await this.#volumes.remove(uid);
    else await this.#cleaner.removePod(uid);
    this.#probes.removePod(uid);
    this.#configMaps.removePod(namespace, uid);
    this.#secrets.removePod(namespace, uid);
    this.#tokens.removePod(uid);
    this.#images.forgetPod(uid);
    this.#backoff.forget(`${uid}_`);
    this.#statuses.forget(uid);
  }

  #objectsFor(pod: Pod): ObjectSource {
    return { configMap: (name) => this.#configMaps.get(pod, name), secret: (name) => this.#secrets.get(pod, name) };
  }

  #podIps(uid: string): readonly string[] {
    const pod = this.#workers.pod(uid);
    return pod === undefined ? [] : podIpsOf(pod, this.#cache.get(uid), this.#hostIps);
  }

  #podEvent(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#deps.events.event(eventTarget(pod), type, reason, message);
  }

  #containerEvent(pod: Pod, kind: ContainerKind, container: Container, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#deps.events.event({ ...eventTarget(pod), fieldPath: containerFieldPath(kind, container.name) }, type, reason, message);
  }
}
