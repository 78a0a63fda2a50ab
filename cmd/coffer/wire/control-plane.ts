import { readFile } from 'node:fs/promises';
import { builtInCatalog } from '@coffer/api/catalog/catalog';
import { builtInKind } from '@coffer/api/kinds/index';
import { builtInSchemaTable } from '@coffer/api/schema/schema-table';
import type { NodeApi } from '@coffer/api/node/node-api';
import { AdmissionChain } from '@coffer/apiserver/admission/chain';
import { nodeRestrictionPlugin } from '@coffer/apiserver/admission/node/node-restriction';
import { rbacEscalationPlugin } from '@coffer/apiserver/admission/rbac/escalation';
import { anonymousAuthenticator } from '@coffer/apiserver/authentication/anonymous';
import type { Authenticator } from '@coffer/apiserver/authentication/authenticator';
import { clientCertificateAuthenticator } from '@coffer/apiserver/authentication/client-certificate';
import { inProcessAuthenticator } from '@coffer/apiserver/authentication/in-process';
import { loadSigningKeys } from '@coffer/apiserver/authentication/service-account/signing-keys';
import { ServiceAccountTokenAuthenticator, type TokenObjects } from '@coffer/apiserver/authentication/service-account/token-authenticator';
import { ServiceAccountTokenIssuer } from '@coffer/apiserver/authentication/service-account/token-issuer';
import { tokenFileAuthenticator } from '@coffer/apiserver/authentication/token-file';
import { unionAuthenticator } from '@coffer/apiserver/authentication/union';
import { nodeAuthorizer } from '@coffer/apiserver/authorization/node/node-authorizer';
import { NodeGraph } from '@coffer/apiserver/authorization/node/node-graph';
import { RbacAuthorizer } from '@coffer/apiserver/authorization/rbac/rbac-authorizer';
import { RbacIndex } from '@coffer/apiserver/authorization/rbac/rbac-index';
import { reconcileBootstrapPolicy } from '@coffer/apiserver/authorization/rbac/reconcile-bootstrap';
import { systemMastersAuthorizer } from '@coffer/apiserver/authorization/system-masters';
import { unionAuthorizer } from '@coffer/apiserver/authorization/union';
import { createApiHandler } from '@coffer/apiserver/endpoints/create-api-handler';
import { withImpersonation } from '@coffer/apiserver/filters/with-impersonation';
import { InFlightLimiter } from '@coffer/apiserver/filters/with-max-in-flight';
import { HealthChecks } from '@coffer/apiserver/health/health-checks';
import { createServerMetrics } from '@coffer/apiserver/metrics/server-metrics';
import type { ClusterKeys } from '@coffer/apiserver/pki/cluster-keys';
import { openResourceStores, type ResourceStores } from '@coffer/apiserver/registry/open-stores';
import { createApiServer } from '@coffer/apiserver/server/api-server';
import { createNonResourceHandler } from '@coffer/apiserver/server/non-resource-endpoints';
import { versionInfo } from '@coffer/apiserver/server/version';
import type { Handler } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore } from '@coffer/storage/store/store';
import type { Storage } from '@coffer/storage/store/storage';
import { build } from '../build-info.ts';

export interface ControlPlaneOptions {
  readonly storage: Storage;
  readonly keys: ClusterKeys;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly tokenAuthFile?: string | undefined;
  readonly anonymousAuth: boolean;
  readonly serviceAccountIssuer: string;
  readonly apiAudiences: readonly string[];
  readonly maxRequestsInflight: number;
  readonly maxMutatingRequestsInflight: number;
  readonly requestTimeoutMs: number;
  readonly nodeApiFor: (nodeName: string) => NodeApi | undefined;
  /** Called when an index over the store has lost its feed: the server cannot go on. */
  readonly onFatal: (error: Error) => void;
}

export interface ControlPlane {
  /** The server core: every request, whatever brought it. */
  readonly handler: Handler;
  readonly health: HealthChecks;
  readonly tokenIssuer: ServiceAccountTokenIssuer;
  readonly stores: ResourceStores;
  close(): void;
}

