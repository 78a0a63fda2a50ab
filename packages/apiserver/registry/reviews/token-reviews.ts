import { StatusError } from '@coffer/api/errors/status-error';
import type { V1TokenReview } from '@coffer/api/generated/types';
import type { UserInfo } from '@coffer/base/http/handler';
import type { AuthenticationResult } from '../../authentication/authenticator.ts';
import type { Review } from './review.ts';

/** Checks a bearer token for somebody else; undefined or StatusError 401 when it is not valid for these audiences. */
export type TokenVerifier = (token: string, audiences: readonly string[]) => Promise<AuthenticationResult | undefined>;

/** `tokenreviews`: whose token is this? A token that is not valid is an answer, not an error. The token is not echoed. */
export function tokenReview(verify: TokenVerifier, apiAudiences: readonly string[]): Review {
  return async (object) => {
    const { spec } = object as unknown as V1TokenReview;
    const token = spec.token ?? '';
    if (token === '') throw new StatusError(400, 'BadRequest', 'token is required for TokenReview in authentication');
    const wanted = spec.audiences ?? [];
    const result = await verify(token, wanted.length > 0 ? wanted : apiAudiences).catch((error: unknown) => {
      if (error instanceof StatusError && error.code === 401) return undefined;
      throw error;
    });
    object['status'] = result
      ? {
          authenticated: true,
          user: userStatus(result.user),
          ...(wanted.length > 0 && result.audiences ? { audiences: result.audiences } : {}),
        }
      : { user: {}, error: '[invalid bearer token]' };
    return object;
  };
}

/** `selfsubjectreviews`: who am I? */
export const selfSubjectReview: Review = (object, { user }) => {
  object['status'] = { userInfo: userStatus(user) };
  return object;
};

function userStatus(user: UserInfo): Readonly<Record<string, unknown>> {
  return {
    username: user.name,
    ...(user.uid ? { uid: user.uid } : {}),
    ...(user.groups.length > 0 ? { groups: user.groups } : {}),
    ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
  };
}
