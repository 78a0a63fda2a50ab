/**
 * What the kubelet needs from the outside, as narrow as it uses it. `api/` adapts a client transport to `KubeletApi`; tests use
 * the fakes under `testing/`.
 */
import type { KubeObject } from '@coffer/api/meta/object';
import type { Pod } from './types.ts';

/** A resource as it appears in a URL. The kubelet touches no other than those of `resources` below. */
export interface ResourcePath {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly kind: string;
}

export const resources = {
  pods: { group: '', version: 'v1', resource: 'pods', kind: 'Pod' },
  nodes: { group: '', version: 'v1', resource: 'nodes', kind: 'Node' },
  configMaps: { group: '', version: 'v1', resource: 'configmaps', kind: 'ConfigMap' },
  secrets: { group: '', version: 'v1', resource: 'secrets', kind: 'Secret' },
  serviceAccounts: { group: '', version: 'v1', resource: 'serviceaccounts', kind: 'ServiceAccount' },
  persistentVolumeClaims: { group: '', version: 'v1', resource: 'persistentvolumeclaims', kind: 'PersistentVolumeClaim' },
  services: { group: '', version: 'v1', resource: 'services', kind: 'Service' },
  events: { group: '', version: 'v1', resource: 'events', kind: 'Event' },
  leases: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases', kind: 'Lease' },
  runtimeClasses: { group: 'node.k8s.io', version: 'v1', resource: 'runtimeclasses', kind: 'RuntimeClass' },
} as const satisfies Record<string, ResourcePath>;

/** Where an object is. `namespace` is undefined for cluster-scoped kinds. */
export interface ObjectPath {
  readonly resource: ResourcePath;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly subresource?: string;
}

export type PatchType = 'application/merge-patch+json' | 'application/strategic-merge-patch+json';

/** The API, with this node's identity. Every call rejects with StatusError when the server refuses, with other errors when no answer came. */
export interface KubeletApi {
  get(path: ObjectPath, signal?: AbortSignal): Promise<KubeObject>;
  /** POST to the collection, or to a subresource when `path` names one. */
  create(path: Omit<ObjectPath, 'name'> & { readonly name?: string }, object: unknown, signal?: AbortSignal): Promise<KubeObject>;
  update(path: ObjectPath, object: unknown, signal?: AbortSignal): Promise<KubeObject>;
  patch(path: ObjectPath, type: PatchType, patch: unknown, signal?: AbortSignal): Promise<KubeObject>;
  delete(path: ObjectPath, options: DeleteOptions, signal?: AbortSignal): Promise<void>;
  /** Follows objects until `stop()`; reconnects by itself. The first list is consistent: it shows every write acknowledged before the call. */
  watch(selector: WatchSelector, handler: WatchHandler): ObjectWatch;
}

export interface DeleteOptions {
  readonly gracePeriodSeconds: number;
  readonly uid: string;
}

export interface WatchSelector {
  readonly resource: ResourcePath;
  readonly namespace: string | undefined;
  readonly fieldSelector: string | undefined;
}

export interface WatchHandler {
  onChange(object: KubeObject): void;
  onDelete(object: KubeObject): void;
}

export interface ObjectWatch {
  /** Resolves when the first list was handed to the handler. Never rejects; stays pending after `stop()`. */
  readonly synced: Promise<void>;
  /** Everything up to this revision was shown, by list, event or bookmark; undefined before the first list. */
  readonly revision: string | undefined;
  stop(): void;
}

/** What an event is about. */
export interface EventTarget {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion?: string;
  readonly fieldPath?: string;
}

/** Writes events, best effort: counting repeats, never blocking, never throwing. Messages hold no Secret values. */
export interface EventRecorder {
  event(target: EventTarget, type: 'Normal' | 'Warning', reason: string, message: string): void;
}

/** A pod as events are about it. */
export function eventTarget(pod: Pod): EventTarget {
  const { name, namespace, uid, resourceVersion } = pod.metadata;
  return { apiVersion: 'v1', kind: 'Pod', namespace, name, uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
}