/** Puts the API server together: stores → indexes → authentication, authorization, admission → endpoints → filters. */
export async function wireControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { clock, logger, storage } = options;
  const catalog = builtInCatalog();
  const table = builtInSchemaTable();
  const stores = await openResourceStores((config) => storage.resource(config), catalog, builtInKind);
  const store = (prefix: string) => storeOf(stores, prefix);

  const rbacIndex = new RbacIndex(
    { roles: store('roles'), clusterRoles: store('clusterroles'), roleBindings: store('rolebindings'), clusterRoleBindings: store('clusterrolebindings') },
    options.onFatal,
  );
  const nodeGraph = new NodeGraph(store('pods'), options.onFatal);
  const rbac = new RbacAuthorizer(rbacIndex);
  const authorizer = unionAuthorizer([systemMastersAuthorizer, nodeAuthorizer(nodeGraph), rbac]);

  const tokenKeys = loadSigningKeys(options.keys.serviceAccountKeyPem);
  const apiAudiences = options.apiAudiences.length > 0 ? options.apiAudiences : [options.serviceAccountIssuer];
  const tokenIssuer = new ServiceAccountTokenIssuer({ keys: tokenKeys, issuer: options.serviceAccountIssuer, apiAudiences, clock });
  const tokenAuthenticator = new ServiceAccountTokenAuthenticator({
    keys: tokenKeys,
    issuers: [options.serviceAccountIssuer],
    apiAudiences,
    clock,
    objects: tokenObjects(store),
  });
  const authenticators: Authenticator[] = [inProcessAuthenticator, clientCertificateAuthenticator(clock)];
  if (options.tokenAuthFile) authenticators.push(tokenFileAuthenticator(await readFile(options.tokenAuthFile, 'utf8')));
  authenticators.push(tokenAuthenticator);
  if (options.anonymousAuth) authenticators.push(anonymousAuthenticator);

  const admission = new AdmissionChain([
    nodeRestrictionPlugin(nodeGraph),
    rbacEscalationPlugin({ authorizer, rbac, index: rbacIndex }),
  ]);

  const health = new HealthChecks();
  const inFlight = new InFlightLimiter({ maxReadOnly: options.maxRequestsInflight, maxMutating: options.maxMutatingRequestsInflight });
  const metrics = createServerMetrics({
    inFlight: () => inFlight.current,
    objectCounts: () => catalog.resources.filter((r) => r.storagePrefix !== '').map((r) => [r.group, r.resource, store(r.storagePrefix).count()] as const),
    storeSizeBytes: async () => (await storage.stats()).sizeBytes,
    openWatches: async () => (await storage.stats()).resources.reduce((sum, resource) => sum + resource.watches, 0),
  });
  const resources = createApiHandler({});
  const handler = createApiServer({
    clock,
    logger,
    authenticator: unionAuthenticator(authenticators),
    authorizer,
    requestTimeoutMs: options.requestTimeoutMs,
    metrics: metrics.filter,
    impersonation: withImpersonation(authorizer),
    maxInFlight: inFlight.filter,
    resources,
    nonResources: createNonResourceHandler({ health, version: versionInfo(build), metrics: () => metrics.render(), endpoints: [] }),
  });
  return {
    handler,
    health,
    tokenIssuer,
    stores,
    close() {
      rbacIndex.close();
      nodeGraph.close();
    },
  };
}

function storeOf(stores: ResourceStores, prefix: string): ResourceStore {
  const store = stores.get(prefix);
  if (!store) throw new Error(`no store for ${prefix}`);
  return store;
}

/** What ServiceAccount tokens are bound to, straight from the watch cache. */
function tokenObjects(store: (prefix: string) => ResourceStore): TokenObjects {
  return { get: (resource, namespace, name) => store(resource === 'nodes' ? 'minions' : resource).get(namespace, name) };
}
