/**
 * The three things that are done to a pod: run it as its spec says, stop it, and clear up after it. Each is idempotent and works from
 * the state of the runtime; the worker calls them one at a time per pod, as often as needed.
 */
import { mkdir } from 'node:fs/promises';
import { type BackoffOptions, backoffDelayMs } from '@coffer/base/backoff';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, PodSandboxConfig } from '@coffer/cri/runtime/container-runtime';
import type { ObjectSource } from '../objects/source-record.ts';
import type { PodReach } from '../probes/pod-reach.ts';
import type { ProbeManager } from '../probes/probe-manager.ts';
import { qosClassOf } from '../resources/pod-resources.ts';
import { podLabels } from '../runtime/labels.ts';
import type { Limiter } from '../runtime/limiter.ts';
import type { RuntimeCache, RuntimePod } from '../runtime/runtime-cache.ts';
import { type Container, isTerminalPhase, type Pod, type PodStatus } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';
import type { PodDirectories } from '../volumes/pod-directories.ts';
import { type VolumeManager, VolumesNotReady } from '../volumes/volume-manager.ts';
import { computeActions } from './compute-actions.ts';
import { type ContainerKiller, containerGraceMs } from './container-killer.ts';
import { type ContainerStarter, StartError } from './container-starter.ts';
import type { StartFailure } from './container-statuses.ts';
import { type DnsEnvironment, hostnameProblem, podDns, podHostname } from './network-identity.ts';
import { computePodStatus, podIpsOf, type Verdict } from './pod-status.ts';
import type { Resizer, ResizeState } from './resizer.ts';
import { latestContainer } from './restart-policy.ts';
import type { StatusManager } from './status-manager.ts';
import { terminationMessage } from './termination-message.ts';
import { type RestartState, restartWholePod } from './whole-restart.ts';

export interface PodSyncerDeps {
  readonly nodeName: string;
  readonly runtime: ContainerRuntime;
  readonly runtimeName: string;
  readonly cache: RuntimeCache;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly statuses: StatusManager;
  readonly volumes: VolumeManager;
  readonly directories: PodDirectories;
  readonly probes: ProbeManager;
  readonly starter: ContainerStarter;
  readonly resizer: Resizer;
  readonly killer: ContainerKiller;
  /** Bounds how many sandboxes and containers the runtime brings up at once; hooks and pulls do not count. */
  readonly starting: Limiter;
  readonly dns: DnsEnvironment;
  readonly hostIps: () => readonly string[];
  readonly reachOf: (pod: Pod) => PodReach;
  readonly objectsFor: (pod: Pod) => ObjectSource;
  /** Whether the pod's mounts can be read-only with what is mounted below them. */
  readonly recursiveReadOnly: (pod: Pod) => boolean;
  /** Handler of the pod's RuntimeClass, empty without one; rejects when the class is not there. */
  readonly runtimeHandlerOf: (pod: Pod) => Promise<string>;
  readonly podEvent: (pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string) => void;
}

/** What is remembered of a pod between syncs. Owned by its worker. */
export interface PodState {
  readonly uid: string;
  pod: Pod;
  readonly startFailures: Map<string, StartFailure>;
  /** How often in a row a container could not be started. */
  readonly startTries: Map<string, number>;
  /** Termination messages by container ID; read once. */
  readonly messages: Map<string, string>;
  verdict: Verdict | undefined;
  readonly resize: ResizeState;
  readonly restart: RestartState;
  /** Some volume is not there yet. */
  waitsForVolumes: boolean;
  volumeTries: number;
  sandboxTries: number;
}

export interface SyncResult {
  /** The pod has nothing left to run and must be stopped. */
  readonly terminal: boolean;
  /** When to look again at the latest, in milliseconds; undefined for the regular interval. */
  readonly againInMs: number | undefined;
}

/** Volumes that wait for an object are woken by it; this is for what nobody tells. */
const volumeRetry: BackoffOptions = { initialMs: 500, factor: 2, maxMs: 122_000 };
/** What failed for reasons that may pass at once, or never: objects that appear wake the pod by themselves. */
const startRetry: BackoffOptions = { initialMs: 250, factor: 2, maxMs: 10_000 };

