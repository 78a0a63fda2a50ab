/** Owners known to be gone, so that their thousand dependents do not each ask for them. UIDs never come back. Bounded, oldest forgotten. */
export class AbsentOwners {
  readonly #limit: number;
  readonly #keys = new Set<string>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Gone as seen from this namespace; empty for owners of the cluster. */
  add(uid: string, namespace: string): void {
    this.#keys.add(`${uid}\n${namespace}`);
    if (this.#keys.size <= this.#limit) return;
    const oldest = this.#keys.values().next();
    if (!oldest.done) this.#keys.delete(oldest.value);
  }

  has(uid: string, namespace: string): boolean {
    return this.#keys.has(`${uid}\n${namespace}`);
  }
}
