import { Counter, type Registry } from 'prom-client';
import type { AuditBackend } from '../audit/backend.ts';

export interface AuditMetrics {
  readonly dropped: (plugin: 'log' | 'webhook', count: number) => void;
  /** A backend that counts the events it takes. */
  readonly counting: (backend: AuditBackend) => AuditBackend;
}

/** Counters of audit events, with kube-apiserver's names. */
export function createAuditMetrics(registry: Registry): AuditMetrics {
  const registers = [registry];
  const events = new Counter({
    name: 'apiserver_audit_event_total',
    help: '[ALPHA] Counter of audit events generated and sent to the audit backend.',
    registers,
  });
  const errors = new Counter({
    name: 'apiserver_audit_error_total',
    help: '[ALPHA] Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error.',
    labelNames: ['plugin'],
    registers,
  });
  return {
    dropped: (plugin, count) => errors.inc({ plugin }, count),
    counting: (backend) => ({
      record(event) {
        events.inc();
        return backend.record(event);
      },
      close: () => backend.close(),
    }),
  };
}