export class PodSyncer {
  readonly #deps: PodSyncerDeps;

  constructor(deps: PodSyncerDeps) {
    this.#deps = deps;
  }

  /** Makes the runtime run what the spec says, as far as possible now. */
  async sync(state: PodState, signal: AbortSignal): Promise<SyncResult> {
    const runtime = await this.#deps.cache.refresh(state.uid);
    this.#deps.probes.ensure(state.pod, runtime);
    state.restart.note(state.pod, runtime);
    const status = await this.#report(state, 'active');
    if (isTerminalPhase(status.phase)) return { terminal: true, againInMs: undefined };
    const deadlineMs = this.#deadlineMs(state, status);
    if (deadlineMs !== undefined && deadlineMs <= 0) {
      const message = 'Pod was active on the node longer than the specified deadline';
      state.verdict = { reason: 'DeadlineExceeded', message, rejected: false };
      this.#deps.podEvent(state.pod, 'Normal', 'DeadlineExceeded', message);
      await this.#report(state, 'active');
      return { terminal: true, againInMs: undefined };
    }
    const waitMs = await this.#mountVolumes(state);
    if (waitMs !== undefined) return { terminal: false, againInMs: earliest(waitMs, deadlineMs) };
    await restartWholePod(this.#deps, state.pod, state.restart, () => this.#report(state, 'active'));
    const resizeMs = this.#deps.resizer.allocate(state.pod, state.resize, this.#deps.cache.get(state.uid));
    // Restarting for it may take a while.
    if (state.resize.underWay) await this.#report(state, 'active');
    const retryMs = earliest(resizeMs, await this.#act(state, signal));
    // What is on its way out is told by `terminate`: a container that was stopped here does not come back.
    if (signal.aborted) return { terminal: false, againInMs: undefined };
    const after = await this.#report(state, 'active');
    this.#deps.probes.ensure(state.pod, this.#deps.cache.get(state.uid));
    return { terminal: isTerminalPhase(after.phase), againInMs: earliest(retryMs, deadlineMs) };
  }

  /** Stops everything within the grace period. */
  async terminate(state: PodState, graceMs: number): Promise<void> {
    const { cache, probes, killer, runtime } = this.#deps;
    await cache.refresh(state.uid);
    probes.stopLivenessAndStartup(state.uid);
    const { containers } = cache.get(state.uid);
    const ended = containers.length > 0 && containers.every((container) => container.state === 'exited');
    if (!ended) await this.#report(state, 'active');
    // Whoever ended is not ready any more, however long the others take. That all have ended shows together with the phase that follows.
    await killer.killAll(state.pod, graceMs, () => this.#report(state, 'active'));
    probes.removePod(state.uid);
    for (const sandbox of cache.get(state.uid).sandboxes) {
      if (sandbox.state === 'ready') await runtime.stopPodSandbox(sandbox.id);
      await cache.refreshSandbox(state.uid, sandbox.id);
    }
  }

  /** Shows what probes found while the pod is being stopped. */
  showProbes(state: PodState): void {
    this.#show(state, 'active');
  }

  /** After everything has stopped: the last status, volumes and directories gone, then the API may forget the pod. */
  async finish(state: PodState): Promise<void> {
    await this.#report(state, 'ended');
    await this.#deps.volumes.remove(state.uid);
    this.#deps.statuses.finish(state.pod);
  }

  /**
   * Computes the present status and hands it to the status manager. `ended`: nothing is left of it in the runtime, so that the API may
   * see it end.
   */
  async #report(state: PodState, progress: 'active' | 'ended'): Promise<PodStatus> {
    await this.#readMessages(state, this.#deps.cache.get(state.uid));
    return this.#show(state, progress);
  }

  #show(state: PodState, progress: 'active' | 'ended'): PodStatus {
    const { cache, statuses, probes, hostIps, clock, runtimeName, recursiveReadOnly } = this.#deps;
    const runtime = cache.get(state.uid);
    const status = computePodStatus({
      pod: state.resize.given(state.pod),
      previous: statuses.get(state.uid) ?? state.pod.status,
      runtime,
      runtimeName,
      podIsTerminal: progress !== 'active',
      probes,
      startFailure: (container) => state.startFailures.get(container),
      messages: state.messages,
      hostIps: hostIps(),
      nowMs: clock.now(),
      verdict: state.verdict,
      resize: state.resize.conditions(),
      applied: state.resize.applied,
      appliedPod: state.resize.appliedPod,
      restarting: state.restart.names,
      recursiveReadOnly: recursiveReadOnly(state.pod),
    });
    return statuses.set(state.pod, status, progress !== 'ended' && state.verdict?.rejected !== true);
  }

  async #readMessages(state: PodState, runtime: RuntimePod): Promise<void> {
    for (const container of runtime.containers) {
      if (container.state !== 'exited' || state.messages.has(container.id)) continue;
      state.messages.set(container.id, await terminationMessage(container, this.#deps.directories.logFile(state.pod, container.logPath)));
    }
  }

  /** Milliseconds left of `activeDeadlineSeconds`. */
  #deadlineMs(state: PodState, status: PodStatus): number | undefined {
    const seconds = state.pod.spec.activeDeadlineSeconds;
    if (seconds === undefined || status.startTime === undefined) return undefined;
    return Date.parse(status.startTime) + seconds * 1000 - this.#deps.clock.now();
  }

  /** Returns how long to wait when volumes are not there yet; events say which and why. */
  async #mountVolumes(state: PodState): Promise<number | undefined> {
    const { volumes, podEvent } = this.#deps;
    try {
      await volumes.mount(state.pod);
      state.waitsForVolumes = false;
      state.volumeTries = 0;
      return undefined;
    } catch (error) {
      if (!(error instanceof VolumesNotReady)) throw error;
      for (const text of error.events()) podEvent(state.pod, 'Warning', 'FailedMount', text);
      state.waitsForVolumes = true;
      return backoffDelayMs(volumeRetry, state.volumeTries++);
    }
  }

