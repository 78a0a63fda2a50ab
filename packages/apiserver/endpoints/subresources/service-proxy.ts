import { badRequest, isReason, notFound, StatusError } from '@coffer/api/errors/status-error';
import type { V1EndpointSlice, V1Service, V1ServicePort } from '@coffer/api/generated/types';
import { viewAs } from '@coffer/api/kinds/define-kind';
import type { KubeObject } from '@coffer/api/meta/object';
import type { HttpResponse } from '@coffer/base/http/handler';
import type { RequestContext } from '../../request/context.ts';
import type { SubresourceHandler } from '../dispatch.ts';
import type { Scope } from '../scope.ts';
import { admitConnect, forEveryMethod } from './pod-proxy.ts';
import { carryToPod, parseTarget, redirectToSlash } from './proxy-exchange.ts';
import type { ConnectDeps } from './reach-node.ts';

const NUMBER = /^\d+$/;

type Scopes = ReadonlyMap<string, Scope>;

/** `services/…/proxy/…`: as the proxy to pods, to any pod that is ready behind the service. The port is one of the service, by name or number. */
export function serviceProxyHandlers(deps: ConnectDeps, scopes: Scopes): Readonly<Record<string, SubresourceHandler>> {
  return forEveryMethod((context, scope) => proxyToService(context, scope, deps, scopes));
}

async function proxyToService(context: RequestContext, scope: Scope, deps: ConnectDeps, scopes: Scopes): Promise<HttpResponse> {
  const { info } = context;
  const target = parseTarget(info.name);
  if (target === undefined) throw badRequest(`invalid service request ${JSON.stringify(info.name)}`);
  const service = serviceOf(scope, info.namespace, target);
  await admitConnect(context, scope, target.name, service);
  const redirect = redirectToSlash(context);
  if (redirect !== undefined) return redirect;
  const portName = nameOfPort(viewAs<V1Service>(service).spec?.ports ?? [], target.port);
  if (portName === undefined) throw unavailable(`no service port ${target.port} found for service "${target.name}"`);
  const slices = slicesOf(scopes, info.namespace, target.name);
  if (slices.every(({ endpoints }) => (endpoints ?? []).length === 0))
    throw unavailable(`no endpoints available for service "${target.name}"`);
  const backends = readyBackends(scopes, info.namespace, slices, portName);
  const chosen = backends[Math.floor(scope.tools.random() * backends.length)];
  if (chosen === undefined) throw unavailable(`no endpoints available for service "${info.name}"`);
  return carryToPod(context, deps, chosen.pod, { port: chosen.port, secure: target.secure });
}

/** Upstream asks for the service only to find a port by its number, and for the endpoints in any case. */
function serviceOf(scope: Scope, namespace: string, { name, port }: { readonly name: string; readonly port: string }): KubeObject {
  try {
    return scope.registry.served(scope.registry.get(namespace, name));
  } catch (error) {
    if (isReason(error, 'NotFound') && !NUMBER.test(port)) throw notFound({ group: '', resource: 'endpoints' }, name);
    throw error;
  }
}

/** A number is that of a port; without either, the port without a name is meant. */
function nameOfPort(ports: readonly V1ServicePort[], wanted: string): string | undefined {
  if (!NUMBER.test(wanted)) return wanted;
  const found = ports.find(({ port }) => port === Number(wanted));
  return found && (found.name ?? '');
}

function slicesOf(scopes: Scopes, namespace: string, service: string): readonly V1EndpointSlice[] {
  const slices = scopes.get('discovery.k8s.io/v1/endpointslices')?.registry.store.list({ namespace });
  if (slices === undefined || slices instanceof Promise) return [];
  const views = slices.items.map((stored) => viewAs<V1EndpointSlice>(stored.peek()));
  return views.filter(({ metadata }) => metadata?.labels?.['kubernetes.io/service-name'] === service);
}

function readyBackends(
  scopes: Scopes,
  namespace: string,
  slices: readonly V1EndpointSlice[],
  portName: string,
): { readonly pod: KubeObject; readonly port: number }[] {
  const pods = scopes.get('/v1/pods')?.registry;
  if (pods === undefined) return [];
  return slices.flatMap((slice) => {
    const port = slice.ports?.find(({ name }) => (name ?? '') === portName)?.port;
    if (port === undefined) return [];
    return (slice.endpoints ?? []).flatMap(({ conditions, targetRef }) => {
      if (conditions?.ready === false || targetRef?.kind !== 'Pod') return [];
      const pod = pods.store.get(namespace, targetRef.name ?? '');
      return pod !== undefined && pod.uid === targetRef.uid ? [{ pod: pods.served(pod), port }] : [];
    });
  });
}

function unavailable(message: string): StatusError {
  return new StatusError(503, 'ServiceUnavailable', message);
}
