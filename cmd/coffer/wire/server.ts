import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { NodeLookup } from '@coffer/apiserver/endpoints/subresources/reach-node';
import type { HealthCheck } from '@coffer/apiserver/health/health-checks';
import { type ClusterKeys, loadOrCreateClusterKeys } from '@coffer/apiserver/pki/cluster-keys';
import { storageEndpoints } from '@coffer/apiserver/server/storage-endpoints';
import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { ServerRegistry } from '@coffer/storage/rotation/server-registry';
import { AddressLeases } from '@coffer/storage/servers/address-leases';
import { KeyClaims } from '@coffer/storage/servers/key-claims';
import { writeKubeconfig } from '../config/kubeconfig.ts';
import type { DataPaths } from '../config/paths.ts';
import type { ServerFlags } from '../config/server-flags.ts';
import { type ApiAddress, ApiService } from './api-service.ts';
import { type ControlPlane, wireControlPlane } from './control-plane.ts';
import { openEncryption, type ServerEncryption } from './encryption.ts';
import { externalAddress, type Front, openFront, serverNames } from './front.ts';
import type { PodGateway } from './runtime.ts';
import { openServerTls } from './server-tls.ts';
import { wireStorageAdmin } from './storage-admin.ts';
import { type OpenStore, openStore } from './store.ts';

/** Time for requests that are under way when the server ends. */
export const closeGraceMs = 5_000;

/** Parts that come from the rest of the process. */
export interface ServerEnvironment {
  readonly paths: DataPaths;
  readonly logger: Logger;
  /** Where pods reach this machine, once it is known. */
  readonly podGateway: Promise<PodGateway | undefined>;
  readonly nodeApiFor: NodeLookup;
  /** Called when the server cannot go on. */
  readonly onFatal: (error: Error) => void;
}

/** An API server that answers. */
export interface RunningServer {
  readonly controlPlane: ControlPlane;
  readonly keys: ClusterKeys;
  readonly front: Front;
  /** Lines for whoever starts it. */
  readonly encryptionSummary: string;
  /** Ends what is open; requests that are under way get `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Encryption → store → keys → control plane → sockets; then the API shows where it is reached. */
export async function startServer(flags: ServerFlags, environment: ServerEnvironment): Promise<RunningServer> {
  const { paths, logger } = environment;
  const serverId = `${hostname()}-${flags.securePort}`;
  const encryption = await openEncryption(flags, { paths, logger, serverId });
  const [store, podGateway] = await Promise.all([openStore(flags, paths, encryption, logger), environment.podGateway]);
  const keys = await loadOrCreateClusterKeys({
    directory: paths.keys,
    serverNames: serverNames({ ...flags, podGateway }),
    clock: systemClock,
  });
  const tls = await openServerTls(flags, paths, keys, { clock: systemClock, logger });
  const registry = openRegistry(flags, serverId, encryption, store, logger);
  const storageAdmin = wireStorageAdmin(encryption, store, paths, registry);
  let isPublished = false;
  const controlPlane = await wireControlPlane({
    access: flags,
    maxRequestsInflight: flags.maxRequestsInflight,
    maxMutatingRequestsInflight: flags.maxMutatingRequestsInflight,
    requestTimeoutMs: flags.requestTimeout,
    serverAddress: externalAddress(flags),
    storage: store.storage,
    keys,
    clientTrust: tls.trust,
    onLoaded: async () => {
      await encryption.accept(store);
      await registry?.open();
    },
    healthChecks: [...encryption.healthChecks, publishedCheck(() => isPublished)],
    endpoints: [storageEndpoints(storageAdmin)],
    registerMetrics: (registry) => encryption.metrics.register(registry),
    clock: systemClock,
    logger,
    nodeApiFor: environment.nodeApiFor,
    onFatal: environment.onFatal,
    serviceClaims: openServiceClaims(flags, store),
  });
  const front = await openFront({ ...flags, tls: tls.material, podGateway }, controlPlane.handler, logger);
  const closing = new AbortController();
  controlPlane.health.add({ name: 'shutdown', endpoints: ['readyz'], check: () => closing.signal.throwIfAborted() });
  const useTls = async () => {
    front.replaceTls(tls.material);
    await controlPlane.publishTrust();
  };
  tls.follow(useTls, closing.signal);
  await writeKubeconfig(paths.kubeconfig, front.url, keys.authority.certificatePem, keys.admin);
  const apiService = openApiService(flags, controlPlane, front.advertised, store, logger);
  await apiService.open();
  isPublished = true;
  return {
    controlPlane,
    keys,
    front,
    encryptionSummary: encryption.summary,
    async close(graceMs) {
      closing.abort(new Error('the server ends'));
      await leaveEndpoints(apiService, logger);
      await front.close(graceMs);
      await storageAdmin.close();
      await controlPlane.close();
      await registry?.close();
      await store.storage.close();
      await encryption.close();
    },
  };
}

/** Whoever waits for the server may use its kubeconfig, and its Service, as soon as it is ready. */
function publishedCheck(isPublished: () => boolean): HealthCheck {
  return {
    name: 'poststarthook/bootstrap-controller',
    check() {
      if (!isPublished()) throw new Error('the kubeconfig and the Service of the API server are not written yet');
    },
  };
}

function openApiService(
  flags: ServerFlags,
  { handler }: ControlPlane,
  address: ApiAddress | undefined,
  { backend }: OpenStore,
  logger: Logger,
): ApiService {
  const shared = isShared(flags) && address !== undefined;
  const leases = shared ? new AddressLeases({ backend, clock: systemClock, host: address.host }) : undefined;
  return new ApiService({ handler, clock: systemClock, logger, address, leases });
}

/** Without the store a server ends all the same. */
async function leaveEndpoints(apiService: ApiService, logger: Logger): Promise<void> {
  const tooLong = systemClock.sleep(closeGraceMs).then(() => {
    throw new Error(`no answer within ${closeGraceMs} ms`);
  });
  await Promise.race([apiService.close(), tooLong]).catch((error: unknown) => {
    logger.warn('this server could not leave the endpoints of the API; others drop it in a while', { err: error });
  });
}

function openServiceClaims(flags: ServerFlags, { backend }: OpenStore): KeyClaims | undefined {
  if (!isShared(flags)) return undefined;
  return new KeyClaims({ backend, clock: systemClock, prefix: '/registry/coffer.dev/serviceclaims/' });
}

/** Only a store on etcd has several servers. */
function isShared({ storageBackend }: ServerFlags): boolean {
  return storageBackend === 'etcd';
}

function openRegistry(
  flags: ServerFlags,
  serverId: string,
  encryption: ServerEncryption,
  { backend }: OpenStore,
  logger: Logger,
): ServerRegistry | undefined {
  if (!isShared(flags)) return undefined;
  const id = `${serverId}-${randomBytes(4).toString('hex')}`;
  return new ServerRegistry({ backend, clock: systemClock, logger, id, keysDigest: () => encryption.configuration.current.keysDigest });
}
