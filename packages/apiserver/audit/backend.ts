import type { UserInfo } from '@coffer/base/http/handler';
import type { AuditLevel, AuditStage } from './policy.ts';

/** audit.k8s.io/v1 Event. Bodies are there only at the levels that ask for them. */
export interface AuditEvent {
  readonly kind: 'Event';
  readonly apiVersion: 'audit.k8s.io/v1';
  readonly level: AuditLevel;
  readonly auditID: string;
  readonly stage: AuditStage;
  readonly requestURI: string;
  readonly verb: string;
  readonly user: AuditUser;
  readonly impersonatedUser?: AuditUser;
  /** Under which mode the impersonated user was taken, when it is a constrained one. */
  readonly authenticationMetadata?: { readonly impersonationConstraint: string };
  readonly sourceIPs?: readonly string[];
  readonly userAgent?: string;
  readonly objectRef?: Readonly<Record<string, string>>;
  readonly responseStatus?: Readonly<Record<string, unknown>>;
  readonly requestObject?: unknown;
  readonly responseObject?: unknown;
  /** RFC 3339 with microseconds. */
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface AuditUser {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: UserInfo['extra'];
}

/**
 * Where audit events go. `record` resolves when the backend has taken responsibility: for a blocking backend when the event is
 * written, for a batching one when it is queued. It rejects when the request must fail because of it. `close` writes everything
 * that was taken.
 */
export interface AuditBackend {
  record(event: AuditEvent): Promise<void>;
  close(): Promise<void>;
}
