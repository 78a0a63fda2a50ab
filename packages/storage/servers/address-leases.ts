import type { Clock } from '@coffer/base/time/clock';
import type { Backend } from '../backend/backend.ts';

export interface AddressLeasesDeps {
  readonly backend: Backend;
  readonly clock: Clock;
  /** This server's own address. */
  readonly host: string;
}

/** One key per address, as kube-apiserver has them. */
const prefix = '/registry/masterleases/';
/** A lease that nobody renewed for this long belongs to a server that does not live any more. */
const deadAfterMs = 15_000;

/**
 * The addresses of the API servers that share one store: each renews a lease of its own. Whether another one lives is judged by whether
 * its lease changes, so clocks need not agree; a server that has just started takes every lease it finds for a living one.
 */
export class AddressLeases {
  readonly #deps: AddressLeasesDeps;
  /** When each revision of a lease of others was seen first, in monotonic time. */
  readonly #seen = new Map<string, { readonly revision: number; readonly atMs: number }>();

  constructor(deps: AddressLeasesDeps) {
    this.#deps = deps;
  }

  /** Says that this server lives. */
  async renew(): Promise<void> {
    const { backend, host } = this.#deps;
    const value = Buffer.from(
      JSON.stringify({ kind: 'Endpoints', apiVersion: 'v1', metadata: {}, subsets: [{ addresses: [{ ip: host }] }] }),
    );
    const { kv } = await backend.get(this.#key);
    await (kv === undefined ? backend.create(this.#key, value) : backend.update(this.#key, value, kv.modRevision));
  }

  /** Addresses of the servers that live, in order. Leases of others that were not renewed in time are removed. */
  async living(): Promise<readonly string[]> {
    const { backend, clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    const { kvs } = await backend.list(prefix);
    const living: string[] = [];
    for (const { key, modRevision } of kvs) {
      const known = this.#seen.get(key);
      if (key === this.#key || known?.revision !== modRevision) this.#seen.set(key, { revision: modRevision, atMs: nowMs });
      else if (nowMs - known.atMs >= deadAfterMs) {
        // One that was renewed meanwhile stays.
        await backend.delete(key, modRevision);
        continue;
      }
      living.push(key.slice(prefix.length));
    }
    for (const key of this.#seen.keys()) if (!kvs.some((kv) => kv.key === key)) this.#seen.delete(key);
    return living.sort();
  }

  /** Takes this server's lease away. */
  async remove(): Promise<void> {
    const { kv } = await this.#deps.backend.get(this.#key);
    if (kv !== undefined) await this.#deps.backend.delete(this.#key, kv.modRevision);
  }

  get #key(): string {
    return prefix + this.#deps.host;
  }
}
