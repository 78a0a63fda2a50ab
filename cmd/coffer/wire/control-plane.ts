import { builtInCatalog, type Catalog } from '@coffer/api/catalog/catalog';
import { builtInKind } from '@coffer/api/kinds/index';
import { builtInSchemaTable } from '@coffer/api/schema/schema-table';
import { builtInAdmission } from '@coffer/apiserver/admission/built-in';
import { certificatePlugins } from '@coffer/apiserver/admission/certificates/certificate-plugins';
import { AdmissionChain } from '@coffer/apiserver/admission/chain';
import { nodeRestrictionPlugin } from '@coffer/apiserver/admission/node/node-restriction';
import { resourceQuotaAdmission } from '@coffer/apiserver/admission/plugins/resource-quota';
import { rbacEscalationPlugin } from '@coffer/apiserver/admission/rbac/escalation';
import type { TokenAuthenticator } from '@coffer/apiserver/authentication/authenticator';
import type { ServiceAccountTokenIssuer } from '@coffer/apiserver/authentication/service-account/token-issuer';
import { nodeAuthorizer } from '@coffer/apiserver/authorization/node/node-authorizer';
import { NodeGraph } from '@coffer/apiserver/authorization/node/node-graph';
import { RbacAuthorizer } from '@coffer/apiserver/authorization/rbac/rbac-authorizer';
import { RbacIndex } from '@coffer/apiserver/authorization/rbac/rbac-index';
import { reconcileBootstrapPolicy } from '@coffer/apiserver/authorization/rbac/reconcile-bootstrap';
import { createApiHandler } from '@coffer/apiserver/endpoints/create-api-handler';
import type { ReviewHandler } from '@coffer/apiserver/endpoints/dispatch';
import { reviewHandler } from '@coffer/apiserver/endpoints/review-handler';
import type { NodeLookup } from '@coffer/apiserver/endpoints/subresources/reach-node';
import { withImpersonation } from '@coffer/apiserver/filters/with-impersonation';
import { InFlightLimiter } from '@coffer/apiserver/filters/with-max-in-flight';
import { type HealthCheck, HealthChecks } from '@coffer/apiserver/health/health-checks';
import { KubeletClients } from '@coffer/apiserver/kubelet-client/kubelet-clients';
import { createAdmissionMetrics } from '@coffer/apiserver/metrics/admission-metrics';
import { createAuditMetrics } from '@coffer/apiserver/metrics/audit-metrics';
import { createPodSecurityMetrics } from '@coffer/apiserver/metrics/pod-security-metrics';
import { createServerMetrics } from '@coffer/apiserver/metrics/server-metrics';
import type { ClusterKeys } from '@coffer/apiserver/pki/cluster-keys';
import { serviceStrategy } from '@coffer/apiserver/registry/core/service-strategy';
import { openResourceStores, type ResourceStores } from '@coffer/apiserver/registry/open-stores';
import { selfSubjectAccessReview, selfSubjectRulesReview, subjectAccessReview } from '@coffer/apiserver/registry/reviews/access-reviews';
import type { Review } from '@coffer/apiserver/registry/reviews/review';
import { selfSubjectReview, tokenReview } from '@coffer/apiserver/registry/reviews/token-reviews';
import { builtInStrategies } from '@coffer/apiserver/registry/strategies';
import { createApiServer } from '@coffer/apiserver/server/api-server';
import { discoveryEndpoint, openApiEndpoint } from '@coffer/apiserver/server/discovery-endpoints';
import { createNonResourceHandler, type NonResourceEndpoint } from '@coffer/apiserver/server/non-resource-endpoints';
import { rootIndexEndpoint } from '@coffer/apiserver/server/root-index';
import { versionInfo } from '@coffer/apiserver/server/version';
import type { Handler } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { KeyClaims } from '@coffer/storage/servers/key-claims';
import type { Storage } from '@coffer/storage/store/storage';
import type { ResourceStore } from '@coffer/storage/store/store';
import type { Registry } from 'prom-client';
import { build } from '../build-info.ts';
import type { AccessFlags } from '../up/access-flags.ts';
import { wireAudit } from './audit.ts';
import { wireAuthentication } from './authentication.ts';
import { type ClientTrust, publishAuthenticationTrust } from './authentication-trust.ts';
import { type Authorization, wireAuthorization } from './authorization.ts';
import { ensureSystemNamespaces, ensureSystemPriorityClasses } from './bootstrap-objects.ts';
import { legacyTokenTracker, startLegacyTokenTracking } from './legacy-token-tracking.ts';
import { quotaStatusWriter } from './quota-status-writer.ts';
import { writeAsServer } from './write-as-server.ts';

