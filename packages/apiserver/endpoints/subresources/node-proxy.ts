import { badRequest } from '@coffer/api/errors/status-error';
import type { V1Node } from '@coffer/api/generated/types';
import { viewAs } from '@coffer/api/kinds/define-kind';
import type { HttpHeaders, HttpResponse } from '@coffer/base/http/handler';
import type { RequestContext } from '../../request/context.ts';
import type { SubresourceHandler } from '../dispatch.ts';
import type { Scope } from '../scope.ts';
import { admitConnect, forEveryMethod } from './pod-proxy.ts';
import {
  copyTo,
  maxBodyBytes,
  parseTarget,
  passedOn,
  redirectToSlash,
  requestOnly,
  responseOnly,
  splitUrl,
  unreachable,
} from './proxy-exchange.ts';
import { type ConnectDeps, reachNode } from './reach-node.ts';

/**
 * `nodes/…/proxy/…`: a request to the kubelet of a node, which answers to this server whatever it serves. The name may say more:
 * `[https:]node[:port]`, where the port is the kubelet's: other ports of a machine are not reached. Connections are not upgraded.
 */
export function nodeProxyHandlers(deps: ConnectDeps): Readonly<Record<string, SubresourceHandler>> {
  return forEveryMethod((context, scope) => proxyToNode(context, scope, deps));
}

/** Where kubelets listen; one in the same process has no port, and is meant by this one. */
const usualPort = 10_250;

async function proxyToNode(context: RequestContext, scope: Scope, deps: ConnectDeps): Promise<HttpResponse> {
  const { http, info } = context;
  const target = parseTarget(info.name);
  if (target === undefined) throw badRequest(`invalid node request ${JSON.stringify(info.name)}`);
  const { name } = target;
  const node = scope.registry.served(scope.registry.get('', name));
  await admitConnect(context, scope, name, node);
  const port = viewAs<V1Node>(node).status?.daemonEndpoints?.kubeletEndpoint?.Port || usualPort;
  if (target.port !== '' && target.port !== String(port)) {
    throw badRequest(`the proxy reaches the kubelet of node ${JSON.stringify(name)} at port ${port}, not port ${target.port}`);
  }
  const redirect = redirectToSlash(context);
  if (redirect !== undefined) return redirect;
  if (http.upgrade !== undefined) throw badRequest('the proxy does not upgrade connections');
  const kubelet = await reachNode(deps, name);
  const { path, query } = splitUrl(http.url, info.resource, info.name);
  const body = await http.readBody(maxBodyBytes);
  const request = { method: http.method, path: `${path}${query}`, headers: passedOn(http.headers, requestOnly), body };
  const answer = await kubelet.request(request, http.signal).catch((error: unknown) => {
    throw http.signal.aborted ? error : unreachable(error);
  });
  return {
    kind: 'stream',
    status: answer.status,
    headers: passedOn(answer.headers, responseOnly) as HttpHeaders,
    run: (sink) => copyTo(sink, answer.body),
  };
}
