/**
 * Whether this node takes a pod that the API has bound to it: system, sysctls, profiles, room, labels, host ports and taints. Pure; reasons and
 * messages as upstream. The scheduler has asked most of this before, but a pod may also name its node itself.
 */
import type { V1Node } from '@coffer/api/generated/types';
import { getOwn } from '@coffer/api/meta/safe-object';
import { hostPortsCollide } from '@coffer/api/scheduling/host-ports';
import { matchesRequiredNodeAffinity } from '@coffer/api/scheduling/node-affinity';
import { amountsOf, requestedAmounts } from '@coffer/api/scheduling/resource-amounts';
import { tolerates } from '@coffer/api/scheduling/taints';
import { allContainers, type Pod } from '../types.ts';
import { forbiddenSysctl } from './sysctl-allowlist.ts';

export interface Rejection {
  readonly reason: string;
  readonly message: string;
}

export interface AdmissionInput {
  readonly pod: Pod;
  /** Pods that run here or are about to. */
  readonly others: readonly Pod[];
  readonly node: V1Node;
  readonly allocatable: Readonly<Record<string, string>>;
  /** Sysctls that the operator allows beyond the safe ones. */
  readonly allowedUnsafeSysctls: readonly string[];
}

const systemLabel = 'kubernetes.io/os';
const system = 'linux';
/** In the order in which upstream looks for what is missing; the first is the reason. */
const nativeResources = ['cpu', 'memory', 'ephemeral-storage'];
/** The node's labels do not fit: worth asking again with the newest Node object. */
export const affinityReason = 'NodeAffinity';

/** Undefined when the pod may run here. */
export function rejectionOf(input: AdmissionInput): Rejection | undefined {
  const { pod, node } = input;
  const sysctl = forbiddenSysctl(pod, input.allowedUnsafeSysctls);
  if (sysctl !== undefined) return { reason: 'SysctlForbidden', message: `forbidden sysctl: ${sysctl}` };
  if (asksForOwnAppArmorProfile(pod)) {
    return { reason: 'AppArmor', message: 'Cannot enforce AppArmor: profiles of the machine are not applied by this kubelet' };
  }
  const wanted = getOwn(pod.metadata.labels, systemLabel);
  if (wanted !== undefined && wanted !== system) {
    return {
      reason: 'PodOSSelectorNodeLabelDoesNotMatch',
      message: "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
    };
  }
  if (pod.spec.os !== undefined && pod.spec.os.name !== system)
    return { reason: 'PodOSNotSupported', message: "Failed to admit pod as the OS field doesn't match node OS" };
  if (pod.spec.securityContext?.supplementalGroupsPolicy === 'Strict' && node.status?.features?.supplementalGroupsPolicy !== true) {
    return {
      reason: 'SupplementalGroupsPolicyNotSupported',
      message: 'SupplementalGroupsPolicy=Strict is not supported in this node',
    };
  }
  const missing = insufficientResource(input);
  if (missing !== undefined) return missing;
  if (!matchesRequiredNodeAffinity(pod, node)) return failed(affinityReason, "node(s) didn't match Pod's node affinity/selector");
  if (input.others.some((other) => hostPortsCollide(pod, other)))
    return failed('NodePorts', "node(s) didn't have free ports for the requested pod ports");
  const repelled = (node.spec?.taints ?? []).some((taint) => taint.effect === 'NoExecute' && !tolerates(pod.spec.tolerations, taint));
  return repelled ? failed('TaintToleration', 'node(s) had untolerated taint(s)') : undefined;
}

/** The default profile is the runtime's own business; one that somebody put on the machine would have to be asked for. */
function asksForOwnAppArmorProfile(pod: Pod): boolean {
  const contexts = [pod.spec.securityContext, ...allContainers(pod).map(({ container }) => container.securityContext)];
  return contexts.some((context) => context?.appArmorProfile?.type === 'Localhost');
}

function failed(predicate: string, detail: string): Rejection {
  return { reason: predicate, message: `Predicate ${predicate} failed: ${detail}` };
}

/** The first resource of which the pod wants more than the others leave. */
export function insufficientResource({
  pod,
  others,
  allocatable,
}: Pick<AdmissionInput, 'pod' | 'others' | 'allocatable'>): Rejection | undefined {
  const capacity = amountsOf(allocatable);
  const pods = capacity.get('pods') ?? 0;
  if (others.length + 1 > pods) return outOf('pods', 1, others.length, pods);
  const requested = requestedAmounts(pod);
  const extended = [...requested.keys()].filter((name) => !nativeResources.includes(name));
  for (const name of [...nativeResources, ...extended]) {
    const amount = requested.get(name) ?? 0;
    // What this node does not know is counted by the cluster.
    const total = capacity.get(name) ?? (name.includes('/') ? undefined : 0);
    if (amount <= 0 || total === undefined) continue;
    const used = others.reduce((sum, other) => sum + (requestedAmounts(other).get(name) ?? 0), 0);
    if (amount > total - used) return outOf(name, amount, used, total);
  }
  return undefined;
}

function outOf(resource: string, requested: number, used: number, capacity: number): Rejection {
  return {
    reason: `OutOf${resource}`,
    message: `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
  };
}
