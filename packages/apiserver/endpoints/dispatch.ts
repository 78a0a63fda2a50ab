import type { Catalog } from '@coffer/api/catalog/catalog';
import type { ResourceInfo } from '@coffer/api/catalog/resource';
import { quoteGo } from '@coffer/api/errors/field-error';
import { badRequest } from '@coffer/api/errors/status-error';
import { pathSegmentProblems } from '@coffer/api/validation/names';
import type { HttpResponse } from '@coffer/base/http/handler';
import type { RequestContext } from '../request/context.ts';
import { splitPath } from '../request/parse-request-info.ts';
import { genericStatus } from './generic-status.ts';
import { respondText } from './respond.ts';
import type { EndpointTools, Scope } from './scope.ts';
import { bindPod } from './subresources/binding.ts';
import { createFromBody } from './verbs/create.ts';
import { deleteOne } from './verbs/delete.ts';
import { deleteCollection } from './verbs/delete-collection.ts';
import { getObject } from './verbs/get.ts';
import { listObjects } from './verbs/list.ts';
import { patchObject } from './verbs/patch.ts';
import { updateFromBody } from './verbs/update.ts';
import { watchObjects } from './verbs/watch.ts';

export type SubresourceHandler = (context: RequestContext, scope: Scope) => Promise<HttpResponse> | HttpResponse;

/** Answers a POST of a kind that is never stored. */
export type ReviewHandler = (context: RequestContext, resource: ResourceInfo, tools: EndpointTools) => Promise<HttpResponse>;

export interface DispatcherDeps {
  readonly catalog: Catalog;
  /** By `group/version/resource`. */
  readonly scopes: ReadonlyMap<string, Scope>;
  /** By `group/resource/subresource`, then by verb. */
  readonly subresources: ReadonlyMap<string, Readonly<Record<string, SubresourceHandler>>>;
  /** By `group/resource`. */
  readonly reviews: ReadonlyMap<string, ReviewHandler>;
  readonly tools: EndpointTools;
}

/** Finds the endpoint of a resource request: which paths exist, and which methods they have. */
export class Dispatcher {
  readonly #deps: DispatcherDeps;

  constructor(deps: DispatcherDeps) {
    this.#deps = deps;
  }

  async handle(context: RequestContext): Promise<HttpResponse> {
    const { info } = context;
    const key = `${info.group}/${info.version}/${info.resource}`;
    const scope = this.#deps.scopes.get(key);
    if (scope === undefined) return this.#withoutStorage(context);
    if (!isWellPlaced(context, scope.resource)) throw genericStatus(404);
    checkPathName(info.name);
    discourage(context, scope.registry.kind.deprecation);
    if (info.subresource !== '') return this.#subresource(context, scope);
    return serve(context, scope);
  }

  async #withoutStorage(context: RequestContext): Promise<HttpResponse> {
    const { info } = context;
    const { catalog, reviews, tools } = this.#deps;
    const resource = catalog.byGroupVersionResource(info.group, info.version, info.resource);
    if (resource === undefined) {
      // An unknown group is the business of no one here; within a known one the router of the API group answers.
      if (catalog.inGroupVersion(info.group, info.version).length === 0) return respondText(404, '404 page not found\n');
      throw genericStatus(404);
    }
    const review = reviews.get(`${info.group}/${info.resource}`);
    const bindings = this.#bindings(context, resource);
    if (bindings !== undefined) return bindings;
    if (review === undefined || info.name !== '' || !isWellPlaced(context, resource)) throw genericStatus(404);
    if (info.verb !== 'create' || (resource.namespaced && info.namespace === '')) throw genericStatus(405);
    return review(context, resource, tools);
  }

  /** `namespaces/…/bindings`: the older form of a pod's `binding` subresource. */
  #bindings(context: RequestContext, resource: ResourceInfo): Promise<HttpResponse> | undefined {
    const pods = this.#deps.scopes.get('/v1/pods');
    if (resource.group !== '' || resource.resource !== 'bindings' || pods === undefined) return undefined;
    const { name, namespace, verb } = context.info;
    if (name !== '') throw genericStatus(404);
    if (verb !== 'create' || namespace === '') throw genericStatus(405);
    return bindPod(context, pods, '');
  }

  async #subresource(context: RequestContext, scope: Scope): Promise<HttpResponse> {
    const { info } = context;
    const handlers = this.#deps.subresources.get(`${info.group}/${info.resource}/${info.subresource}`);
    if (handlers === undefined || !scope.resource.subresources.some((s) => s.name === info.subresource)) throw genericStatus(404);
    if (info.name === '') throw badRequest('name must be provided');
    const handler = context.http.method === 'HEAD' && info.subresource !== 'proxy' ? undefined : handlers[info.verb];
    if (handler === undefined) throw genericStatus(405);
    return handler(context, scope);
  }
}

