/**
 * Starts one container: image, configuration, creation, start, postStart hook, in this order, with upstream's events. Throws StartError
 * with the reason that the container then waits for; what was created by a failed start is not left running.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isReason } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerConfig, ContainerRuntime, ImageStatus } from '@coffer/cri/runtime/container-runtime';
import { RuntimeRefusal } from '@coffer/cri/runtime/container-runtime';
import { type ImageManager, type ImageRequest, ImageUnavailable } from '../images/image-manager.ts';
import { pullCredentials } from '../images/pull-secrets.ts';
import type { ObjectSource } from '../objects/source-record.ts';
import type { PodReach } from '../probes/pod-reach.ts';
import { containerHash, factsOf } from '../runtime/labels.ts';
import type { Limiter } from '../runtime/limiter.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import { type Container, type ContainerKind, formatPod, type Pod } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';
import type { PodDirectories } from '../volumes/pod-directories.ts';
import { buildContainerConfig, type ContainerConfigDeps } from './container-config.ts';
import { runHook } from './hooks.ts';
import type { HostIdentity } from './network-identity.ts';
import { latestContainer } from './restart-policy.ts';
import type { StartBackoff } from './start-backoff.ts';
import { goDuration } from './time-format.ts';

export interface ContainerStarterDeps {
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly clock: Clock;
  readonly images: ImageManager;
  readonly backoff: StartBackoff;
  readonly config: ContainerConfigDeps;
  readonly directories: PodDirectories;
  readonly starting: Limiter;
  readonly event: ContainerEvent;
  readonly podEvent: PodEvent;
}

export type PodEvent = (pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string) => void;

export type ContainerEvent = (
  pod: Pod,
  kind: ContainerKind,
  container: Container,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
) => void;

export interface StartRequest {
  readonly pod: Pod;
  readonly kind: ContainerKind;
  readonly container: Container;
  readonly sandboxId: string;
  readonly identity: HostIdentity;
  readonly podIps: readonly string[];
  readonly hostIps: readonly string[];
  /** Address for hooks. */
  readonly reach: PodReach;
  readonly objects: ObjectSource;
  readonly signal: AbortSignal;
}

/** A container that could not be started. */
export class StartError extends Error {
  readonly reason: string;
  /** When trying again makes sense; undefined where nobody knows: soon, then less and less often. */
  readonly retryInMs: number | undefined;
  constructor(reason: string, message: string, retryInMs: number | undefined, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'StartError';
    this.reason = reason;
    this.retryInMs = retryInMs;
  }
}

export class ContainerStarter {
  readonly #deps: ContainerStarterDeps;

  constructor(deps: ContainerStarterDeps) {
    this.#deps = deps;
  }

  async start(request: StartRequest): Promise<void> {
    const { pod, kind, container, sandboxId } = request;
    const { runtime, cache, event } = this.#deps;
    const uid = pod.metadata.uid;
    this.#backOff(request);
    const secrets = await this.#pullSecrets(request);
    const volumeImages = await this.#imageVolumes(request, secrets);
    const image = await this.#image(request, secrets);
    const attempt = await this.#nextAttempt(request);
    const config = await this.#configure(request, attempt, image, volumeImages);
    await mkdir(join(this.#deps.directories.logs(pod), container.name), { recursive: true, mode: 0o755 });
    // The pod may have to go by now: nothing is started any more then.
    if (request.signal.aborted) return;
    let id: string;
    try {
      id = await this.#deps.starting.run(() => runtime.createContainer(sandboxId, config));
    } catch (error) {
      event(pod, kind, container, 'Warning', 'Failed', `Error: ${messageOf(error)}`);
      throw new StartError(error instanceof RuntimeRefusal ? error.reason : 'CreateContainerError', messageOf(error), undefined, {
        cause: error,
      });
    }
    event(pod, kind, container, 'Normal', 'Created', 'Container created');
    try {
      await this.#deps.starting.run(() => runtime.startContainer(id));
    } catch (error) {
      await cache.refreshContainer(uid, id);
      event(pod, kind, container, 'Warning', 'Failed', `Error: ${messageOf(error)}`);
      throw new StartError(error instanceof RuntimeRefusal ? error.reason : 'RunContainerError', messageOf(error), undefined, {
        cause: error,
      });
    }
    await cache.refreshContainer(uid, id);
    event(pod, kind, container, 'Normal', 'Started', 'Container started');
    await this.#postStart(request, id);
  }

  #backOff(request: StartRequest): void {
    const { pod, kind, container } = request;
    const { backoff, cache, event } = this.#deps;
    if (kind === 'ephemeral') return;
    const last = latestContainer(cache.get(pod.metadata.uid), container.name);
    if (last?.state !== 'exited') return;
    // A container whose definition or resources changed begins anew.
    const key = `${pod.metadata.uid}_${container.name}_${containerHash(container)}_${JSON.stringify(container.resources ?? {})}`;
    const sinceMs = last.finishedAtMs ?? last.createdAtMs;
    const remainingMs = backoff.remainingMs(key, sinceMs);
    if (remainingMs > 0) {
      event(pod, kind, container, 'Warning', 'BackOff', `Back-off restarting failed container ${container.name} in pod ${formatPod(pod)}`);
      const text = `back-off ${goDuration(backoff.delayMs(key))} restarting failed container=${container.name} pod=${formatPod(pod)}`;
      throw new StartError('CrashLoopBackOff', text, remainingMs);
    }
    backoff.next(key, sinceMs);
  }

  #image(request: StartRequest, secrets: readonly KubeObject[]): Promise<ImageStatus | undefined> {
    const { pod, kind, container } = request;
    const event: ImageRequest['event'] = (type, reason, message) => this.#deps.event(pod, kind, container, type, reason, message);
    return this.#ensureImage(request, { image: container.image ?? '', pullPolicy: container.imagePullPolicy, event }, secrets);
  }

