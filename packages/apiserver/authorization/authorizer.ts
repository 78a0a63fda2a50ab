import type { UserInfo } from '@coffer/base/http/handler';

/** authorization.k8s.io attributes of one request. */
export interface Attributes {
  readonly user: UserInfo;
  readonly verb: string;
  readonly isResourceRequest: boolean;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  /** Also set when a list or watch selects exactly one name by field selector. */
  readonly name: string;
  /** Path of a non-resource request. */
  readonly path: string;
  /** The field selector of a list, watch or deletecollection, as it came. */
  readonly fieldSelector?: string;
  /** The label selector, likewise. */
  readonly labelSelector?: string;
}

export interface Decision {
  readonly decision: 'allow' | 'deny' | 'no-opinion';
  /** Shown to the client behind a colon, as upstream does. */
  readonly reason: string;
  /** What went wrong on the way to the decision. A request that is not allowed then fails (500), it is not forbidden. */
  readonly error?: string;
}

/** Decides before any object is read. The first opinion of a chain counts; no opinion at the end is a denial. */
export interface Authorizer {
  authorize(attributes: Attributes): Decision | Promise<Decision>;
}
