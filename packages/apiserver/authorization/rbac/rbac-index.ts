import type { RbacV1Subject, V1RoleRef } from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore, StoreEvent } from '@coffer/storage/store/store';
import type { PolicyRule } from './policy-rule.ts';

/** One RoleBinding or ClusterRoleBinding, reduced to what decisions need. */
export interface Binding {
  /** Empty for a ClusterRoleBinding. */
  readonly namespace: string;
  readonly name: string;
  readonly roleKind: 'Role' | 'ClusterRole';
  readonly roleName: string;
  /** `User:jane`, `Group:devs`, `User:system:serviceaccount:ns:name`. */
  readonly subjects: readonly string[];
}

export interface RbacStores {
  readonly roles: ResourceStore;
  readonly clusterRoles: ResourceStore;
  readonly roleBindings: ResourceStore;
  readonly clusterRoleBindings: ResourceStore;
}

/**
 * The RBAC objects as indexes over the watch cache: updated inside the commit that changed them, before the writer gets his
 * answer. `generation` moves with every change.
 */
export class RbacIndex {
  #generation = 0;
  readonly #rules = new Map<string, readonly PolicyRule[]>();
  readonly #bindings = new Map<string, Binding>();
  /** scope (namespace or empty) → subject → bindings */
  readonly #bySubject = new Map<string, Map<string, Set<Binding>>>();
  readonly #stops: (() => void)[] = [];
  readonly #stores: RbacStores;

  constructor(stores: RbacStores, onEnded: (error: Error) => void) {
    this.#stores = stores;
    this.#follow(stores.roles, (event) => this.#changeRole(event), onEnded);
    this.#follow(stores.clusterRoles, (event) => this.#changeRole(event), onEnded);
    this.#follow(stores.roleBindings, (event) => this.#changeBinding(event), onEnded);
    this.#follow(stores.clusterRoleBindings, (event) => this.#changeBinding(event), onEnded);
  }

  get generation(): number {
    return this.#generation;
  }

  /** Bindings of a scope (a namespace, or empty for the cluster) that name the subject. */
  bindingsFor(scope: string, subject: string): readonly Binding[] {
    const found = this.#bySubject.get(scope)?.get(subject);
    return found ? [...found] : [];
  }

  /** The rules of the binding's role; undefined when the role does not exist. */
  rulesOf(binding: Binding): readonly PolicyRule[] | undefined {
    return this.roleRules(binding.roleKind === 'Role' ? binding.namespace : '', binding.roleName);
  }

  /** Rules of a Role (`namespace` given) or ClusterRole (empty). */
  roleRules(namespace: string, name: string): readonly PolicyRule[] | undefined {
    return this.#rules.get(`${namespace}/${name}`);
  }

  /** How long it takes until everything that is in the store now is in the index: 0 unless another server wrote it. */
  async delayMs(clock: Clock): Promise<number> {
    const startedMs = clock.monotonicMs();
    const { roles, clusterRoles, roleBindings, clusterRoleBindings } = this.#stores;
    const waits = [roles, clusterRoles, roleBindings, clusterRoleBindings].map((store) => store.whenFresh('latest'));
    if (waits.every((wait) => wait === undefined)) return 0;
    // A store that gives up waiting has told what there is to tell by then: the time it waited.
    await Promise.allSettled(waits.filter((wait) => wait !== undefined));
    return clock.monotonicMs() - startedMs;
  }

  close(): void {
    for (const stop of this.#stops) stop();
  }

  #follow(store: ResourceStore, change: (event: StoreEvent) => void, onEnded: (error: Error) => void): void {
    const stop = store.watch(
      { afterRevision: 0, initialState: true },
      {
        events: (events) => {
          for (const event of events) change(event);
          this.#generation++;
        },
        ended: onEnded,
      },
    );
    this.#stops.push(stop);
  }

  #changeRole({ type, object }: StoreEvent): void {
    const key = `${object.namespace}/${object.name}`;
    if (type === 'DELETED') this.#rules.delete(key);
    else this.#rules.set(key, (object.decode().rules as readonly PolicyRule[] | undefined) ?? []);
  }

  #changeBinding({ type, object }: StoreEvent): void {
    const key = `${object.namespace}/${object.name}`;
    const old = this.#bindings.get(key);
    if (old) this.#unindex(old);
    this.#bindings.delete(key);
    if (type === 'DELETED') return;
    const binding = toBinding(object.namespace, object.name, object.decode());
    this.#bindings.set(key, binding);
    for (const subject of binding.subjects) this.#subjectSet(binding.namespace, subject).add(binding);
  }

  #unindex(binding: Binding): void {
    const scope = this.#bySubject.get(binding.namespace);
    for (const subject of binding.subjects) {
      const bindings = scope?.get(subject);
      bindings?.delete(binding);
      if (bindings?.size === 0) scope?.delete(subject);
    }
    if (scope?.size === 0) this.#bySubject.delete(binding.namespace);
  }

  #subjectSet(scope: string, subject: string): Set<Binding> {
    const subjects = this.#bySubject.get(scope) ?? new Map<string, Set<Binding>>();
    this.#bySubject.set(scope, subjects);
    const bindings = subjects.get(subject) ?? new Set<Binding>();
    subjects.set(subject, bindings);
    return bindings;
  }
}

/** Reads a RoleBinding or ClusterRoleBinding. */
export function toBinding(namespace: string, name: string, object: KubeObject): Binding {
  const roleRef = object.roleRef as V1RoleRef | undefined;
  const subjects = (object.subjects as readonly RbacV1Subject[] | undefined) ?? [];
  return {
    namespace,
    name,
    roleKind: roleRef?.kind === 'Role' ? 'Role' : 'ClusterRole',
    roleName: roleRef?.name ?? '',
    subjects: subjects.map((subject) => {
      if (subject.kind === 'ServiceAccount') return `User:system:serviceaccount:${subject.namespace || namespace}:${subject.name}`;
      return `${subject.kind}:${subject.name}`;
    }),
  };
}
