import type { HttpRequest } from '@coffer/base/http/handler';
import type { RawResponse } from './node-http-request.ts';

/** What the listener asks of a request besides what handlers do. */
export interface ListenerRequest extends HttpRequest {
  readonly httpVersionMajor: number;
  /** True when the client sent (or may still send) a body that nobody read to its end. */
  readonly bodyUnread: boolean;
  /** Reads the rest of the body and forgets it; resolves when it ended, or the connection, but no later than after `maxMs`. */
  discardBody(maxMs: number): Promise<void>;
}

/** Aborted when `connection` is closed before `response` was ended, or when the server closes. */
export function abortWhenGone(
  connection: Pick<RawResponse, 'once'>,
  response: Pick<RawResponse, 'writableEnded'> | undefined,
  serverClosing: AbortSignal,
): AbortSignal {
  const controller = new AbortController();
  const closing = () => controller.abort(serverClosing.reason);
  const gone = () => {
    serverClosing.removeEventListener('abort', closing);
    // HTTP/2 calls a response finished when its stream was cut, so what counts is whether we ended it.
    if (response?.writableEnded !== true) controller.abort(new Error('client closed the connection'));
  };
  connection.once('close', gone);
  if (serverClosing.aborted) closing();
  else serverClosing.addEventListener('abort', closing, { once: true });
  return controller.signal;
}