  /** Images of the image volumes that the container mounts, by volume. What happens to them is told of the pod, as upstream does. */
  async #imageVolumes(request: StartRequest, secrets: readonly KubeObject[]): Promise<ReadonlyMap<string, string>> {
    const { pod, container } = request;
    const images = new Map<string, string>();
    const mounted = new Set((container.volumeMounts ?? []).map(({ name }) => name));
    for (const { name, image: source } of pod.spec.volumes ?? []) {
      if (source === undefined || !mounted.has(name)) continue;
      const image = source.reference ?? '';
      const event: ImageRequest['event'] = (type, reason, message) => this.#deps.podEvent(pod, type, reason, message);
      const found = await this.#ensureImage(request, { image, pullPolicy: source.pullPolicy, event }, secrets);
      images.set(name, found?.id ?? image);
    }
    return images;
  }

  async #ensureImage(
    request: StartRequest,
    wanted: Pick<ImageRequest, 'image' | 'pullPolicy' | 'event'>,
    secrets: readonly KubeObject[],
  ): Promise<ImageStatus | undefined> {
    const { pod, kind, container } = request;
    try {
      return await this.#deps.images.ensure({ pod, ...wanted, credentials: async () => pullCredentials(secrets, wanted.image) });
    } catch (error) {
      if (!(error instanceof ImageUnavailable)) throw error;
      this.#deps.event(pod, kind, container, 'Warning', 'Failed', `Error: ${error.reason}`);
      throw new StartError(error.reason, error.message, error.retryInMs, { cause: error });
    }
  }

  /** The pod's pull Secrets that exist. A pull may work without the others; when it does not, the pull's failure is what counts. */
  async #pullSecrets({ pod, objects }: StartRequest): Promise<readonly KubeObject[]> {
    const found: KubeObject[] = [];
    const missing: string[] = [];
    for (const { name } of pod.spec.imagePullSecrets ?? []) {
      if (name === undefined || name === '') continue;
      try {
        found.push(await objects.secret(name));
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
        missing.push(name);
      }
    }
    if (missing.length > 0) {
      const text = `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`;
      this.#deps.podEvent(pod, 'Warning', 'FailedToRetrieveImagePullSecret', text);
    }
    return found;
  }

  async #configure(
    request: StartRequest,
    attempt: number,
    image: ImageStatus | undefined,
    volumeImages: ReadonlyMap<string, string>,
  ): Promise<ContainerConfig> {
    const { pod, kind, container } = request;
    try {
      return await buildContainerConfig(this.#deps.config, { ...request, attempt, image, volumeImages });
    } catch (error) {
      this.#deps.event(pod, kind, container, 'Warning', 'Failed', `Error: ${messageOf(error)}`);
      throw new StartError('CreateContainerConfigError', messageOf(error), undefined, { cause: error });
    }
  }

  /** One more than the last instance; known from its logs when the runtime has forgotten it. */
  async #nextAttempt(request: StartRequest): Promise<number> {
    const { pod, container } = request;
    const last = latestContainer(this.#deps.cache.get(pod.metadata.uid), container.name);
    if (last !== undefined) return factsOf(last).attempt + 1;
    try {
      const names = await readdir(join(this.#deps.directories.logs(pod), container.name));
      const attempts = names.flatMap((name) => /^(\d+)\.log/.exec(name)?.[1] ?? []).map(Number);
      return attempts.length === 0 ? 0 : Math.max(...attempts) + 1;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return 0;
      throw error;
    }
  }

  async #postStart(request: StartRequest, id: string): Promise<void> {
    const { pod, kind, container } = request;
    const hook = container.lifecycle?.postStart;
    if (hook === undefined) return;
    try {
      const warn = (reason: string, message: string) => this.#deps.event(pod, kind, container, 'Warning', reason, message);
      await runHook({ ...this.#deps, warn }, hook, { pod, container, containerId: id, reach: request.reach }, request.signal);
    } catch (error) {
      if (request.signal.aborted) return;
      this.#deps.event(pod, kind, container, 'Warning', 'FailedPostStartHook', 'PostStartHook failed');
      this.#deps.event(pod, kind, container, 'Normal', 'Killing', 'FailedPostStartHook');
      await this.#deps.runtime.stopContainer(id, (pod.spec.terminationGracePeriodSeconds ?? 30) * 1000);
      await this.#deps.cache.refreshContainer(pod.metadata.uid, id);
      throw new StartError('PostStartHookError', messageOf(error), undefined, { cause: error });
    }
  }
}