  /** Does what is to be done; returns when to try again what could not be. */
  async #act(state: PodState, signal: AbortSignal): Promise<number | undefined> {
    const { cache, probes, killer, podEvent } = this.#deps;
    const { uid } = state;
    const pod = state.resize.given(state.pod);
    const runtime = cache.get(uid);
    const actions = computeActions({
      pod,
      runtime,
      failedProbe: (container, id) => probes.failed(uid, container, id),
      hasStarted: (container, id) => probes.started(uid, container, id),
      restartsForResize: (container, id) => this.#deps.resizer.needsRestart(state.resize, container, id),
    });
    if (actions.killPod) {
      if (actions.createSandbox) podEvent(pod, 'Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.');
      await killer.killAll(pod, (pod.spec.terminationGracePeriodSeconds ?? 30) * 1000);
      for (const sandbox of cache.get(uid).sandboxes) {
        await this.#deps.runtime.stopPodSandbox(sandbox.id);
        await cache.refreshSandbox(uid, sandbox.id);
      }
      if (!actions.createSandbox) return undefined;
    }
    await Promise.all(
      actions.kill.map(({ container, spec, message }) =>
        killer.kill(pod, container, message, containerGraceMs(pod, spec, probes.failed(uid, spec, container.id))),
      ),
    );
    const resizeMs = await this.#deps.resizer.apply(pod, state.resize, cache.get(uid));
    if (actions.start.length === 0) return resizeMs;
    let sandboxId = runtime.sandboxes[0]?.id;
    if (actions.createSandbox) {
      sandboxId = await this.#createSandbox(state, actions.sandboxAttempt);
      if (sandboxId === undefined) return backoffDelayMs(startRetry, state.sandboxTries++);
      state.sandboxTries = 0;
    }
    return sandboxId === undefined ? resizeMs : earliest(resizeMs, await this.#startAll(state, sandboxId, actions.start, signal));
  }

