import { Counter, Gauge, type Registry } from 'prom-client';

/** Reloads of the encryption configuration, with kube-apiserver's names. Counts from the start, also before it is registered. */
export class ReloadMetrics {
  readonly #counts = { success: 0, failure: 0 };
  readonly #lastSeconds = { success: 0, failure: 0 };

  count(outcome: 'success' | 'failure', nowMs: number): void {
    this.#counts[outcome]++;
    this.#lastSeconds[outcome] = nowMs / 1000;
  }

  register(registry: Registry): void {
    const counts = this.#counts;
    const lastSeconds = this.#lastSeconds;
    new Counter({
      name: 'apiserver_encryption_config_controller_automatic_reloads_total',
      help: 'Total number of reload successes and failures of encryption configuration.',
      labelNames: ['status'],
      registers: [registry],
      collect() {
        this.reset();
        for (const status of ['success', 'failure'] as const) this.inc({ status }, counts[status]);
      },
    });
    new Gauge({
      name: 'apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds',
      help: 'Timestamp of the last successful or failed reload of encryption configuration.',
      labelNames: ['status'],
      registers: [registry],
      collect() {
        for (const status of ['success', 'failure'] as const) this.set({ status }, lastSeconds[status]);
      },
    });
  }
}
