/** The conditions that the kubelet owns. Pure; upstream's reasons and messages. Transition times are the status manager's. */
import type { ContainerApiStatus, Pod, PodCondition } from '../types.ts';
import { isSidecar } from '../types.ts';

export const kubeletConditions: ReadonlySet<string> = new Set([
  'PodScheduled',
  'Ready',
  'Initialized',
  'ContainersReady',
  'PodReadyToStartContainers',
  'PodResizePending',
  'PodResizeInProgress',
  'AllContainersRestarting',
]);

/** What a pod shows that has to go for the node's sake. Others set this condition too, for reasons of their own. */
export function disruptionCondition(message: string): PodCondition {
  return { type: disruptionTarget, status: 'True', reason: terminatedByKubelet, message };
}

/** Whether this kubelet writes the condition. */
export function isKubelets({ type, reason }: PodCondition): boolean {
  return kubeletConditions.has(type) || (type === disruptionTarget && reason === terminatedByKubelet);
}

const disruptionTarget = 'DisruptionTarget';
const terminatedByKubelet = 'TerminationByKubelet';

export interface ConditionInput {
  readonly pod: Pod;
  readonly phase: string;
  /** Init containers first, then regular ones. */
  readonly statuses: readonly ContainerApiStatus[];
  readonly hasSandbox: boolean;
  /** Conditions of others, as the API has them. */
  readonly foreign: readonly PodCondition[];
  /** Whether the pod is being restarted in place; undefined when none of its rules asks for that. */
  readonly restarting: boolean | undefined;
}

/** In upstream's order, without times. */
export function podConditions(input: ConditionInput): PodCondition[] {
  const containersReady = containersReadyCondition(input);
  return [
    { type: 'PodReadyToStartContainers', status: input.hasSandbox ? 'True' : 'False' },
    initializedCondition(input),
    readyCondition(input, containersReady),
    containersReady,
    { type: 'PodScheduled', status: 'True' },
    ...restartingCondition(input),
  ];
}

function restartingCondition({ phase, restarting }: ConditionInput): PodCondition[] {
  if (restarting === undefined) return [];
  const type = 'AllContainersRestarting';
  if (phase === 'Succeeded') return [{ type, status: 'False', reason: 'PodCompleted' }];
  if (phase === 'Failed') return [{ type, status: 'False', reason: 'PodFailed' }];
  if (!restarting) return [{ type, status: 'False' }];
  return [{ type, status: 'True', reason: 'RestartAllContainersStarted', message: 'container exited with restart policy rule' }];
}

function containersReadyCondition(input: ConditionInput): PodCondition {
  const { pod, phase, statuses } = input;
  const type = 'ContainersReady';
  const unknown: string[] = [];
  const unready: string[] = [];
  for (const container of [...(pod.spec.initContainers ?? []).filter(isSidecar), ...pod.spec.containers]) {
    const status = statuses.find((s) => s.name === container.name);
    if (status === undefined) unknown.push(container.name);
    else if (!status.ready) unready.push(container.name);
  }
  if (phase === 'Succeeded' && unknown.length === 0) return { type, status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { type, status: 'False', reason: 'PodFailed' };
  const message = describe([
    ['unknown', unknown],
    ['unready', unready],
  ]);
  return message === '' ? { type, status: 'True' } : { type, status: 'False', reason: 'ContainersNotReady', message };
}

function readyCondition(input: ConditionInput, containersReady: PodCondition): PodCondition {
  if (containersReady.status !== 'True') return { ...containersReady, type: 'Ready' };
  const messages: string[] = [];
  for (const gate of input.pod.spec.readinessGates ?? []) {
    const name = JSON.stringify(gate.conditionType);
    const condition = input.foreign.find((c) => c.type === gate.conditionType);
    if (condition === undefined) messages.push(`corresponding condition of pod readiness gate ${name} does not exist.`);
    else if (condition.status !== 'True') {
      messages.push(`the status of pod readiness gate ${name} is not "True", but ${condition.status}`);
    }
  }
  if (messages.length === 0) return { type: 'Ready', status: 'True' };
  return { type: 'Ready', status: 'False', reason: 'ReadinessGatesNotReady', message: messages.join(', ') };
}

function initializedCondition(input: ConditionInput): PodCondition {
  const { pod, phase, statuses } = input;
  const type = 'Initialized';
  const unknown: string[] = [];
  const incomplete: string[] = [];
  for (const container of pod.spec.initContainers ?? []) {
    const status = statuses.find((s) => s.name === container.name);
    if (status === undefined) unknown.push(container.name);
    else if (isSidecar(container) ? status.started !== true : !status.ready) incomplete.push(container.name);
  }
  if (phase === 'Succeeded' && unknown.length === 0) return { type, status: 'True', reason: 'PodCompleted' };
  const anyRegularStarted = pod.spec.containers.some((container) => {
    const status = statuses.find((s) => s.name === container.name);
    return status?.state?.running !== undefined || status?.state?.terminated !== undefined || status?.lastState?.terminated !== undefined;
  });
  if (anyRegularStarted) return { type, status: 'True' };
  const message = describe([
    ['unknown', unknown],
    ['incomplete', incomplete],
  ]);
  return message === '' ? { type, status: 'True' } : { type, status: 'False', reason: 'ContainersNotInitialized', message };
}

function describe(groups: readonly (readonly [string, readonly string[]])[]): string {
  return groups
    .filter(([, names]) => names.length > 0)
    .map(([what, names]) => `containers with ${what} status: [${names.join(' ')}]`)
    .join(', ');
}
