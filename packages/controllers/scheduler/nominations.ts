/** Pods that have no node yet and for which room is being made on one: what goes behind them may not take it. */
import type { V1Pod } from '@coffer/api/generated/types';
import { keyOf } from '@coffer/client/rest/api-object';
import { priorityOf } from './preemption.ts';

interface Nomination {
  readonly pod: V1Pod;
  readonly node: string;
  /** UIDs of the pods that have to go for it; empty where another scheduler has decided. */
  readonly victims: ReadonlySet<string>;
}

export class Nominations {
  readonly #byPod = new Map<string, Nomination>();

  get(pod: V1Pod): Nomination | undefined {
    return this.#byPod.get(keyOf(pod));
  }

  set(pod: V1Pod, node: string, victims: ReadonlySet<string>): void {
    this.#byPod.set(keyOf(pod), { pod, node, victims });
  }

  remove(key: string): void {
    this.#byPod.delete(key);
  }

  /** Takes what the API says; `old` is what it said before. What this scheduler has decided since then stays. */
  observe(old: V1Pod | undefined, pod: V1Pod): void {
    const node = pod.status?.nominatedNodeName ?? '';
    const known = this.get(pod);
    if (node === (old?.status?.nominatedNodeName ?? '')) {
      if (known !== undefined) this.set(pod, known.node, known.victims);
    } else if (node === '') this.remove(keyOf(pod));
    else this.set(pod, node, known?.node === node ? known.victims : new Set());
  }

  /** Pods for that node that the pod has to leave room for. */
  before(pod: V1Pod, node: string): readonly V1Pod[] {
    return this.#others(pod, node).filter((other) => priorityOf(other) >= priorityOf(pod));
  }

  /** Pods for that node that have to leave room for the pod. */
  behind(pod: V1Pod, node: string): readonly V1Pod[] {
    return this.#others(pod, node).filter((other) => priorityOf(other) < priorityOf(pod));
  }

  #others(pod: V1Pod, node: string): readonly V1Pod[] {
    if (this.#byPod.size === 0) return [];
    return [...this.#byPod.entries()].flatMap(([key, nomination]) =>
      nomination.node === node && key !== keyOf(pod) ? [nomination.pod] : [],
    );
  }
}
