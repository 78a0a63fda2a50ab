/**
 * Counts the pods of disruption budgets: how many are healthy, how many have to be, and how many may go. Identity:
 * `disruption-controller`. Pods are watched once there is a budget.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Pod, V1PodDisruptionBudget, V1PodDisruptionBudgetStatus } from '@coffer/api/generated/types';
import { disruptionCondition } from '@coffer/api/kinds/policy/disruption-condition';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { Informer } from '@coffer/client/informer/informer';
import { keyOf, nameOf, namespaceOf } from '@coffer/client/rest/api-object';
import { apiTime, parseApiTime } from '@coffer/client/rest/api-time';
import { POD_DISRUPTION_BUDGETS, PODS } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import { selectsPod } from '../common/disruption-budgets.ts';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isPodReady } from '../common/pods.ts';
import { type Expectation, expectedPods } from './expected-pods.ts';
import { unmanagedMessage } from './unmanaged-message.ts';

const WORKERS = 2;
/** An evicted pod that is still there after this long was not evicted. */
const EVICTION_TIMEOUT_MS = 120_000;
const BY_NAMESPACE = 'namespace';

export async function runDisruptionController(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  const budgets = deps.informers.informer(POD_DISRUPTION_BUDGETS);
  await deps.informers.whenSynced(signal).catch(() => undefined);
  await new Promise<void>((resolve) => {
    budgets.addHandler({ onAdd: () => resolve() });
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  if (signal.aborted) return;
  const pods = deps.informers.informer(PODS);
  pods.addIndex(BY_NAMESPACE, (pod) => [namespaceOf(pod)]);
  await pods.whenSynced(signal);
  const queue = new WorkQueue(deps.clock);
  const selecting = (pod: V1Pod) => {
    const found = budgets.list().filter((budget) => selectsPod(budget, pod));
    for (const budget of found) queue.add(keyOf(budget));
    const [first, second] = found;
    if (first !== undefined && second !== undefined)
      deps.events.record(pod, 'Warning', 'MultiplePodDisruptionBudgets', several(pod, first));
  };
  budgets.addHandler({ onAdd: (budget) => queue.add(keyOf(budget)), onUpdate: (_old, budget) => queue.add(keyOf(budget)) });
  pods.addHandler({
    onAdd: selecting,
    onUpdate: (old, pod) => {
      if (!equalJson(old.metadata?.labels, pod.metadata?.labels)) selecting(old);
      selecting(pod);
    },
    onDelete: selecting,
  });
  await queue.run(WORKERS, (key) => sync(key, { deps, budgets, pods, queue, signal }), deps.logger, signal);
}

interface Running {
  readonly deps: LoopDeps;
  readonly budgets: Informer<V1PodDisruptionBudget>;
  readonly pods: Informer<V1Pod>;
  readonly queue: WorkQueue;
  readonly signal: AbortSignal;
}

async function sync(key: string, running: Running): Promise<void> {
  const { deps, budgets, signal } = running;
  const budget = budgets.get(key);
  if (budget === undefined) return;
  try {
    await write(deps, budget, await statusOf(budget, key, running), signal);
  } catch (error) {
    // Somebody else was faster: the newer budget is looked at again. Anything else closes the budget until a pod or it changes.
    if (signal.aborted || isReason(error, 'Conflict') || isReason(error, 'NotFound')) return;
    const message = error instanceof Error ? error.message : String(error);
    const closed = { ...numbersOf(budget.status), disruptionsAllowed: 0 };
    const conditions = disruptionCondition({ ...closed, ...conditionsOf(budget) }, apiTime(deps.clock.now()), message);
    await write(deps, budget, { ...closed, conditions }, signal);
  }
}

async function statusOf(budget: V1PodDisruptionBudget, key: string, running: Running): Promise<V1PodDisruptionBudgetStatus> {
  const { deps, pods, queue } = running;
  const nowMs = deps.clock.now();
  const own = pods.byIndex(BY_NAMESPACE, namespaceOf(budget)).filter((pod) => selectsPod(budget, pod));
  if (own.length === 0) deps.events.record(budget, 'Normal', 'NoPods', 'No matching pods found');
  const { expected, desired } = await expectation(budget, own, running);
  const disrupted = stillDisrupted(budget, own, nowMs, (pod) => {
    const namespace = namespaceOf(budget);
    // The namespace twice, as upstream.
    const message = `Pod was expected by PDB ${namespace}/${namespace} to be deleted but it wasn't`;
    deps.events.record(pod, 'Warning', 'NotDeleted', message);
  });
  const nextMs = Math.min(...Object.values(disrupted).map((time) => (parseApiTime(time) ?? 0) + EVICTION_TIMEOUT_MS));
  if (Number.isFinite(nextMs)) queue.addAfter(key, Math.max(nextMs - nowMs, 0) + 1000);
  const healthy = own.filter(
    (pod) => pod.metadata?.deletionTimestamp === undefined && !Object.hasOwn(disrupted, nameOf(pod)) && isPodReady(pod),
  ).length;
  const numbers = {
    observedGeneration: budget.metadata?.generation ?? 0,
    ...(Object.keys(disrupted).length === 0 ? {} : { disruptedPods: disrupted }),
    disruptionsAllowed: expected <= 0 ? 0 : Math.max(healthy - desired, 0),
    currentHealthy: healthy,
    desiredHealthy: desired,
    expectedPods: expected,
  };
  return { ...numbers, conditions: disruptionCondition({ ...numbers, ...conditionsOf(budget) }, apiTime(nowMs)) };
}

/** What the budget is about, with events about what stands in the way of knowing it. */
async function expectation(budget: V1PodDisruptionBudget, own: readonly V1Pod[], { deps, signal }: Running): Promise<Expectation> {
  const warn = (reason: string, message: string) => deps.events.record(budget, 'Warning', reason, message);
  try {
    const counted = await expectedPods(deps, budget, own, signal);
    if (counted.unmanaged > 0) warn('UnmanagedPods', unmanagedMessage(budget));
    return counted;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (!signal.aborted) warn('CalculateExpectedPodCountFailed', `Failed to calculate the number of expected pods: ${message}`);
    throw error;
  }
}

/** Upstream's words: here every budget of the pod is counted anew. */
function several(pod: V1Pod, budget: V1PodDisruptionBudget): string {
  const where = `${JSON.stringify(namespaceOf(pod))}/${JSON.stringify(nameOf(pod))}`;
  return `Pod ${where} matches multiple PodDisruptionBudgets.  Chose ${JSON.stringify(nameOf(budget))} arbitrarily.`;
}

/** What admission of evictions counted out and the watch of pods has not shown yet. */
function stillDisrupted(
  budget: V1PodDisruptionBudget,
  own: readonly V1Pod[],
  nowMs: number,
  stayed: (pod: V1Pod) => void,
): Record<string, string> {
  const times = budget.status?.disruptedPods ?? {};
  const entries = own.flatMap((pod): [string, string][] => {
    const time = Object.hasOwn(times, nameOf(pod)) ? times[nameOf(pod)] : undefined;
    if (time === undefined || pod.metadata?.deletionTimestamp !== undefined) return [];
    if ((parseApiTime(time) ?? 0) + EVICTION_TIMEOUT_MS >= nowMs) return [[nameOf(pod), time]];
    stayed(pod);
    return [];
  });
  return Object.fromEntries(entries);
}

function numbersOf(status: V1PodDisruptionBudgetStatus | undefined): V1PodDisruptionBudgetStatus {
  const { currentHealthy = 0, desiredHealthy = 0, expectedPods: expected = 0 } = status ?? {};
  return { ...status, currentHealthy, desiredHealthy, expectedPods: expected };
}

function conditionsOf({ status }: V1PodDisruptionBudget): Pick<V1PodDisruptionBudgetStatus, 'conditions'> {
  return status?.conditions === undefined ? {} : { conditions: status.conditions };
}

async function write(
  deps: LoopDeps,
  budget: V1PodDisruptionBudget,
  status: V1PodDisruptionBudgetStatus,
  signal: AbortSignal,
): Promise<void> {
  if (equalJson(budget.status, status)) return;
  await deps.api.resource(POD_DISRUPTION_BUDGETS).updateStatus({ ...budget, status }, { namespace: namespaceOf(budget), signal });
}