export interface ControlPlaneOptions {
  readonly storage: Storage;
  readonly keys: ClusterKeys;
  readonly clientTrust: ClientTrust;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly access: AccessFlags;
  readonly maxRequestsInflight: number;
  readonly maxMutatingRequestsInflight: number;
  readonly requestTimeoutMs: number;
  /** `host:port` clients reach this server at; shown by `/api`. */
  readonly serverAddress: string;
  readonly nodeApiFor: NodeLookup;
  /** Called when every object is loaded, before anything is read or written on behalf of anybody. */
  readonly onLoaded?: () => Promise<void>;
  /** Metrics of parts that are not wired here. */
  readonly registerMetrics?: (registry: Registry) => void;
  /** Checks of `/healthz`, `/livez` and `/readyz` of parts that are not wired here. */
  readonly healthChecks?: readonly HealthCheck[];
  /** Endpoints of Coffer's own, outside of the API groups. */
  readonly endpoints?: readonly NonResourceEndpoint[];
  /** Called when an index over the store has lost its feed: the server cannot go on. */
  readonly onFatal: (error: Error) => void;
  /** What servers on the same store give away to services; undefined for a server that has it for itself. */
  readonly serviceClaims?: KeyClaims | undefined;
}

export interface ControlPlane {
  /** The server core: every request, whatever brought it. */
  readonly handler: Handler;
  readonly health: HealthChecks;
  readonly tokenIssuer: ServiceAccountTokenIssuer;
  readonly stores: ResourceStores;
  /** Tells servers that extend the API whose clients this one trusts. */
  publishTrust(): Promise<void>;
  /** Call it when no request is on its way any more. */
  close(): Promise<void>;
}

/** Puts the API server together: stores → indexes → authentication, authorization, admission → endpoints → filters. */
export async function wireControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { clock, logger, storage } = options;
  const catalog = builtInCatalog();
  const table = builtInSchemaTable();
  const stores = await openResourceStores((config) => storage.resource(config), catalog, builtInKind);
  const store = (prefix: string) => storeOf(stores, prefix);
  await options.onLoaded?.();

  const rbacStores = {
    roles: store('roles'),
    clusterRoles: store('clusterroles'),
    roleBindings: store('rolebindings'),
    clusterRoleBindings: store('clusterrolebindings'),
  };
  const rbacIndex = new RbacIndex(rbacStores, options.onFatal);
  const nodeGraph = new NodeGraph(store('pods'), options.onFatal);
  const rbac = new RbacAuthorizer(rbacIndex);
  const closing = new AbortController();
  const { signal } = closing;
  const authorizer = await wireAuthorization(options.access, { node: nodeAuthorizer(nodeGraph), rbac, clock, logger, signal });

  const legacyTokens = legacyTokenTracker(logger);
  const authentication = await wireAuthentication(options.access, {
    serviceAccountKeyPem: options.keys.serviceAccountKeyPem,
    serverAddress: options.serverAddress,
    clock,
    logger,
    store,
    recordLegacyUse: legacyTokens.record,
    clientTrust: options.clientTrust,
    signal,
  });

  const kubelets = new KubeletClients({
    nodes: store('minions'),
    ...options.keys.kubeletClient,
    authorityPem: options.keys.authority.certificatePem,
  });

  const health = new HealthChecks();
  const askStore = async () => void (await storage.stats());
  health.add({ name: 'etcd', check: askStore });
  health.add({ name: 'etcd-readiness', endpoints: ['readyz'], check: () => withinMs(clock, readyWithinMs, askStore) });
  for (const check of options.healthChecks ?? []) health.add(check);
  const inFlight = new InFlightLimiter({ maxReadOnly: options.maxRequestsInflight, maxMutating: options.maxMutatingRequestsInflight });
  const metrics = createServerMetrics({
    inFlight: () => inFlight.current,
    objectCounts: () =>
      catalog.resources.filter((r) => r.storagePrefix !== '').map((r) => [r.group, r.resource, store(r.storagePrefix).count()] as const),
    storeSizeBytes: async () => (await storage.stats()).sizeBytes,
    isServed: (group, version, resource, subresource) => isServed(catalog, group, version, resource, subresource),
    rbacIndexDelaySeconds: async () => (await rbacIndex.delayMs(clock)) / 1000,
  });
  options.registerMetrics?.(metrics.registry);
  const version = versionInfo(build);
  const quotaWriter = quotaStatusWriter();
  const admission = new AdmissionChain(
    [
      ...builtInAdmission({
        store,
        clock,
        podSecurityMetrics: createPodSecurityMetrics(metrics.registry, Number(version.minor)),
        nodeRestriction: nodeRestrictionPlugin({ pods: store('pods'), nodes: store('minions') }),
      }),
      ...certificatePlugins(authorizer),
      rbacEscalationPlugin({ authorizer, rbac, index: rbacIndex }),
      resourceQuotaAdmission({ quotas: store('resourcequotas'), clock, writeStatus: quotaWriter.write }),
    ],
    createAdmissionMetrics(metrics.registry),
  );
  const resources = createApiHandler({
    catalog,
    kinds: builtInKind,
    stores,
    strategies: builtInStrategies({ services: serviceStrategy(store('services/specs'), options.serviceClaims) }),
    table,
    admission,
    authorizer,
    clock,
    nodeApiFor: async (name) => (await options.nodeApiFor(name)) ?? kubelets.for(name),
    tokenIssuer: authentication.tokenIssuer,
    reviews: reviewHandlers(authorizer, authentication.tokens, authentication.apiAudiences),
    onWatchEvents: metrics.countWatchEvents,
  });
  const audit = await wireAudit(options.access, clock, logger, createAuditMetrics(metrics.registry));
  const handler = createApiServer({
    clock,
    logger,
    authenticator: authentication.authenticator,
    authorizer,
    requestTimeoutMs: options.requestTimeoutMs,
    metrics: metrics.filter,
    ...(audit ? { audit: audit.filters } : {}),
    impersonation: withImpersonation(authorizer),
    maxInFlight: inFlight.filter,
    resources,
    nonResources: createNonResourceHandler({
      health,
      version,
      metrics: () => metrics.render(),
      endpoints: [
        rootIndexEndpoint(catalog, health),
        discoveryEndpoint(catalog, options.serverAddress),
        openApiEndpoint(catalog),
        authentication.issuerDiscovery,
        ...(options.endpoints ?? []),
      ],
    }),
  });
  quotaWriter.handler = handler;
  const start = (name: string, run: () => Promise<void>) => health.step(`poststarthook/${name}`, run);
  await start('start-system-namespaces-controller', () => ensureSystemNamespaces(handler, store('namespaces')));
  await start('scheduling/bootstrap-system-priority-classes', () => ensureSystemPriorityClasses(handler, store('priorityclasses')));
  legacyTokens.handler = handler;
  await start('start-legacy-token-tracking-controller', () => startLegacyTokenTracking(handler, store('configmaps'), clock));
  const publishTrust = () => publishAuthenticationTrust(handler, store('configmaps'), options.clientTrust, options.access);
  await start('start-cluster-authentication-info-controller', publishTrust);
  await start('rbac/bootstrap-roles', () =>
    reconcileBootstrapPolicy({
      ...rbacStores,
      write: (collection, object, existing) => writeAsServer(handler, collection, object, existing),
    }),
  );
  return {
    handler,
    health,
    tokenIssuer: authentication.tokenIssuer,
    stores,
    publishTrust,
    async close() {
      closing.abort(new Error('the server ends'));
      await audit?.close();
      kubelets.close();
      rbacIndex.close();
      nodeGraph.close();
    },
  };
}

