import type { ServiceAccountTokenIssuer } from '@coffer/apiserver/authentication/service-account/token-issuer';
import type { ClusterKeys } from '@coffer/apiserver/pki/cluster-keys';
import type { Handler } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';

export interface LoopsOptions {
  readonly handler: Handler;
  readonly keys: ClusterKeys;
  readonly tokenIssuer: ServiceAccountTokenIssuer;
  readonly clock: Clock;
  readonly logger: Logger;
}

export async function startLoops(_options: LoopsOptions, _signal: AbortSignal): Promise<{ readonly stopped: Promise<void> }> {
  return { stopped: Promise.resolve() };
}
