import type { Catalog } from '@coffer/api/catalog/catalog';
import type { ResourceInfo } from '@coffer/api/catalog/resource';
import { canonicalize } from '@coffer/api/codec/canonicalize';
import type { ConvertObject } from '@coffer/api/managedfields/ownership';
import { apiVersionOf, type KubeObject } from '@coffer/api/meta/object';
import type { BuiltInSchemaTable } from '@coffer/api/schema/schema-table';
import type { HttpResponse } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import { TurnGate } from '@coffer/base/time/turn-gate';
import type { AdmissionChain } from '../admission/chain.ts';
import type { Authorizer } from '../authorization/authorizer.ts';
import { Registry } from '../registry/generic/registry.ts';
import type { Strategy } from '../registry/generic/strategy.ts';
import type { KindLookup, ResourceStores } from '../registry/open-stores.ts';
import type { RequestContext } from '../request/context.ts';
import { Dispatcher, type ReviewHandler } from './dispatch.ts';
import type { EndpointTools, Scope } from './scope.ts';
import { subresourceHandlers } from './subresources/handlers.ts';
import type { NodeLookup } from './subresources/reach-node.ts';
import type { TokenIssuer } from './subresources/token.ts';

/** Everything the resource endpoints need from outside. */
export interface ApiHandlerDeps {
  readonly catalog: Catalog;
  readonly kinds: KindLookup;
  readonly stores: ResourceStores;
  readonly strategies: (group: string, resource: string) => Strategy;
  readonly table: BuiltInSchemaTable;
  readonly admission: AdmissionChain;
  /** Asked once more when a PUT or an apply turns out to create: whoever may update may not always create. */
  readonly authorizer: Authorizer;
  readonly clock: Clock;
  /** The kubelet of a node, for logs and streams; undefined when the node cannot be reached. */
  readonly nodeApiFor: NodeLookup;
  readonly tokenIssuer: TokenIssuer;
  /** Kinds that are answered and never stored, by `group/resource`. */
  readonly reviews: ReadonlyMap<string, ReviewHandler>;
  readonly onWatchEvents?: (group: string, version: string, resource: string, count: number) => void;
  readonly random?: () => number;
}

/** The handler of all resource requests. Requests arrive authenticated and authorised; errors are thrown as StatusError. */
export function createApiHandler(deps: ApiHandlerDeps): (context: RequestContext) => Promise<HttpResponse> {
  const tools: EndpointTools = {
    table: deps.table,
    admission: deps.admission,
    authorizer: deps.authorizer,
    clock: deps.clock,
    turns: new TurnGate(deps.clock),
    onWatchEvents: deps.onWatchEvents ?? (() => {}),
    random: deps.random ?? Math.random,
  };
  const scopes = new Map<string, Scope>();
  for (const resource of deps.catalog.resources) {
    const scope = createScope(deps, tools, resource, (object, apiVersion) => convertStored(scopes.values(), resource, object, apiVersion));
    if (scope !== undefined) scopes.set(`${resource.group}/${resource.version}/${resource.resource}`, scope);
  }
  const handlers = subresourceHandlers({ scopes, nodeApiFor: deps.nodeApiFor, tokenIssuer: deps.tokenIssuer });
  const dispatcher = new Dispatcher({
    catalog: deps.catalog,
    scopes,
    subresources: handlers,
    reviews: deps.reviews,

    tools,
  });
  return (context) => dispatcher.handle(context);
}

/** undefined for rows without storage. */
function createScope(deps: ApiHandlerDeps, tools: EndpointTools, resource: ResourceInfo, convert: ConvertObject): Scope | undefined {
  const store = deps.stores.get(resource.storagePrefix);
  const kind = deps.kinds(resource.group, resource.resource);
  if (store === undefined || kind === undefined) return undefined;
  const schema = deps.table.struct(kind.schema);
  const registry = new Registry({
    resource,
    kind,
    store,
    strategy: deps.strategies(resource.group, resource.resource),
    clock: deps.clock,
    canonicalize: (object) => canonicalize(object, schema, deps.table),
  });
  return { resource, apiVersion: apiVersionOf(resource), registry, schema, tools, convert };
}

/** The object of one resource in the version of another one that serves the same stored objects; undefined when there is none. */
function convertStored(scopes: Iterable<Scope>, resource: ResourceInfo, object: KubeObject, apiVersion: string): ReturnType<ConvertObject> {
  const siblings = [...scopes].filter((scope) => scope.resource.storagePrefix === resource.storagePrefix);
  const from = siblings.find((scope) => scope.apiVersion === object.apiVersion);
  const to = siblings.find((scope) => scope.apiVersion === apiVersion);
  if (from === undefined || to === undefined) return undefined;
  return { object: to.registry.servedObject(from.registry.toStored(object)), schema: to.schema };
}
