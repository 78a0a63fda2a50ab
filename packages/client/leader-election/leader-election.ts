/**
 * Elects one of several candidates by a Lease: who holds it renews it every `retryPeriodMs`; when it was not renewed for the lease's
 * duration (measured on the observer's own clock from the moment it saw the last change), another candidate takes it over by
 * compare-and-swap. A leader that could not renew for `renewDeadlineMs` stops leading before anyone else may start.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Lease } from '@coffer/api/generated/types';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ApiClient } from '../rest/api-client.ts';
import { apiMicroTime } from '../rest/api-time.ts';
import { LEASES } from '../rest/well-known.ts';

export interface LeaderElectionDeps {
  readonly api: ApiClient;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
}

export interface LeaderElectionOptions {
  readonly namespace: string;
  readonly name: string;
  /** Unique among the candidates, e.g. host name and a random part. */
  readonly identity: string;
  readonly leaseDurationMs?: number;
  readonly renewDeadlineMs?: number;
  readonly retryPeriodMs?: number;
  /** Gives the lease up when the signal is aborted, so that the next candidate need not wait. */
  readonly releaseOnStop?: boolean;
}

const JITTER = 1.2;

export class LeaderElector {
  readonly #deps: LeaderElectionDeps;
  readonly #options: Required<LeaderElectionOptions>;
  /** The lease as last seen and when this process first saw it like that. */
  #observed: V1Lease | undefined;
  #observedAtMs = 0;
  #leading = false;

  constructor(deps: LeaderElectionDeps, options: LeaderElectionOptions) {
    this.#deps = deps;
    this.#options = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000, releaseOnStop: true, ...options };
  }

  get isLeader(): boolean {
    return this.#leading;
  }

  /** Who holds the lease, as last seen. */
  get leader(): string {
    return this.#observed?.spec?.holderIdentity ?? '';
  }

  /**
   * Waits for leadership, then runs `lead`; its signal is aborted when leadership is lost. Returns when `lead` has ended after a loss,
   * or when `signal` is aborted. A process that lost the lease should start over or exit.
   */
  async run(lead: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> {
    if (!(await this.#acquire(signal))) return;
    this.#leading = true;
    this.#deps.logger.info('became the leader', { lease: this.#options.name });
    const term = new AbortController();
    const onAbort = () => term.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const work = lead(term.signal);
    try {
      await this.#renewUntilLost(signal);
    } finally {
      this.#leading = false;
      term.abort(signal.aborted ? signal.reason : new Error('leadership was lost'));
      signal.removeEventListener('abort', onAbort);
      await work.catch((error: unknown) => {
        if (!term.signal.aborted) throw error;
      });
      if (this.#options.releaseOnStop) await this.#release();
    }
  }

  async #acquire(signal: AbortSignal): Promise<boolean> {
    const random = this.#deps.random ?? Math.random;
    while (!signal.aborted) {
      if (await this.#tryAcquireOrRenew(signal)) return true;
      await this.#deps.clock.sleep(this.#options.retryPeriodMs * (1 + JITTER * random()), signal).catch(() => undefined);
    }
    return false;
  }

  async #renewUntilLost(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    let renewedAtMs = clock.monotonicMs();
    while (!signal.aborted) {
      await clock.sleep(this.#options.retryPeriodMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const attempt = new AbortController();
      const leftMs = renewedAtMs + this.#options.renewDeadlineMs - clock.monotonicMs();
      const cancelDeadline = clock.setTimer(Math.max(0, leftMs), () => attempt.abort(new Error('the renew deadline passed')));
      const renewed = await this.#tryAcquireOrRenew(AbortSignal.any([signal, attempt.signal]));
      cancelDeadline();
      if (renewed) {
        renewedAtMs = clock.monotonicMs();
      } else if (clock.monotonicMs() - renewedAtMs >= this.#options.renewDeadlineMs || this.leader !== this.#options.identity) {
        logger.error('leadership was lost', { lease: this.#options.name, leader: this.leader });
        return;
      }
    }
  }

  async #tryAcquireOrRenew(signal: AbortSignal): Promise<boolean> {
    const { api, clock, logger } = this.#deps;
    const { namespace, name, identity, leaseDurationMs } = this.#options;
    const leases = api.resource(LEASES);
    const now = apiMicroTime(clock.now());
    const mine = { holderIdentity: identity, leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000), renewTime: now };
    try {
      let lease: V1Lease;
      try {
        lease = await leases.get(name, { namespace, signal });
      } catch (error) {
        if (!isReason(error, 'NotFound')) throw error;
        const created = await leases.create(
          {
            apiVersion: 'coordination.k8s.io/v1',
            kind: 'Lease',
            metadata: { name, namespace },
            spec: { ...mine, acquireTime: now, leaseTransitions: 0 },
          },
          { namespace, signal },
        );
        this.#observe(created);
        return true;
      }
      this.#observe(lease);
      const holder = lease.spec?.holderIdentity ?? '';
      const durationMs = (lease.spec?.leaseDurationSeconds ?? 0) * 1000;
      const held = holder !== '' && clock.monotonicMs() - this.#observedAtMs < durationMs;
      if (held && holder !== identity) return false;
      const transitions = lease.spec?.leaseTransitions ?? 0;
      const spec =
        holder === identity
          ? { ...lease.spec, ...mine, acquireTime: lease.spec?.acquireTime ?? now, leaseTransitions: transitions }
          : { ...lease.spec, ...mine, acquireTime: now, leaseTransitions: transitions + 1 };
      this.#observe(await leases.update({ ...lease, spec }, { namespace, signal }));
      return true;
    } catch (error) {
      if (!signal.aborted) logger.debug('the lease could not be acquired or renewed', { lease: name, err: error });
      return false;
    }
  }

  async #release(): Promise<void> {
    const { api, clock, logger } = this.#deps;
    const lease = this.#observed;
    if (lease?.spec?.holderIdentity !== this.#options.identity) return;
    const now = apiMicroTime(clock.now());
    const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: now, acquireTime: now };
    try {
      this.#observe(await api.resource(LEASES).update({ ...lease, spec }, { namespace: this.#options.namespace }));
    } catch (error) {
      logger.debug('the lease could not be given up', { lease: this.#options.name, err: error });
    }
  }

  #observe(lease: V1Lease): void {
    const before = this.#observed?.spec;
    const changed = before?.renewTime !== lease.spec?.renewTime || before?.holderIdentity !== lease.spec?.holderIdentity;
    if (this.#observed === undefined || changed) this.#observedAtMs = this.#deps.clock.monotonicMs();
    this.#observed = lease;
  }
}
