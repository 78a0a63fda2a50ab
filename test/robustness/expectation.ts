import type { Backend } from '@coffer/storage/backend/backend';

/** What a store must hold after a crash, gathered from what its writer said, and the check of a reopened store against it. */
export class Expectation {
  /** Every acknowledged revision → its key and the number in the value (undefined: a deletion). */
  readonly #acknowledged = new Map<number, { readonly key: string; readonly number: number | undefined }>();
  /** The newest acknowledged revision of each key. */
  readonly #newest = new Map<string, number>();
  /** The newest revision a watcher was told about. */
  seen = 0;
  failures: string[] = [];

  get count(): number {
    return this.#acknowledged.size;
  }

  /** Takes note of a line of the writer. Throws when a revision is given out twice. */
  note(line: string): void {
    const [word, first = '', second = '', third] = line.split(' ');
    if (word === 'seen') this.seen = Math.max(this.seen, Number(first));
    if (word === 'failed') this.failures.push(line.slice('failed '.length));
    if (word !== 'ack' && word !== 'gone') return;
    const revision = Number(second);
    const before = this.#acknowledged.get(revision);
    if (before !== undefined) throw new Error(`revision ${revision} was given to ${before.key} and again to ${first}`);
    this.#acknowledged.set(revision, { key: first, number: word === 'ack' ? Number(third) : undefined });
    this.#newest.set(first, Math.max(revision, this.#newest.get(first) ?? 0));
  }

  /**
   * Problems of a reopened store: acknowledged writes that are missing, values that are not what was written, a revision behind
   * what a watcher saw, and a watch from `resumeAfter` that misses or repeats an event.
   */
  async problems(backend: Backend, resumeAfter: number): Promise<string[]> {
    const problems: string[] = [];
    const revision = await backend.currentRevision();
    if (revision < this.seen) problems.push(`a watcher saw revision ${this.seen}, the store is at ${revision}`);
    const { kvs } = await backend.list('/registry/');
    const current = new Map(kvs.map((kv) => [kv.key, kv]));
    for (const [key, acknowledgedAt] of this.#newest) {
      const kv = current.get(key);
      const number = this.#acknowledged.get(acknowledgedAt)?.number;
      // A later write may have been committed without being acknowledged any more; an earlier state is a loss.
      if (number !== undefined && kv === undefined && !(await wasDeletedAfter(backend, key, acknowledgedAt)))
        problems.push(`${key} @${acknowledgedAt} is missing`);
      if (kv !== undefined && kv.modRevision < acknowledgedAt)
        problems.push(`${key} is at ${kv.modRevision}, acknowledged was ${acknowledgedAt}`);
      if (kv?.modRevision === acknowledgedAt && Number(Buffer.from(kv.value).toString().split(' ')[0]) !== number)
        problems.push(`${key} holds another value`);
    }
    problems.push(...(await this.#replayProblems(backend, resumeAfter, revision)));
    return problems;
  }

  async #replayProblems(backend: Backend, resumeAfter: number, revision: number): Promise<string[]> {
    const problems: string[] = [];
    const controller = new AbortController();
    let last = resumeAfter;
    if (revision > resumeAfter) {
      for await (const batch of backend.watch('/registry/', resumeAfter, controller.signal)) {
        for (const { kv } of batch.events) {
          if (kv.modRevision !== last + 1) problems.push(`the watch went from revision ${last} to ${kv.modRevision}`);
          last = kv.modRevision;
          const known = this.#acknowledged.get(last);
          if (known !== undefined && known.key !== kv.key) problems.push(`revision ${last} was ${known.key} and is ${kv.key}`);
        }
        if (batch.revision >= revision) break;
      }
    }
    if (last !== revision && revision > resumeAfter) problems.push(`the watch ended at ${last}, the store is at ${revision}`);
    return problems;
  }
}

async function wasDeletedAfter(backend: Backend, key: string, revision: number): Promise<boolean> {
  const controller = new AbortController();
  const current = await backend.currentRevision();
  for await (const batch of backend.watch(key, revision, controller.signal)) {
    if (batch.events.some((event) => event.type === 'delete' && event.kv.key === key)) return true;
    if (batch.revision >= current) return false;
  }
  return false;
}