/** Longest time in which a server that is ready has an answer from its store. */
const readyWithinMs = 2000;

async function withinMs(clock: Clock, limitMs: number, run: () => Promise<void>): Promise<void> {
  const answered = new AbortController();
  const late = clock.sleep(limitMs, answered.signal).then(() => {
    throw new Error(`no answer within ${limitMs} ms`);
  });
  late.catch(() => {});
  await Promise.race([run(), late]).finally(() => answered.abort());
}

function isServed(catalog: Catalog, group: string, version: string, resource: string, subresource: string): boolean {
  const row = catalog.byGroupVersionResource(group, version, resource);
  return row !== undefined && (subresource === '' || row.subresources.some(({ name }) => name === subresource));
}

function storeOf(stores: ResourceStores, prefix: string): ResourceStore {
  const store = stores.get(prefix);
  if (!store) throw new Error(`no store for ${prefix}`);
  return store;
}

function reviewHandlers(
  authorizer: Authorization,
  tokens: TokenAuthenticator,
  apiAudiences: readonly string[],
): ReadonlyMap<string, ReviewHandler> {
  const reviews: readonly (readonly [group: string, resource: string, review: Review])[] = [
    ['authorization.k8s.io', 'subjectaccessreviews', subjectAccessReview(authorizer)],
    ['authorization.k8s.io', 'localsubjectaccessreviews', subjectAccessReview(authorizer)],
    ['authorization.k8s.io', 'selfsubjectaccessreviews', selfSubjectAccessReview(authorizer)],
    ['authorization.k8s.io', 'selfsubjectrulesreviews', selfSubjectRulesReview(() => authorizer.ruleResolvers)],
    ['authentication.k8s.io', 'tokenreviews', tokenReview(tokens, apiAudiences)],
    ['authentication.k8s.io', 'selfsubjectreviews', selfSubjectReview],
  ];
  return new Map(
    reviews.map(([group, resource, review]) => {
      const kind = builtInKind(group, resource);
      if (!kind) throw new Error(`no kind for ${resource}`);
      return [`${group}/${resource}`, reviewHandler(kind, review)] as const;
    }),
  );
}
