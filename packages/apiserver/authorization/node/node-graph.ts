import type { V1Pod } from '@coffer/api/generated/types';
import { podReferences } from '@coffer/api/node/pod-references';
import type { ResourceStore, StoreEvent } from '@coffer/storage/store/store';

const mirrorAnnotation = 'kubernetes.io/config.mirror';

interface PodEntry {
  readonly node: string;
  readonly references: readonly string[];
}

/**
 * Which node may read what: an index over the pods of the watch cache, updated inside the commit that bound or deleted a pod,
 * so that a kubelet is allowed in the moment its pod is bound and denied as soon as the pod is gone.
 */
export class NodeGraph {
  readonly #pods = new Map<string, PodEntry>();
  /** node → reference → number of pods that need it */
  readonly #nodes = new Map<string, Map<string, number>>();
  readonly #stop: () => void;

  constructor(pods: ResourceStore, onEnded: (error: Error) => void) {
    this.#stop = pods.watch({ afterRevision: 0, initialState: true }, { events: (events) => this.#changeAll(events), ended: onEnded });
  }

  /** True when a pod bound to `node` refers to the object. */
  refers(
    node: string,
    resource: 'secrets' | 'configmaps' | 'serviceaccounts' | 'persistentvolumeclaims',
    namespace: string,
    name: string,
  ): boolean {
    return this.#nodes.get(node)?.has(`${resource}/${namespace}/${name}`) ?? false;
  }

  /** The node a pod is bound to. */
  nodeOf(namespace: string, name: string): string | undefined {
    return this.#pods.get(`${namespace}/${name}`)?.node;
  }

  close(): void {
    this.#stop();
  }

  #changeAll(events: readonly StoreEvent[]): void {
    for (const event of events) this.#change(event);
  }

  #change({ type, object }: StoreEvent): void {
    const key = `${object.namespace}/${object.name}`;
    const old = this.#pods.get(key);
    const node = type === 'DELETED' ? '' : (object.fields['spec.nodeName'] ?? '');
    // A pod's references never change once it is bound (its spec is immutable), except for ephemeral containers.
    const next = node === '' ? undefined : this.#entry(node, object.namespace, object.peek() as unknown as V1Pod);
    if (old) this.#count(old, -1);
    if (next) {
      this.#pods.set(key, next);
      this.#count(next, 1);
    } else this.#pods.delete(key);
  }

  #entry(node: string, namespace: string, pod: V1Pod): PodEntry {
    if (pod.metadata?.annotations?.[mirrorAnnotation] !== undefined) return { node, references: [] };
    const references = podReferences(pod);
    return {
      node,
      references: [
        ...[...references.secrets].map((name) => `secrets/${namespace}/${name}`),
        ...[...references.configMaps].map((name) => `configmaps/${namespace}/${name}`),
        ...[...references.persistentVolumeClaims].map((name) => `persistentvolumeclaims/${namespace}/${name}`),
        ...(references.serviceAccount === '' ? [] : [`serviceaccounts/${namespace}/${references.serviceAccount}`]),
      ],
    };
  }

  #count(entry: PodEntry, change: 1 | -1): void {
    const counts = this.#nodes.get(entry.node) ?? new Map<string, number>();
    for (const reference of entry.references) {
      const count = (counts.get(reference) ?? 0) + change;
      if (count > 0) counts.set(reference, count);
      else counts.delete(reference);
    }
    if (counts.size > 0) this.#nodes.set(entry.node, counts);
    else this.#nodes.delete(entry.node);
  }
}