  async #startAll(
    state: PodState,
    sandboxId: string,
    start: readonly { readonly kind: 'init' | 'regular' | 'ephemeral'; readonly container: Container }[],
    signal: AbortSignal,
  ): Promise<number | undefined> {
    const { uid } = state;
    const pod = state.resize.given(state.pod);
    const hostIps = this.#deps.hostIps();
    const podIps = podIpsOf(pod, this.#deps.cache.get(uid), hostIps);
    let retryMs: number | undefined;
    for (const { kind, container } of start) {
      if (signal.aborted) return undefined;
      try {
        await this.#deps.starter.start({
          pod,
          kind,
          container,
          sandboxId,
          identity: podHostname(pod, this.#deps.nodeName, this.#deps.dns.clusterDomain),
          podIps,
          hostIps,
          reach: this.#deps.reachOf(pod),
          objects: this.#deps.objectsFor(pod),
          signal,
        });
        state.startFailures.delete(container.name);
        state.startTries.delete(container.name);
        const id = latestContainer(this.#deps.cache.get(uid), container.name)?.id;
        if (id !== undefined) state.resize.applied.set(id, container.resources ?? {});
        // What follows a sidecar can start as soon as that runs; nothing else would tell.
        if (kind === 'init') retryMs = 0;
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        state.startFailures.set(container.name, { reason: error.reason, message: error.message });
        const tries = state.startTries.get(container.name) ?? 0;
        state.startTries.set(container.name, tries + 1);
        retryMs = earliest(retryMs, error.retryInMs ?? backoffDelayMs(startRetry, tries));
        // What comes after an init container that did not start has to wait for it.
        if (kind === 'init') break;
      } finally {
        if (latestContainer(this.#deps.cache.get(uid), container.name) !== undefined) state.restart.names.delete(container.name);
      }
    }
    return retryMs;
  }

  async #createSandbox(state: PodState, attempt: number): Promise<string | undefined> {
    const { runtime, cache, podEvent, logger } = this.#deps;
    try {
      const config = await this.#sandboxConfig(state.pod, attempt);
      const id = await this.#deps.starting.run(() => runtime.runPodSandbox(config));
      await cache.refreshSandbox(state.uid, id);
      return id;
    } catch (error) {
      logger.warn('a pod sandbox could not be created', {
        pod: state.pod.metadata.name,
        namespace: state.pod.metadata.namespace,
        err: error,
      });
      podEvent(state.pod, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${messageOf(error)}`);
      return undefined;
    }
  }

  async #sandboxConfig(pod: Pod, attempt: number): Promise<PodSandboxConfig> {
    const { directories, nodeName, dns } = this.#deps;
    const { spec, metadata } = pod;
    if (spec.hostUsers === false) throw new Error("can't set `spec.hostUsers: false`, runtime does not support user namespaces");
    const identity = podHostname(pod, nodeName, dns.clusterDomain);
    const tooLong = hostnameProblem(identity);
    if (tooLong !== undefined) throw new Error(tooLong);
    const logDirectory = directories.logs(pod);
    await mkdir(logDirectory, { recursive: true, mode: 0o755 });
    const sysctls: Record<string, string> = {};
    for (const { name, value } of spec.securityContext?.sysctls ?? []) sysctls[name] = value;
    const qos = qosClassOf(pod);
    return {
      namespace: metadata.namespace,
      name: metadata.name,
      uid: metadata.uid,
      attempt,
      hostname: identity.hostname,
      logDirectory,
      labels: podLabels(pod),
      annotations: metadata.annotations ?? {},
      hostNetwork: spec.hostNetwork === true,
      hostPid: spec.hostPID === true,
      hostIpc: spec.hostIPC === true,
      shareProcessNamespace: spec.shareProcessNamespace === true,
      dns: podDns(pod, dns),
      portMappings: [...(spec.initContainers ?? []), ...spec.containers].flatMap((container) =>
        (container.ports ?? []).flatMap((port) =>
          port.hostPort === undefined || port.hostPort === 0
            ? []
            : [{ protocol: port.protocol ?? 'TCP', containerPort: port.containerPort, hostPort: port.hostPort, hostIp: port.hostIP ?? '' }],
        ),
      ),
      sysctls,
      runtimeHandler: await this.#deps.runtimeHandlerOf(pod),
      cgroupParent: `/kubepods/${qos === 'Guaranteed' ? '' : `${qos.toLowerCase()}/`}pod${metadata.uid}`,
    };
  }
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b);
}
