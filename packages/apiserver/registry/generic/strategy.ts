import type { FieldError } from '@coffer/api/errors/field-error';
import type { KubeObject } from '@coffer/api/meta/object';
import type { UserInfo } from '@coffer/base/http/handler';
import type { DeleteOptions } from '../../endpoints/options/delete-options.ts';
import type { WarningList } from '../../request/context.ts';

/**
 * What the requests on one kind do to its objects beyond the generic rules: the per-kind half of the registry. Everything is
 * optional; `defaultStrategy` is a plain kind without status, generation or graceful deletion. Functions change the new object in
 * place and never the old one.
 */
export interface Strategy {
  /** Sets and clears what a create may not choose (status, generation, …), and warns of what it changed. */
  readonly prepareForCreate?: (object: KubeObject, context: WriteContext, warnings: WarningList) => void;
  /** Restores what an update of the main resource may not change (status, …) and counts the generation. */
  readonly prepareForUpdate?: (object: KubeObject, old: KubeObject, context: WriteContext) => void;
  /**
   * Last changes of a write after validation passed (allocation of addresses); may refuse with field errors. What it gives away must
   * stay reserved until `settled`, because other writes run in between.
   */
  readonly allocate?: (object: KubeObject, old: KubeObject | undefined, context: WriteContext) => FieldError[] | Promise<FieldError[]>;
  /** The write with this context is over, whatever came of it; what it stored is visible. */
  readonly settled?: (context: WriteContext) => void | Promise<void>;
  /** PUT and apply of a missing object create it. Server-side apply creates for every kind. */
  readonly allowCreateOnUpdate?: boolean;
  /** PUT without resourceVersion is last-writer-wins (the default); false demands a resourceVersion. */
  readonly allowUnconditionalUpdate?: boolean;
  /** What DELETE does with dependents when the request does not say. */
  readonly garbageCollection?: 'background' | 'orphan' | 'unsupported';
  /** Why DELETE of the object with this name is forbidden. A collection is deleted with everything in it. */
  readonly undeletable?: (name: string) => string | undefined;
  /** DELETE answers with the object instead of a Success status. */
  readonly returnDeletedObject?: boolean;
  /** Seconds of grace for this deletion; undefined deletes without grace. */
  readonly gracePeriodSeconds?: (object: KubeObject, options: DeleteOptions) => number | undefined;
  /** Further changes when a deletion starts (a namespace's phase); `object` already carries its deletionTimestamp. */
  readonly markDeleting?: (object: KubeObject) => void;
  /** True while something other than finalizers keeps a deleted object (a namespace's `spec.finalizers`). */
  readonly holdsDeletion?: (object: KubeObject) => boolean;
}

/** Who writes, and how; what a strategy may look at. */
export interface WriteContext {
  readonly user: UserInfo;
  readonly dryRun: boolean;
  /** Now as `metadata` has it: RFC 3339 in UTC, whole seconds. */
  readonly now: string;
  /** The client shows warnings to people: a refusal may come with advice. */
  readonly wantsAdvice: boolean;
}

/** What PUT and PATCH of a subresource do to the object: a narrower pair of rules than the resource's own. */
export interface UpdateRules {
  readonly prepareForUpdate?: (object: KubeObject, old: KubeObject, context: WriteContext) => void;
  readonly validateUpdate: (object: KubeObject, old: KubeObject) => FieldError[];
  readonly warnings?: (object: KubeObject, old: KubeObject) => string[];
  readonly allowUnconditionalUpdate: boolean;
  readonly allowCreateOnUpdate: boolean;
}
