import type { UpdateRules } from '../../registry/generic/strategy.ts';
import type { SubresourceHandler } from '../dispatch.ts';
import type { Scope } from '../scope.ts';
import { getObject } from '../verbs/get.ts';
import { patchObject } from '../verbs/patch.ts';
import { updateFromBody } from '../verbs/update.ts';
import { approvalRules, csrStatusRules } from './approval.ts';
import { bindPod } from './binding.ts';
import { ephemeralContainersRules } from './ephemeral-containers.ts';
import { evictPod } from './eviction.ts';
import { finalizeRules } from './finalize.ts';
import { nodeProxyHandlers } from './node-proxy.ts';
import { podConnectHandlers } from './pod-connect.ts';
import { podLogs } from './pod-log.ts';
import { podProxyHandlers } from './pod-proxy.ts';
import type { ConnectDeps, NodeLookup } from './reach-node.ts';
import { resizeRules } from './resize.ts';
import { scaleHandlers } from './scale.ts';
import { serviceProxyHandlers } from './service-proxy.ts';
import { statusRulesFor } from './status.ts';
import { createToken, type TokenIssuer } from './token.ts';

export interface SubresourceDeps {
  /** By `group/version/resource`. */
  readonly scopes: ReadonlyMap<string, Scope>;
  readonly nodeApiFor: NodeLookup;
  readonly tokenIssuer: TokenIssuer;
}

type Handlers = Readonly<Record<string, SubresourceHandler>>;

/** The handlers of all subresources by `group/resource/subresource` and verb. */
export function subresourceHandlers(deps: SubresourceDeps): ReadonlyMap<string, Handlers> {
  const table = new Map<string, Handlers>();
  for (const scope of deps.scopes.values()) {
    const { group, resource } = scope.resource;
    for (const { name } of scope.resource.subresources) {
      const handlers = handlersFor(scope, name, deps);
      if (handlers !== undefined) table.set(`${group}/${resource}/${name}`, handlers);
    }
  }
  return table;
}

function handlersFor(scope: Scope, subresource: string, deps: SubresourceDeps): Handlers | undefined {
  const connect: ConnectDeps = { nodeApiFor: deps.nodeApiFor };
  const isCsr = scope.resource.resource === 'certificatesigningrequests';
  switch (subresource) {
    case 'status':
      return wholeObject(isCsr ? csrStatusRules(scope.registry.kind) : statusRulesFor(scope.registry.kind));
    case 'approval':
      return wholeObject(approvalRules(scope.registry.kind));
    case 'finalize':
      return { update: (context, own) => updateFromBody(context, own, finalizeRules(own.registry.kind)) };
    case 'ephemeralcontainers':
      return wholeObject(ephemeralContainersRules(scope.registry.kind));
    case 'resize':
      return wholeObject(resizeRules(scope.registry.kind));
    case 'scale':
      return scaleHandlers(scope);
    case 'binding':
      return { create: (context, own) => bindPod(context, own, context.info.name) };
    case 'eviction':
      return { create: (context, own) => evictPod(context, own, deps.scopes.get('policy/v1/poddisruptionbudgets')) };
    case 'token':
      return { create: (context, own) => createToken(context, own, deps.tokenIssuer, deps.scopes) };
    case 'log':
      return { get: (context, own) => podLogs(context, own, connect) };
    case 'exec':
    case 'attach':
    case 'portforward':
      return podConnectHandlers(subresource, connect);
    case 'proxy':
      return proxyHandlers(scope.resource.resource, connect, deps.scopes);
    default:
      return undefined;
  }
}

function proxyHandlers(resource: string, connect: ConnectDeps, scopes: SubresourceDeps['scopes']): Handlers {
  switch (resource) {
    case 'nodes':
      return nodeProxyHandlers(connect);
    case 'services':
      return serviceProxyHandlers(connect, scopes);
    default:
      return podProxyHandlers(connect);
  }
}

/** GET, PUT and PATCH of a subresource that shows the whole object and writes a part of it. */
function wholeObject(rules: UpdateRules): Handlers {
  return {
    get: getObject,
    update: (context, scope) => updateFromBody(context, scope, rules),
    patch: (context, scope) => patchObject(context, scope, rules),
  };
}
