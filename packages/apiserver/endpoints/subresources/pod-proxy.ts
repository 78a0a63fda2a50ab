import { badRequest } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import type { HttpResponse } from '@coffer/base/http/handler';
import { podSpec } from '../../registry/core/pod-strategy.ts';
import type { RequestContext } from '../../request/context.ts';
import type { SubresourceHandler } from '../dispatch.ts';
import { admissionAttributes, type Scope } from '../scope.ts';
import { carryToPod, parseTarget, portNumber, redirectToSlash } from './proxy-exchange.ts';
import type { ConnectDeps } from './reach-node.ts';

/**
 * `pods/…/proxy/…`: an HTTP request to a port of a pod, carried to its node as a port-forward. The name may say more:
 * `[https:]pod[:port]`. What identifies the caller to this server stays here; connections are not upgraded.
 */
export function podProxyHandlers(deps: ConnectDeps): Readonly<Record<string, SubresourceHandler>> {
  return forEveryMethod((context, scope) => proxyToPod(context, scope, deps));
}

/** OPTIONS has no verb. */
export function forEveryMethod(proxy: SubresourceHandler): Readonly<Record<string, SubresourceHandler>> {
  return { get: proxy, create: proxy, update: proxy, patch: proxy, delete: proxy, '': proxy };
}

async function proxyToPod(context: RequestContext, scope: Scope, deps: ConnectDeps): Promise<HttpResponse> {
  const { info } = context;
  const target = parseTarget(info.name);
  if (target === undefined || (target.port !== '' && portNumber(target.port) === undefined)) {
    throw badRequest(`invalid pod request ${JSON.stringify(info.name)}`);
  }
  const pod = scope.registry.served(scope.registry.get(info.namespace, target.name));
  await admitConnect(context, scope, target.name, pod);
  const port = portNumber(target.port) ?? declaredPort(pod) ?? (target.secure ? 443 : 80);
  return redirectToSlash(context) ?? carryToPod(context, deps, pod, { port, secure: target.secure });
}

export async function admitConnect(context: RequestContext, scope: Scope, name: string, oldObject: KubeObject): Promise<void> {
  const attributes = admissionAttributes(context, scope, 'CONNECT', { name, object: undefined, oldObject, dryRun: false });
  await scope.tools.admission.admit(attributes);
  await scope.tools.admission.validate(attributes);
}

function declaredPort(pod: KubeObject): number | undefined {
  return podSpec(pod).containers?.find(({ ports }) => (ports?.length ?? 0) > 0)?.ports?.[0]?.containerPort;
}
