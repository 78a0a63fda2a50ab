/**
 * Asks of every new pod whether this node takes it. Promises: the answer comes at once, except when the node's labels do not fit; then the
 * newest Node object is read first, since somebody may just have labelled the node. A pod that changes meanwhile is judged as it is then.
 */
import type { V1Node } from '@coffer/api/generated/types';
import type { Logger } from '@coffer/base/log/logger';
import type { Pod } from '../types.ts';
import { type AdmissionInput, affinityReason, type Rejection, rejectionOf } from './pod-admission.ts';

export interface AdmissionDeskDeps {
  readonly logger: Logger;
  /** The Node object as last seen, and as it is now. */
  readonly node: () => V1Node;
  readonly freshNode: () => Promise<V1Node>;
  /** Pods that run here or are about to, without the one that is asked about. */
  readonly others: (pod: Pod) => readonly Pod[];
  readonly allocatable: () => Readonly<Record<string, string>>;
  readonly allowedUnsafeSysctls: readonly string[];
  /** What the node is too short of to take this pod; undefined when it may come. */
  readonly pressure: (pod: Pod) => string | undefined;
  readonly accept: (pod: Pod) => void;
  readonly reject: (pod: Pod, rejection: Rejection) => void;
}

export class AdmissionDesk {
  readonly #deps: AdmissionDeskDeps;
  /** Pods that wait for the newest Node object. */
  readonly #waiting = new Map<string, Pod>();

  constructor(deps: AdmissionDeskDeps) {
    this.#deps = deps;
  }

  /** Accepts or rejects a pod that this kubelet does not know yet. */
  take(pod: Pod): void {
    const { uid } = pod.metadata;
    const asked = this.#waiting.has(uid);
    const pressure = this.#deps.pressure(pod);
    if (pressure !== undefined) {
      this.#waiting.delete(uid);
      this.#deps.reject(pod, { reason: 'Evicted', message: pressure });
      return;
    }
    const rejection = rejectionOf(this.#input(pod, this.#deps.node()));
    if (rejection?.reason === affinityReason) {
      this.#waiting.set(uid, pod);
      if (!asked) void this.#askAgain(uid);
      return;
    }
    this.#waiting.delete(uid);
    this.#decide(pod, rejection);
  }

  /** The pod is gone: there is nothing to decide any more. */
  forget(uid: string): void {
    this.#waiting.delete(uid);
  }

  async #askAgain(uid: string): Promise<void> {
    const { freshNode, node, logger } = this.#deps;
    const newest = await freshNode().catch((error: unknown) => {
      logger.warn('the newest Node object could not be read', { err: error });
      return node();
    });
    const pod = this.#waiting.get(uid);
    if (pod === undefined) return;
    this.#waiting.delete(uid);
    this.#decide(pod, rejectionOf(this.#input(pod, newest)));
  }

  #decide(pod: Pod, rejection: Rejection | undefined): void {
    if (rejection === undefined) this.#deps.accept(pod);
    else this.#deps.reject(pod, rejection);
  }

  #input(pod: Pod, node: V1Node): AdmissionInput {
    const { others, allocatable, allowedUnsafeSysctls } = this.#deps;
    return { pod, node, others: others(pod), allocatable: allocatable(), allowedUnsafeSysctls };
  }
}
