import { badRequest, internalError } from '@coffer/api/errors/status-error';
import type { V1TokenReview } from '@coffer/api/generated/types';
import type { UserInfo } from '@coffer/base/http/handler';
import { CredentialsError, type TokenAuthenticator } from '../../authentication/authenticator.ts';
import { withAuthenticatedGroup } from '../../authentication/union.ts';
import type { Review } from './review.ts';

const unknownToken = 'invalid bearer token';

/** `tokenreviews`: whose token is this? A token that is not valid is an answer, not an error. */
export function tokenReview(tokens: TokenAuthenticator, apiAudiences: readonly string[]): Review {
  return async (object) => {
    const { spec } = object as Partial<V1TokenReview>;
    const token = spec?.token ?? '';
    if (token === '') throw badRequest('token is required for TokenReview in authentication');
    const audiences = spec?.audiences ?? [];
    const wanted = audiences.length > 0 ? audiences : apiAudiences;
    try {
      const result = await tokens.authenticateToken(token, wanted);
      if (!result) {
        object.status = { user: {}, error: unknownToken };
        return object;
      }
      if (!result.audiences?.some((audience) => wanted.includes(audience))) {
        throw internalError('an error occurred validating the audiences of the token');
      }
      const { user } = withAuthenticatedGroup(result);
      object.status = { authenticated: true, user: userStatus(user), audiences: result.audiences };
    } catch (error) {
      if (!(error instanceof CredentialsError)) throw error;
      object.status = { user: {}, error: `[${unknownToken}, ${error.message.replace(/^\[(.*)\]$/s, '$1')}]` };
    }
    return object;
  };
}

/** `selfsubjectreviews`: who am I? The answer is an object of its own: nothing of the question is in it. */
export const selfSubjectReview: Review = ({ apiVersion, kind }, { user, now }) => ({
  apiVersion,
  kind,
  metadata: { creationTimestamp: now },
  status: { userInfo: userStatus(user) },
});

function userStatus(user: UserInfo): Readonly<Record<string, unknown>> {
  return {
    username: user.name,
    ...(user.uid ? { uid: user.uid } : {}),
    ...(user.groups.length > 0 ? { groups: user.groups } : {}),
    ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
  };
}
