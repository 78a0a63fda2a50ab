/** Runs what is asked for under one key one after another, in order; different keys do not wait for each other. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  run<T>(key: string, section: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const mine = before === undefined ? section() : before.then(section, section);
    this.#last.set(key, mine);
    const finished = () => {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    };
    mine.then(finished, finished);
    return mine;
  }
}
