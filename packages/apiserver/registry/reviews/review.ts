import type { KubeObject } from '@coffer/api/meta/object';
import type { UserInfo } from '@coffer/base/http/handler';

/** Who asks, in which namespace (empty at cluster scope), and when. */
export interface ReviewContext {
  readonly user: UserInfo;
  readonly namespace: string;
  /** RFC 3339, whole seconds. */
  readonly now: string;
}

/**
 * A kind that is only ever created and never stored: the answer is the object with its status filled in. The object is
 * decoded, defaulted and validated; it is the request's own and may be changed.
 */
export type Review = (object: KubeObject, context: ReviewContext) => KubeObject | Promise<KubeObject>;
