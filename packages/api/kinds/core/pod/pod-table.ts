/** Pods as `kubectl get pods` shows them. The status column condenses phase, conditions and container states into one word. */

import type { V1Container, V1ContainerStatus, V1Pod } from '../../../generated/types.ts';
import type { KubeObject } from '../../../meta/object.ts';
import { viewAs } from '../../define-kind.ts';
import { timeSince } from '../../human-duration.ts';
import type { TableDefinition } from '../../kind.ts';
import { isPodTerminal, isSidecar } from '../../pod-state.ts';
import { ageColumn, column, fieldColumn, nameColumn } from '../../table-columns.ts';

const podSpec = 'io.k8s.api.core.v1.PodSpec';
const podStatus = 'io.k8s.api.core.v1.PodStatus';

export const podTable: TableDefinition = {
  columns: [
    nameColumn,
    column('Ready', 'The aggregate readiness state of this pod for accepting traffic.'),
    column('Status', 'The aggregate status of the containers in this pod.'),
    column(
      'Restarts',
      'The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.',
    ),
    ageColumn,
    fieldColumn('IP', podStatus, 'podIP', 'string', 1),
    fieldColumn('Node', podSpec, 'nodeName', 'string', 1),
    fieldColumn('Nominated Node', podStatus, 'nominatedNodeName', 'string', 1),
    column(
      'Readiness Gates',
      'If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its containers are ready AND all conditions specified in the readiness gates have status equal to "True" More info: https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates',
      'string',
      1,
    ),
  ],
  cells,
  conditions,
};

function cells(object: KubeObject, now: number): unknown[] {
  const pod = viewAs<V1Pod>(object);
  const summary = summarize(pod);
  const { restarts, lastRestart } = summary;
  const restartText = restarts > 0 && lastRestart !== '' ? `${restarts} (${timeSince(lastRestart, now)} ago)` : `${restarts}`;
  return [
    pod.metadata?.name ?? '',
    `${summary.ready}/${summary.total}`,
    summary.reason,
    restartText,
    timeSince(pod.metadata?.creationTimestamp, now),
    pod.status?.podIPs?.[0]?.ip || '<none>',
    pod.spec?.nodeName || '<none>',
    pod.status?.nominatedNodeName || '<none>',
    readinessGates(pod),
  ];
}

function conditions(object: KubeObject): readonly Readonly<Record<string, unknown>>[] {
  const phase = viewAs<V1Pod>(object).status?.phase;
  if (phase !== 'Succeeded' && phase !== 'Failed') return [];
  const message = phase === 'Succeeded' ? 'The pod has completed successfully.' : 'The pod failed.';
  return [{ type: 'Completed', status: 'True', reason: phase, message }];
}

/** What the status column says: `Running`, `Init:0/1`, `CrashLoopBackOff`, `Terminating`, … */
export function podStatusReason(pod: V1Pod): string {
  return summarize(pod).reason;
}

interface Summary {
  readonly ready: number;
  readonly total: number;
  readonly restarts: number;
  /** When a container was last restarted; empty when unknown. */
  readonly lastRestart: string;
  readonly reason: string;
}

function summarize(pod: V1Pod): Summary {
  const { spec, status } = pod;
  const initContainers = new Map((spec?.initContainers ?? []).map((container) => [container.name, container]));
  const sidecars = [...initContainers.values()].filter(isSidecar).length;
  const total = (spec?.containers ?? []).length + sidecars;
  const init = summarizeInit(status?.initContainerStatuses ?? [], initContainers);
  let reason = init.reason ?? initialReason(pod);
  let { ready, restarts, lastRestart } = init;
  if (init.reason === undefined || hasCondition(pod, 'Initialized')) {
    const main = summarizeMain(status?.containerStatuses ?? []);
    ready += main.ready;
    restarts = init.sidecarRestarts + main.restarts;
    lastRestart = later(init.sidecarLastRestart, main.lastRestart);
    reason = main.reason ?? reason;
    if (reason === 'Completed' && main.running) reason = hasCondition(pod, 'Ready') ? 'Running' : 'NotReady';
  }
  if (pod.metadata?.deletionTimestamp != null) {
    if (status?.reason === 'NodeLost') reason = 'Unknown';
    else if (!isPodTerminal(pod)) reason = 'Terminating';
  }
  return { ready, total, restarts, lastRestart, reason };
}

