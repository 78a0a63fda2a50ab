import type { HttpRequest } from '@coffer/base/http/handler';
import { type Authenticator, CredentialsError, type TokenAuthenticator } from './authenticator.ts';

const webSocketTokenPrefix = 'base64url.bearer.authorization.k8s.io.';

/** The bearer token of a request: from `Authorization`, or for browsers' WebSockets from the subprotocol upstream defined. */
export function bearerToken(request: HttpRequest): string | undefined {
  const header = request.headers.authorization;
  if (typeof header === 'string') {
    const [scheme = '', token = ''] = header.trim().split(' ');
    if (scheme.toLowerCase() === 'bearer' && token !== '') return token;
  }
  if (!request.upgrade) return undefined;
  const protocols = request.headers['sec-websocket-protocol'];
  if (typeof protocols !== 'string') return undefined;
  const offered = protocols.split(',').map((protocol) => protocol.trim());
  const encoded = offered.find((protocol) => protocol.startsWith(webSocketTokenPrefix));
  return encoded === undefined ? undefined : Buffer.from(encoded.slice(webSocketTokenPrefix.length), 'base64url').toString('utf8');
}

/** Requests with a bearer token: whoever knows the token says who it is; a token nobody knows is bad credentials. */
export function bearerTokenAuthenticator(tokens: TokenAuthenticator, apiAudiences: readonly string[]): Authenticator {
  return {
    async authenticate(request) {
      const token = bearerToken(request);
      if (token === undefined) return undefined;
      const result = await tokens.authenticateToken(token, apiAudiences);
      if (!result) throw new CredentialsError('invalid bearer token');
      return result;
    },
  };
}

/** Asks each authenticator in order; what one refuses another may know. Throws what was refused when nobody knows the token. */
export function unionTokenAuthenticator(authenticators: readonly TokenAuthenticator[]): TokenAuthenticator {
  return {
    async authenticateToken(token, audiences) {
      const refusals: CredentialsError[] = [];
      for (const authenticator of authenticators) {
        try {
          const result = await authenticator.authenticateToken(token, audiences);
          if (result) return result;
        } catch (error) {
          if (!(error instanceof CredentialsError)) throw error;
          refusals.push(error);
        }
      }
      if (refusals.length > 0) throw combine(refusals);
      return undefined;
    },
  };
}

/** Several refusals as one, as upstream prints them. */
export function combine(refusals: readonly CredentialsError[]): CredentialsError {
  const messages = [...new Set(refusals.map(({ message }) => message))];
  return new CredentialsError(messages.length === 1 ? (messages[0] ?? '') : `[${messages.join(', ')}]`);
}
