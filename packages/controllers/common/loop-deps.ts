/**
 * What every control loop gets. Each loop runs under an identity of its own and therefore reads through informers of its own: what a
 * loop may see is exactly what its role says, at the price of a second copy of the few resources that two loops watch.
 */
import { setMaxListeners } from 'node:events';
import type { UserInfo } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { EventRecorder } from '@coffer/client/events/event-recorder';
import { ApiEventRecorder } from '@coffer/client/events/event-recorder';
import { InformerFactory } from '@coffer/client/informer/informer-factory';
import { ApiClient } from '@coffer/client/rest/api-client';
import type { Transport } from '@coffer/client/transport/transport';

export interface LoopDeps {
  readonly api: ApiClient;
  readonly informers: InformerFactory;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What loops of one process share. */
export interface LoopEnvironment {
  /** A transport whose requests are made as `identity` and name the loop as user agent. */
  transportFor(identity: UserInfo): Transport;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The identity of a loop: a service account of kube-system. */
export function loopIdentity(name: string): UserInfo {
  return {
    name: `system:serviceaccount:kube-system:${name}`,
    groups: ['system:serviceaccounts', 'system:serviceaccounts:kube-system', 'system:authenticated'],
  };
}

/** What Kubernetes calls loops in events, where that is not their name. */
const EVENT_COMPONENTS: ReadonlyMap<string, string> = new Map([
  ['disruption-controller', 'controllermanager'],
  ['generic-garbage-collector', 'garbage-collector-controller'],
]);

/** Client, informers and event recorder of the loop of that name. */
export function makeLoopDeps(environment: LoopEnvironment, identity: UserInfo, name: string, signal: AbortSignal): LoopDeps {
  // Everything a loop has open hangs on this signal; that is no leak.
  setMaxListeners(0, signal);
  const { clock } = environment;
  const logger = environment.logger.child({ loop: name });
  const component = EVENT_COMPONENTS.get(name) ?? name;
  const api = new ApiClient({ transport: environment.transportFor(identity), clock });
  return {
    api,
    clock,
    logger,
    informers: new InformerFactory({ api, clock, logger }, signal),
    events: new ApiEventRecorder({ api, clock, logger, component }, signal),
  };
}
