import type { ResourceInfo } from '@coffer/api/catalog/resource';
import type { KubeObject } from '@coffer/api/meta/object';
import type { UserInfo } from '@coffer/base/http/handler';
import type { WarningList } from '../request/context.ts';

/** What admission sees of a write. */
export interface AdmissionAttributes {
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  readonly resource: ResourceInfo;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** The new object (create, update); the options for connect; undefined for delete. */
  readonly object: KubeObject | undefined;
  /** The stored object (update, delete). Must not be changed. */
  readonly oldObject: KubeObject | undefined;
  readonly user: UserInfo;
  readonly dryRun: boolean;
  readonly warnings: WarningList;
  readonly auditAnnotations: Map<string, string>;
}

/**
 * One admission plugin. `admit` may change `attributes.object` and runs before validation; it may run again on a conflict, so it
 * must be idempotent. `validate` sees the final object. Both throw StatusError to refuse.
 */
export interface AdmissionPlugin {
  readonly name: string;
  admit?(attributes: AdmissionAttributes): void | Promise<void>;
  validate?(attributes: AdmissionAttributes): void | Promise<void>;
}
