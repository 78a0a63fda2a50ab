/** What the scheduler knows of one node: the object, and the pods that run or will run there. */
import type { V1Node, V1Pod, V1Taint } from '@coffer/api/generated/types';
import { hostPorts, hostPortsCollide } from '@coffer/api/scheduling/host-ports';
import type { Amounts } from '@coffer/api/scheduling/resource-amounts';
import { amountsOf, requestedAmounts } from '@coffer/api/scheduling/resource-amounts';
import { NOT_READY } from '@coffer/api/scheduling/taints';
import { keyOf } from '@coffer/client/rest/api-object';

export class NodeState {
  readonly name: string;
  readonly pods = new Map<string, V1Pod>();
  readonly #requested = new Map<string, number>();
  #node: V1Node | undefined;
  #allocatable: Amounts = new Map();
  #taints: readonly V1Taint[] = [];

  constructor(name: string) {
    this.name = name;
  }

  /** Undefined while only pods of the node are known. */
  get node(): V1Node | undefined {
    return this.#node;
  }

  get allocatable(): Amounts {
    return this.#allocatable;
  }

  /** The node's taints, and `not-ready` for a node whose kubelet has not said that it is ready. */
  get taints(): readonly V1Taint[] {
    return this.#taints;
  }

  requested(resource: string): number {
    return this.#requested.get(resource) ?? 0;
  }

  setNode(node: V1Node | undefined): void {
    this.#node = node;
    this.#allocatable = amountsOf(node?.status?.allocatable ?? node?.status?.capacity);
    const taints = node?.spec?.taints ?? [];
    const ready = node?.status?.conditions?.find((condition) => condition.type === 'Ready')?.status === 'True';
    const says = taints.some((taint) => taint.key === NOT_READY && taint.effect === 'NoSchedule');
    this.#taints = ready || says ? taints : [...taints, { key: NOT_READY, effect: 'NoSchedule' }];
  }

  addPod(pod: V1Pod): void {
    this.removePod(keyOf(pod));
    this.pods.set(keyOf(pod), pod);
    for (const [name, amount] of requestedAmounts(pod)) this.#requested.set(name, this.requested(name) + amount);
  }

  removePod(key: string): void {
    const pod = this.pods.get(key);
    if (pod === undefined) return;
    this.pods.delete(key);
    for (const [name, amount] of requestedAmounts(pod)) this.#requested.set(name, this.requested(name) - amount);
  }

  /** True when a host port the pod wants is taken. */
  hasPortConflict(pod: V1Pod): boolean {
    if (hostPorts(pod).length === 0) return false;
    for (const other of this.pods.values()) if (hostPortsCollide(pod, other)) return true;
    return false;
  }
}
