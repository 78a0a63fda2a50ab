/** Whether a container that ended may run again: its own rules, then its own policy, then its pod's. */

import type { V1Container, V1ContainerRestartRule, V1PodSpec } from '../generated/types.ts';

const restartAll = 'RestartAllContainers';

/** The first rule that fits the exit code decides; one that asks for more than this container says nothing about it alone. */
export function mayRestart(container: V1Container, spec: Pick<V1PodSpec, 'restartPolicy'>, exitCode: number): boolean {
  if (actionFor(container, exitCode) === 'Restart') return true;
  switch (container.restartPolicy ?? spec.restartPolicy ?? 'Always') {
    case 'Never':
      return false;
    case 'OnFailure':
      return exitCode !== 0;
    default:
      return true;
  }
}

/** True when the end of this container starts all of its pod again. */
export function asksForAllContainers(container: V1Container, exitCode: number): boolean {
  return actionFor(container, exitCode) === restartAll;
}

/** The action of the first rule that fits; rules count only beside a policy of the container's own. */
function actionFor(container: V1Container, exitCode: number): string | undefined {
  if (container.restartPolicy == null) return undefined;
  return (container.restartPolicyRules ?? []).find((rule) => fits(rule, exitCode))?.action;
}

/** True when the end of one container may start all of them again. */
export function restartsAllContainers(spec: V1PodSpec): boolean {
  return [...(spec.containers ?? []), ...(spec.initContainers ?? [])].some((container) =>
    (container.restartPolicyRules ?? []).some((rule) => rule.action === restartAll),
  );
}

function fits({ exitCodes }: V1ContainerRestartRule, exitCode: number): boolean {
  if (exitCodes == null) return false;
  const listed = (exitCodes.values ?? []).includes(exitCode);
  if (exitCodes.operator === 'In') return listed;
  return exitCodes.operator === 'NotIn' && !listed;
}