function initialReason(pod: V1Pod): string {
  const gated = (pod.status?.conditions ?? []).some((c) => c.type === 'PodScheduled' && c.reason === 'SchedulingGated');
  if (gated) return 'SchedulingGated';
  return pod.status?.reason || pod.status?.phase || '';
}

interface InitSummary {
  readonly ready: number;
  readonly restarts: number;
  readonly lastRestart: string;
  readonly sidecarRestarts: number;
  readonly sidecarLastRestart: string;
  /** Set while initialisation is going on or has failed. */
  readonly reason: string | undefined;
}

function summarizeInit(statuses: readonly V1ContainerStatus[], containers: ReadonlyMap<string, V1Container>): InitSummary {
  let ready = 0;
  let restarts = 0;
  let lastRestart = '';
  let sidecarRestarts = 0;
  let sidecarLastRestart = '';
  let reason: string | undefined;
  for (const [index, status] of statuses.entries()) {
    const container = containers.get(status.name);
    const sidecar = container !== undefined && isSidecar(container);
    const ended = status.lastState?.terminated?.finishedAt ?? '';
    restarts += status.restartCount ?? 0;
    lastRestart = later(lastRestart, ended);
    if (sidecar) {
      sidecarRestarts += status.restartCount ?? 0;
      sidecarLastRestart = later(sidecarLastRestart, ended);
    }
    if (status.state?.terminated?.exitCode === 0) continue;
    if (sidecar && status.started === true) {
      if (status.ready) ready++;
      continue;
    }
    reason = initReason(status, index, containers.size);
    break;
  }
  return { ready, restarts, lastRestart, sidecarRestarts, sidecarLastRestart, reason };
}

function initReason(status: V1ContainerStatus, index: number, count: number): string {
  const { terminated, waiting } = status.state ?? {};
  if (terminated != null) return `Init:${terminated.reason || exitText(terminated)}`;
  const reason = waiting?.reason ?? '';
  return reason !== '' && reason !== 'PodInitializing' ? `Init:${reason}` : `Init:${index}/${count}`;
}

function summarizeMain(statuses: readonly V1ContainerStatus[]) {
  let ready = 0;
  let restarts = 0;
  let lastRestart = '';
  let running = false;
  let reason: string | undefined;
  // From the last to the first: the first container's state wins.
  for (const status of [...statuses].reverse()) {
    const { waiting, terminated, running: active } = status.state ?? {};
    restarts += status.restartCount ?? 0;
    lastRestart = later(lastRestart, status.lastState?.terminated?.finishedAt ?? '');
    if ((waiting?.reason ?? '') !== '') reason = waiting?.reason;
    else if (terminated != null) reason = terminated.reason || exitText(terminated);
    else if (status.ready && active != null) {
      running = true;
      ready++;
    }
  }
  return { ready, restarts, lastRestart, running, reason };
}

function exitText(terminated: { readonly signal?: number; readonly exitCode: number }): string {
  return (terminated.signal ?? 0) !== 0 ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`;
}

function readinessGates(pod: V1Pod): string {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length === 0) return '<none>';
  return `${gates.filter((gate) => hasCondition(pod, gate.conditionType)).length}/${gates.length}`;
}

function hasCondition(pod: V1Pod, type: string): boolean {
  return (pod.status?.conditions ?? []).some((condition) => condition.type === type && condition.status === 'True');
}

/** Timestamps have one format, so that they compare as texts. */
function later(a: string, b: string): string {
  return a < b ? b : a;
}
