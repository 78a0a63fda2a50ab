import type { HttpRequest, UserInfo } from '@coffer/base/http/handler';
import type { AuditLevel } from '../audit/policy.ts';
import type { BodyReference } from '../audit/request-object.ts';
import type { RequestInfo } from './request-info.ts';

/** One API request on its way through the filters. Filters fill it in order; handlers read it. */
export interface RequestContext {
  readonly http: HttpRequest;
  readonly auditId: string;
  readonly receivedAtMs: number;
  readonly info: RequestInfo;
  readonly query: URLSearchParams;
  /** Set by authentication, replaced by impersonation. */
  user: UserInfo;
  /** Set when `user` is impersonated under a constrained mode: the verb that allowed it, e.g. `impersonate:user-info`. */
  impersonationConstraint?: string;
  /** Texts for `Warning: 299` headers, in the order they were added, without duplicates. */
  readonly warnings: WarningList;
  /** What audit records about this request beyond its attributes; values of Secrets never go in. */
  readonly auditAnnotations: Map<string, string>;
  /** What audit records of this request; undefined when it is not audited. */
  auditLevel?: AuditLevel;
  /** Set by the endpoints when they have read the body; see audit/request-object.ts. */
  requestReference?: BodyReference;
  /** JSON, for the audit levels Request and RequestResponse. */
  requestObject?: Uint8Array | string;
}

const noTexts: readonly string[] = [];

export class WarningList {
  /** Most requests have none. */
  #texts: Set<string> | undefined;

  add(text: string): void {
    this.#texts ??= new Set();
    this.#texts.add(text);
  }

  get texts(): readonly string[] {
    return this.#texts === undefined ? noTexts : [...this.#texts];
  }
}
