/**
 * Sends pod statuses to the API. Promises: per pod one request at a time and only the latest status, so intermediate states may be
 * skipped but never reordered; only what changed is sent; the API sees a pod end only when nothing of it runs any more; a pod that is
 * being deleted is removed from the API after its last status arrived there, and only with its own UID. Failures are retried until the
 * pod is forgotten. What others write into these fields is put right after some seconds.
 */
import { isReason, StatusError } from '@coffer/api/errors/status-error';
import { equalJson } from '@coffer/api/meta/safe-object';
import { type BackoffOptions, backoffDelayMs } from '@coffer/base/backoff';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { type KubeletApi, resources } from '../deps.ts';
import { revisionOf } from '../objects/object-manager.ts';
import { isTerminalPhase, type Pod, type PodCondition, type PodStatus, podFromObject } from '../types.ts';
import { isKubelets, kubeletConditions } from './pod-conditions.ts';
import { rfc3339 } from './time-format.ts';

export interface StatusManagerDeps {
  readonly api: KubeletApi;
  readonly clock: Clock;
  readonly logger: Logger;
  /** UID that the pod has in the API; undefined while it is not there (a static pod whose mirror does not exist yet). */
  readonly apiUidOf: (pod: Pod) => string | undefined;
}

interface Entry {
  pod: Pod;
  status: PodStatus;
  /** What the API is known to have. */
  known: PodStatus;
  knownRevision: number;
  /** Something of the pod may still run: a phase that says it has ended has to wait. */
  mayRun: boolean;
  deleteWhenSent: boolean;
  dirty: boolean;
  sending: Promise<void> | undefined;
  /** Set while a status that somebody else changed waits to be put right. */
  cancelRepair: (() => void) | undefined;
  forgotten: boolean;
}

const repairMs = 10_000;
const retry: BackoffOptions = { initialMs: 200, factor: 2, maxMs: 10_000, jitter: 0.2 };

export class StatusManager {
  readonly #deps: StatusManagerDeps;
  readonly #entries = new Map<string, Entry>();
  readonly #stopped = new AbortController();

  constructor(deps: StatusManagerDeps) {
    this.#deps = deps;
  }

  /** The last status that was set; undefined before the first. */
  get(uid: string): PodStatus | undefined {
    return this.#entries.get(uid)?.status;
  }

  /**
   * Takes a computed status, completes its transition times, and sends what changed. Returns the completed status. While something of
   * the pod may run, the API keeps the phase it has instead of one that says that the pod has ended.
   */
  set(pod: Pod, status: PodStatus, mayRun: boolean): PodStatus {
    const entry = this.#entry(pod);
    const completed = withTransitionTimes(status, entry.status, rfc3339(this.#deps.clock.now()));
    entry.status = completed;
    entry.mayRun = mayRun;
    if (!equalJson(toSend(entry), entry.known)) this.#send(entry);
    return completed;
  }

  /** The pod has stopped for good: once its last status is in the API and it is being deleted, delete it there. */
  finish(pod: Pod): void {
    const entry = this.#entry(pod);
    if (pod.metadata.deletionTimestamp === undefined) return;
    entry.deleteWhenSent = true;
    this.#send(entry);
  }

  /** The API shows this state of the pod; newer than what was known or not. */
  observe(pod: Pod): void {
    const entry = this.#entries.get(pod.metadata.uid);
    if (entry === undefined) return;
    entry.pod = pod;
    learn(entry, pod);
    this.#repairLater(entry);
  }

  /** The API shows a mirror of the static pod with that UID: its status goes there from now on. */
  observeMirror(uid: string, mirror: Pod): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    learn(entry, mirror);
    if (!equalJson(toSend(entry), entry.known)) this.#send(entry);
  }

  forget(uid: string): void {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return;
    entry.forgotten = true;
    entry.cancelRepair?.();
    this.#entries.delete(uid);
  }

  /** Resolves when nothing waits to be sent. */
  async whenIdle(): Promise<void> {
    for (;;) {
      const sending = [...this.#entries.values()].flatMap((entry) => (entry.sending === undefined ? [] : [entry.sending]));
      if (sending.length === 0) return;
      await Promise.all(sending);
    }
  }

  stop(): void {
    for (const entry of this.#entries.values()) entry.cancelRepair?.();
    this.#stopped.abort();
  }

  #entry(pod: Pod): Entry {
    const uid = pod.metadata.uid;
    let entry = this.#entries.get(uid);
    if (entry === undefined) {
      entry = {
        pod,
        status: pod.status,
        known: pod.status,
        knownRevision: revisionOf(pod.metadata.resourceVersion),
        mayRun: true,
        deleteWhenSent: false,
        dirty: false,
        sending: undefined,
        cancelRepair: undefined,
        forgotten: false,
      };
      this.#entries.set(uid, entry);
    } else if (revisionOf(pod.metadata.resourceVersion) >= revisionOf(entry.pod.metadata.resourceVersion)) entry.pod = pod;
    return entry;
  }

  /** What somebody else wrote into this kubelet's fields stays for a while, as upstream, and is overwritten then. */
  #repairLater(entry: Entry): void {
    if (entry.sending !== undefined || entry.cancelRepair !== undefined || !differs(entry)) return;
    entry.cancelRepair = this.#deps.clock.setTimer(repairMs, () => {
      entry.cancelRepair = undefined;
      if (differs(entry)) this.#send(entry);
    });
  }

  #send(entry: Entry): void {
    entry.dirty = true;
    entry.sending ??= this.#run(entry);
  }

  async #run(entry: Entry): Promise<void> {
    // Statuses of one moment are one request.
    await Promise.resolve();
    try {
      for (let failures = 0; entry.dirty && !entry.forgotten && !this.#stopped.signal.aborted; ) {
        entry.dirty = false;
        try {
          await this.#sendOnce(entry);
          failures = 0;
        } catch (error) {
          // Gone: nothing is left to update.
          if (isReason(error, 'NotFound')) return;
          if (error instanceof StatusError && error.code >= 400 && error.code < 500 && error.code !== 409 && error.code !== 429) {
            this.#deps.logger.error('the API refuses a pod status', {
              pod: entry.pod.metadata.name,
              namespace: entry.pod.metadata.namespace,
              err: error,
            });
          }
          entry.dirty = true;
          await this.#deps.clock.sleep(backoffDelayMs(retry, failures++), this.#stopped.signal).catch(() => {});
        }
      }
    } finally {
      // In the same turn as the last look at `dirty`: whoever sets it later starts the next run.
      entry.sending = undefined;
    }
  }

  async #sendOnce(entry: Entry): Promise<void> {
    const { pod, status } = entry;
    const { namespace, name } = pod.metadata;
    const uid = this.#deps.apiUidOf(pod);
    if (uid === undefined) return;
    const patch = statusPatch(entry.known, toSend(entry));
    if (patch !== undefined) {
      const answer = await this.#deps.api.patch(
        { resource: resources.pods, namespace, name, subresource: 'status' },
        'application/strategic-merge-patch+json',
        { metadata: { uid }, status: patch },
        this.#stopped.signal,
      );
      if (answer.metadata.uid === uid) learn(entry, podFromObject(answer));
    }
    if (!entry.deleteWhenSent || entry.status !== status) return;
    await this.#deps.api.delete({ resource: resources.pods, namespace, name }, { gracePeriodSeconds: 0, uid }, this.#stopped.signal);
  }
}

