import type { HttpResponse } from '@coffer/base/http/handler';
import type { RequestContext } from '../../request/context.ts';
import { readRevision, waitUntilFresh } from '../freshness.ts';
import { negotiateOutput } from '../negotiation.ts';
import { respondStored } from '../represent.ts';
import { type Scope, storageNamespace } from '../scope.ts';

/** GET of one object: a look-up in the watch cache, sent as the bytes that are there. */
export function getObject(context: RequestContext, scope: Scope): HttpResponse | Promise<HttpResponse> {
  const format = negotiateOutput(context.http, context.query);
  const { name } = context.info;
  const namespace = storageNamespace(context, scope);
  const { store } = scope.registry;
  const wanted = context.query.size === 0 ? '' : (context.query.get('resourceVersion') ?? '');
  const fresh = wanted === '0' ? undefined : waitUntilFresh(store, wanted === '' ? 'latest' : readRevision(wanted));
  if (fresh !== undefined) return fresh.then(() => respondStored(context, scope, 200, scope.registry.get(namespace, name), format));
  return respondStored(context, scope, 200, scope.registry.get(namespace, name), format);
}
