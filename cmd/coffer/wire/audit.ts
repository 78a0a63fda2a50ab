import { readFile } from 'node:fs/promises';
import type { AuditBackend } from '@coffer/apiserver/audit/backend';
import { defaultAuditPolicy, parseAuditPolicy } from '@coffer/apiserver/audit/policy';
import { type AuditFilters, withAudit } from '@coffer/apiserver/filters/with-audit';
import type { AuditMetrics } from '@coffer/apiserver/metrics/audit-metrics';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { AccessFlags } from '../up/access-flags.ts';

export interface Audit {
  readonly filters: AuditFilters;
  /** Writes every event that was taken. */
  close(): Promise<void>;
}

const bytesPerMegabyte = 1024 * 1024;
const msPerDay = 24 * 3_600_000;

/** Policy and backends of the `--audit-*` flags; undefined when no backend is asked for. */
export async function wireAudit(flags: AccessFlags, clock: Clock, logger: Logger, metrics: AuditMetrics): Promise<Audit | undefined> {
  const policy = flags.auditPolicyFile ? parseAuditPolicy(await readFile(flags.auditPolicyFile, 'utf8')) : defaultAuditPolicy;
  const backends: AuditBackend[] = [];
  if (flags.auditLogPath) backends.push(await logBackend(flags, flags.auditLogPath, clock, logger, metrics));
  if (flags.auditWebhookConfigFile) backends.push(await webhookBackend(flags, flags.auditWebhookConfigFile, clock, logger, metrics));
  if (backends.length === 0) return undefined;
  return {
    filters: withAudit({ policy, backends: backends.map(metrics.counting), clock, secretBodies: flags.auditAllowSecretBodies }),
    close: async () => {
      await Promise.all(backends.map((backend) => backend.close()));
    },
  };
}

async function logBackend(flags: AccessFlags, path: string, clock: Clock, logger: Logger, metrics: AuditMetrics): Promise<AuditBackend> {
  const { AuditLogBackend } = await import('@coffer/apiserver/audit/log-backend');
  const backend = new AuditLogBackend({
    path,
    maxBytes: flags.auditLogMaxsize * bytesPerMegabyte,
    maxAgeMs: flags.auditLogMaxage * msPerDay,
    maxBackups: flags.auditLogMaxbackup,
    mode: flags.auditLogMode,
    maxQueued: flags.auditWebhookBatchBufferSize,
    clock,
    logger,
    onDropped: (count) => metrics.dropped('log', count),
  });
  await backend.open();
  return backend;
}

async function webhookBackend(
  flags: AccessFlags,
  file: string,
  clock: Clock,
  logger: Logger,
  metrics: AuditMetrics,
): Promise<AuditBackend> {
  const [{ AuditWebhookBackend }, { webhookClient }] = await Promise.all([
    import('@coffer/apiserver/audit/webhook-backend'),
    import('./webhook-client.ts'),
  ]);
  return new AuditWebhookBackend({
    client: webhookClient(file, clock),
    maxBatchSize: flags.auditWebhookBatchMaxSize,
    maxBatchWaitMs: flags.auditWebhookBatchMaxWait,
    maxQueued: flags.auditWebhookBatchBufferSize,
    initialBackoffMs: flags.auditWebhookInitialBackoff,
    clock,
    logger,
    onDropped: (count) => metrics.dropped('webhook', count),
  });
}