/** The status as the API may have it now. */
function toSend({ status, known, mayRun }: Entry): PodStatus {
  if (!mayRun || !isTerminalPhase(status.phase) || isTerminalPhase(known.phase)) return status;
  const { phase: _phase, reason: _reason, message: _message, ...rest } = status;
  const { phase, reason, message } = known;
  return {
    ...rest,
    ...(phase === undefined ? {} : { phase }),
    ...(reason === undefined ? {} : { reason }),
    ...(message === undefined ? {} : { message }),
  };
}

function differs(entry: Entry): boolean {
  return statusPatch(entry.known, toSend(entry)) !== undefined;
}

function learn(entry: Entry, pod: Pod): void {
  const revision = revisionOf(pod.metadata.resourceVersion);
  if (revision < entry.knownRevision) return;
  entry.knownRevision = revision;
  entry.known = pod.status;
}

/** Keeps the time of a condition whose status is as before, and sets it for one that changed. */
function withTransitionTimes(status: PodStatus, before: PodStatus, now: string): PodStatus {
  const conditions = (status.conditions ?? []).map((condition) => {
    if (!isKubelets(condition)) return condition;
    const old = before.conditions?.find((c) => c.type === condition.type);
    const lastTransitionTime = old?.status === condition.status && old.lastTransitionTime !== undefined ? old.lastTransitionTime : now;
    return { ...condition, lastTransitionTime };
  });
  return { ...status, conditions };
}

/** A strategic merge patch from one status to the other; undefined when they are alike. Lists but conditions are sent whole. */
export function statusPatch(from: PodStatus, to: PodStatus): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {};
  const before: Readonly<Record<string, unknown>> = { ...from };
  const after: Readonly<Record<string, unknown>> = { ...to };
  for (const field of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (field === 'conditions' || !ownedFields.has(field) || equalJson(before[field], after[field])) continue;
    const value = after[field];
    if (value === undefined) patch[field] = null;
    else if (Array.isArray(value) && mergedByKey.has(field)) patch[field] = [...value, { $patch: 'replace' }];
    else patch[field] = value;
  }
  const conditions = conditionsPatch(from.conditions ?? [], to.conditions ?? []);
  if (conditions.length > 0) {
    patch['$setElementOrder/conditions'] = (to.conditions ?? []).map(({ type }) => ({ type }));
    patch.conditions = conditions;
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

const mergedByKey: ReadonlySet<string> = new Set(['podIPs', 'hostIPs']);

/** Fields that this kubelet computes; others (nominatedNodeName, resource claims) belong to somebody else. */
const ownedFields: ReadonlySet<string> = new Set([
  'observedGeneration',
  'phase',
  'reason',
  'message',
  'hostIP',
  'hostIPs',
  'podIP',
  'podIPs',
  'startTime',
  'initContainerStatuses',
  'containerStatuses',
  'ephemeralContainerStatuses',
  'qosClass',
  'allocatedResources',
  'resources',
]);

function conditionsPatch(from: readonly PodCondition[], to: readonly PodCondition[]): unknown[] {
  const patches: unknown[] = [];
  for (const condition of to) {
    if (!isKubelets(condition)) continue;
    const old = from.find((c) => c.type === condition.type);
    const changed: Record<string, unknown> = {};
    const before: Readonly<Record<string, unknown>> = { ...old };
    const after: Readonly<Record<string, unknown>> = { ...condition };
    for (const field of new Set([...Object.keys(before), ...Object.keys(after)])) {
      if (field === 'lastProbeTime' || equalJson(before[field], after[field])) continue;
      changed[field] = after[field] ?? null;
    }
    if (Object.keys(changed).length > 0) patches.push({ ...changed, type: condition.type });
  }
  for (const { type } of from) {
    if (kubeletConditions.has(type) && !to.some((condition) => condition.type === type)) patches.push({ $patch: 'delete', type });
  }
  return patches;
}
