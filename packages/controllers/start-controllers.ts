/**
 * Starts the control loops and the scheduler of one process. Each loop runs under an identity of its own (`common/loop-deps.ts`), so that
 * RBAC decides for each what it may do. A loop that fails is logged and started again after a pause; the others go on.
 */
import { setMaxListeners } from 'node:events';
import { hostname } from 'node:os';
import type { UserInfo } from '@coffer/base/http/handler';
import { runBootstrapSigner } from './bootstrap-tokens/bootstrap-signer.ts';
import { runTokenCleaner } from './bootstrap-tokens/token-cleaner.ts';
import type { CertificateSigner } from './certificates/certificate-controller.ts';
import { runCertificateController } from './certificates/certificate-controller.ts';
import { runClusterRoleAggregation } from './clusterrole-aggregation/cluster-role-aggregation.ts';
import type { LoopDeps, LoopEnvironment } from './common/loop-deps.ts';
import { loopIdentity, makeLoopDeps } from './common/loop-deps.ts';
import { runDeploymentController } from './deployment/deployment-controller.ts';
import { runDisruptionController } from './disruption/disruption-controller.ts';
import { runEndpointSliceController } from './endpoints/endpoint-slice-controller.ts';
import { runEndpointSliceMirroring } from './endpoints/endpoint-slice-mirroring.ts';
import { runEndpointsController } from './endpoints/endpoints-controller.ts';
import { runEventTtlController } from './event-ttl/event-ttl-controller.ts';
import { runGarbageCollector } from './garbage-collector/garbage-collector.ts';
import { runNamespaceController } from './namespace/namespace-controller.ts';
import { runNodeLifecycleController } from './node-lifecycle/node-lifecycle-controller.ts';
import { runPodGarbageCollector } from './pod-gc/pod-garbage-collector.ts';
import { runReplicaSetController, runReplicationController } from './replicaset/replica-set-controller.ts';
import { runResourceQuotaController } from './resource-quota/resource-quota-controller.ts';
import { runRootCaPublisher } from './root-ca/root-ca-publisher.ts';
import { runScheduler, SCHEDULER_IDENTITY } from './scheduler/scheduler.ts';
import { runServiceAccountController } from './serviceaccount/service-account-controller.ts';
import { runLegacyTokenCleaner } from './token/legacy-token-cleaner.ts';
import type { SecretTokenIssuer } from './token/token-controller.ts';
import { runTokenController } from './token/token-controller.ts';

export interface ControllersDeps extends LoopEnvironment {
  /** The cluster's CA in PEM, published to every namespace. */
  readonly caBundle: string;
  /** Absent: certificate requests are neither approved nor signed. */
  readonly signer?: CertificateSigner;
  /** Absent: Secrets of type `kubernetes.io/service-account-token` are left empty. */
  readonly tokenIssuer?: SecretTokenIssuer;
  readonly options?: ControllersOptions;
}

export interface ControllersOptions {
  readonly eventTtlMs?: number;
  readonly terminatedPodThreshold?: number;
  readonly nodeMonitorGracePeriodMs?: number;
  /** How long a token in a Secret may be unused before it is taken out of use. */
  readonly legacyTokenCleanUpPeriodMs?: number;
}

/** Running loops. */
export interface RunningLoops {
  /** Resolves when all of them have ended after the signal was aborted. */
  readonly stopped: Promise<void>;
}

type Loop = (deps: LoopDeps, signal: AbortSignal) => Promise<void>;

const RESTART_AFTER_MS = 1000;

/** Starts all loops but the scheduler; they run until the signal is aborted. Returns at once. */
export function startControllers(deps: ControllersDeps, signal: AbortSignal): RunningLoops {
  // Every loop listens to the one signal; that is no leak.
  setMaxListeners(0, signal);
  const { caBundle, signer, tokenIssuer, options = {} } = deps;
  const loops: Record<string, Loop> = {
    'deployment-controller': runDeploymentController,
    'replicaset-controller': runReplicaSetController,
    'replication-controller': runReplicationController,
    'namespace-controller': runNamespaceController,
    'service-account-controller': runServiceAccountController,
    'root-ca-cert-publisher': (loop, stop) => runRootCaPublisher({ ...loop, caBundle }, stop),
    'generic-garbage-collector': runGarbageCollector,
    'pod-garbage-collector': (loop, stop) =>
      runPodGarbageCollector(loop, { terminatedPodThreshold: options.terminatedPodThreshold ?? 12_500 }, stop),
    'node-controller': (loop, stop) =>
      runNodeLifecycleController(loop, { gracePeriodMs: options.nodeMonitorGracePeriodMs ?? 50_000, monitorPeriodMs: 5000 }, stop),
    'ttl-controller': (loop, stop) => runEventTtlController(loop, { ttlMs: options.eventTtlMs ?? 3_600_000 }, stop),
    'clusterrole-aggregation-controller': runClusterRoleAggregation,
    'endpointslice-controller': runEndpointSliceController,
    'endpointslicemirroring-controller': runEndpointSliceMirroring,
    'endpoint-controller': runEndpointsController,
    'resourcequota-controller': runResourceQuotaController,
    'disruption-controller': runDisruptionController,
    'bootstrap-signer': runBootstrapSigner,
    'token-cleaner': runTokenCleaner,
    'legacy-service-account-token-cleaner': (loop, stop) =>
      runLegacyTokenCleaner(loop, { periodMs: options.legacyTokenCleanUpPeriodMs ?? 365 * 86_400_000 }, stop),
  };
  if (signer !== undefined) loops['certificate-controller'] = (loop, stop) => runCertificateController({ ...loop, signer }, stop);
  if (tokenIssuer !== undefined) loops['token-controller'] = (loop, stop) => runTokenController({ ...loop, tokenIssuer, caBundle }, stop);
  const running = Object.entries(loops).map(([name, loop]) => keepRunning(deps, loopIdentity(name), name, loop, signal));
  return { stopped: Promise.all(running).then(() => undefined) };
}

/** Starts the scheduler. */
export function startScheduler(environment: LoopEnvironment, signal: AbortSignal): RunningLoops {
  const loop: Loop = (deps, stop) => runScheduler(deps, { host: hostname() }, stop);
  return { stopped: keepRunning(environment, SCHEDULER_IDENTITY, 'scheduler', loop, signal) };
}

/** Runs a loop; when it fails, its informers are closed and it starts anew. */
async function keepRunning(environment: LoopEnvironment, identity: UserInfo, name: string, loop: Loop, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const term = new AbortController();
    const onAbort = () => term.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await loop(makeLoopDeps(environment, identity, name, term.signal), term.signal);
      if (!signal.aborted) throw new Error('the loop ended by itself');
    } catch (error) {
      if (!signal.aborted) environment.logger.error('a control loop failed, starting it again', { loop: name, err: error });
    } finally {
      signal.removeEventListener('abort', onAbort);
      term.abort(new Error('the loop has ended'));
    }
    if (!signal.aborted) await environment.clock.sleep(RESTART_AFTER_MS, signal).catch(() => undefined);
  }
}
