import { badRequest } from '@coffer/api/errors/status-error';
import type { ExecOptions, NodeApi, PodRef } from '@coffer/api/node/node-api';
import type { HttpResponse } from '@coffer/base/http/handler';
import type { RequestContext } from '../../request/context.ts';

/** exec and attach over a SPDY upgrade, for clients older than the WebSocket protocol. */
export function serveExecSpdy(
  _context: RequestContext,
  _node: NodeApi,
  _pod: PodRef,
  _subresource: 'exec' | 'attach',
  _options: ExecOptions,
): HttpResponse {
  throw badRequest('unable to upgrade: only WebSocket is supported');
}
