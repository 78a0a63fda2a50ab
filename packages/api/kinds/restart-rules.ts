/** Whether a container that ended may run again: its own rules, then its own policy, then its pod's. */

import type { V1Container, V1ContainerRestartRule, V1PodSpec } from '../generated/types.ts';

const restartAll = 'RestartAllContainers';

/** The first rule that fits the exit code decides; one that asks for more than this container says nothing about it alone. */
export function mayRestart(container: V1Container, spec: Pick<V1PodSpec, 'restartPolicy'>, exitCode: number): boolean {
  if (container.restartPolicy != null) {
    const rule = (container.restartPolicyRules ?? []).find((candidate) => fits(candidate, exitCode));
    if (rule?.action === 'Restart') return true;
  }
  switch (container.restartPolicy ?? spec.restartPolicy ?? 'Always') {
    case 'Never':
      return false;
    case 'OnFailure':
      return exitCode !== 0;
    default:
      return true;
  }
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
