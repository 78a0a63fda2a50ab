import type { Clock } from '@coffer/base/time/clock';
import type { Backend } from '../backend/backend.ts';

export interface KeyClaimsDeps {
  readonly backend: Backend;
  readonly clock: Clock;
  /** Keys of the claims begin with this; `/registry/…/`. */
  readonly prefix: string;
}

/** Longer than any write takes: a claim of this age was left behind by a server that died. */
const abandonedAfterMs = 120_000;

/**
 * Names that several API servers on one store give away, each once. A write claims the names it wants, then looks at what is stored, then
 * writes, then gives the claims back: of two writes that want the same name one finds the claim of the other, or what the other stored.
 */
export class KeyClaims {
  readonly #deps: KeyClaimsDeps;
  /** When a claim of somebody else was seen first, in monotonic time. */
  readonly #foreign = new Map<string, { readonly revision: number; readonly sinceMs: number }>();

  constructor(deps: KeyClaimsDeps) {
    this.#deps = deps;
  }

  /**
   * Claims all of `names`, or none: then one that somebody else has claimed is returned. Everybody claims in the same order and stops at the
   * first loss, so that of two who want the same names one gets them all.
   */
  async claim(names: readonly string[]): Promise<{ readonly held: Claims } | { readonly taken: string }> {
    const { backend, prefix } = this.#deps;
    const held = new Map<string, number>();
    const release = async () => {
      for (const [key, revision] of held) await backend.delete(key, revision);
    };
    for (const name of [...names].sort()) {
      const key = prefix + name;
      const result = await backend.create(key, new Uint8Array(0));
      if (!result.ok) {
        if (result.current !== undefined) await this.#dropIfAbandoned(key, result.current.modRevision);
        await release();
        return { taken: name };
      }
      held.set(key, result.revision);
    }
    return { held: { release } };
  }

  /** Nobody who still wants it holds a claim for minutes; the next attempt finds it free. */
  async #dropIfAbandoned(key: string, revision: number): Promise<void> {
    const { backend, clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    const known = this.#foreign.get(key);
    if (known?.revision !== revision) this.#foreign.set(key, { revision, sinceMs: nowMs });
    else if (nowMs - known.sinceMs >= abandonedAfterMs) {
      this.#foreign.delete(key);
      await backend.delete(key, revision);
    }
  }
}

/** Claims that are held until they are given back. */
export interface Claims {
  release(): Promise<void>;
}
