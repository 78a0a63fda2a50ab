/** An owner as its dependents name it. */
export interface OwnerIdentity {
  readonly group: string;
  readonly kind: string;
  /** Empty for owners of the cluster. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/**
 * Owners known to be gone, so that their thousand dependents do not each ask for them. UIDs never come back, but any dependent may name
 * the UID of a living object with another kind, name or place: only owners named exactly so are gone. Bounded, oldest forgotten.
 */
export class AbsentOwners {
  readonly #limit: number;
  readonly #keys = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  add(owner: OwnerIdentity): void {
    this.#keys.add(keyOf(owner));
    if (this.#keys.size <= this.#limit) return;
    const oldest = this.#keys.values().next();
    if (!oldest.done) this.#keys.delete(oldest.value);
  }

  has(owner: OwnerIdentity): boolean {
    return this.#keys.has(keyOf(owner));
  }
}

function keyOf({ uid, group, kind, namespace, name }: OwnerIdentity): string {
  return [uid, group, kind, namespace, name].join('\n');
}