/** What could never be part of a storage key is no name, whatever is asked of it. */
function checkPathName(name: string): void {
  const problems = name === '' ? [] : pathSegmentProblems(name);
  if (problems.length > 0) throw badRequest(`Name parameter invalid: ${quoteGo(name)}: ${problems.join(';')}`);
}

/** Tells the client, and the audit log, that it uses a version that is going away. */
function discourage(context: RequestContext, deprecation: string | undefined): void {
  if (deprecation === undefined) return;
  context.warnings.add(deprecation);
  context.auditAnnotations.set('k8s.io/deprecated', 'true');
}

/** Whether the path has the shape of a path of this resource: namespace where there must be one, no segments left over. */
function isWellPlaced(context: RequestContext, resource: ResourceInfo): boolean {
  const { info } = context;
  if (resource.namespaced) {
    if (info.namespace === '' && info.name !== '') return false;
  } else if (info.namespace !== '' && (resource.resource !== 'namespaces' || info.namespace !== info.name)) {
    return false;
  }
  // What is behind `proxy` is the path of somebody else.
  return info.subresource === '' || info.subresource === 'proxy' || segmentsBehindSubresource(info.path, info.subresource) === 0;
}

function segmentsBehindSubresource(path: string, subresource: string): number {
  const parts = splitPath(path);
  const first = parts[0] === 'apis' ? 3 : 2;
  const namespaced = parts[first] === 'namespaces' && parts.length > first + 2 && parts[first + 2] !== subresource;
  return parts.length - (first + (namespaced ? 2 : 0) + 3);
}

/** HEAD is a get and a path below /watch is a watch whatever the method, but only these are served. */
const methodOf: Readonly<Record<string, string>> = {
  get: 'GET',
  list: 'GET',
  watch: 'GET',
  create: 'POST',
  update: 'PUT',
  patch: 'PATCH',
  delete: 'DELETE',
  deletecollection: 'DELETE',
};

async function serve(context: RequestContext, scope: Scope): Promise<HttpResponse> {
  const { info } = context;
  const { resource } = scope;
  if (!resource.verbs.includes(info.verb) || context.http.method !== methodOf[info.verb]) throw genericStatus(405);
  const named = info.name !== '';
  switch (info.verb) {
    case 'get':
      return getObject(context, scope);
    case 'list':
      return listObjects(context, scope);
    case 'watch':
      return watchObjects(context, scope);
    case 'create':
      if (named || (resource.namespaced && info.namespace === '')) throw genericStatus(405);
      return createFromBody(context, scope);
    case 'update':
      if (!named) throw genericStatus(405);
      return updateFromBody(context, scope, scope.registry.mainRules);
    case 'patch':
      if (!named) throw genericStatus(405);
      return patchObject(context, scope, scope.registry.mainRules);
    case 'delete':
      return deleteOne(context, scope);
    case 'deletecollection':
      if (resource.namespaced && info.namespace === '') throw genericStatus(405);
      return deleteCollection(context, scope);
    default:
      throw genericStatus(405);
  }
}
