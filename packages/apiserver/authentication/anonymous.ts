import type { Authenticator } from './authenticator.ts';

const user = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** Who sends no credentials at all is `system:anonymous`; with `paths`, only for requests to exactly these paths. */
export function anonymousAuthenticator(paths: readonly string[] = []): Authenticator {
  return {
    authenticate({ url }) {
      const mark = url.indexOf('?');
      const path = mark < 0 ? url : url.slice(0, mark);
      return paths.length === 0 || paths.includes(path) ? { user } : undefined;
    },
  };
}
