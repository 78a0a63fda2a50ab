import type { ServiceAccountTokenIssuer } from '@coffer/apiserver/authentication/service-account/token-issuer';
import type { ClusterKeys } from '@coffer/apiserver/pki/cluster-keys';
import type { Handler, UserInfo } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { TurnGate } from '@coffer/base/time/turn-gate';
import { inProcessTransport } from '@coffer/client/transport/in-process';
import { startControllers, startScheduler } from '@coffer/controllers/start-controllers';

export interface LoopsOptions {
  readonly handler: Handler;
  readonly keys: ClusterKeys;
  readonly tokenIssuer: ServiceAccountTokenIssuer;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of all requests inside the process. */
  readonly turns: TurnGate;
}

/** Starts the control loops and the scheduler on the in-process transport; they end with the signal. */
export function startLoops(options: LoopsOptions, signal: AbortSignal): { readonly stopped: Promise<void> } {
  const { handler, clock, logger, keys, tokenIssuer, turns } = options;
  const transportAs = (component: string) => (identity: UserInfo) =>
    inProcessTransport({ handler, identity, userAgent: `${component}/v1.36.0`, turns });
  const controllers = startControllers(
    {
      transportFor: transportAs('kube-controller-manager'),
      clock,
      logger,
      caBundle: keys.authority.certificatePem,
      signer: {
        async sign({ publicKey, ...request }) {
          const { signPublicKey } = await import('@coffer/apiserver/pki/certificates');
          return signPublicKey(keys.authority, publicKey, { ...request, nowMs: clock.now() });
        },
      },
      tokenIssuer: { issue: (account, secret) => tokenIssuer.issueForSecret(account, secret) },
    },
    signal,
  );
  const scheduler = startScheduler({ transportFor: transportAs('kube-scheduler'), clock, logger }, signal);
  return { stopped: Promise.all([controllers.stopped, scheduler.stopped]).then(() => undefined) };
}
