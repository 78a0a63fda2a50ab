import type { V1Service, V1ServiceSpec } from '@coffer/api/generated/types';
import { prepareServiceCreate, prepareServiceUpdate } from '@coffer/api/kinds/core/service-changes';
import { viewAs } from '@coffer/api/kinds/define-kind';
import type { KubeObject, Mutable } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { KeyClaims } from '@coffer/storage/servers/key-claims';
import type { ResourceStore } from '@coffer/storage/store/store';
import { keepStatus } from '../generic/generation.ts';
import type { Strategy } from '../generic/strategy.ts';
import { defaultServiceNetwork } from './service-addresses.ts';
import { ServiceAllocation } from './service-allocation.ts';

/**
 * Services of the types that have a cluster IP or node ports get their own, which stay with them. Servers that share the store need
 * `claims`, so that two of them never give away the same.
 */
export function serviceStrategy(services: ResourceStore, claims?: KeyClaims): Strategy {
  const allocation = new ServiceAllocation({
    specs: () => specsOf(services),
    whenFresh: () => services.whenFresh('latest'),
    network: defaultServiceNetwork,
    claims,
  });
  return {
    allowCreateOnUpdate: true,
    returnDeletedObject: true,
    prepareForCreate(object, context) {
      object.status = { loadBalancer: {} };
      prepareServiceCreate(object);
      allocation.chooseHealthCheckPort(specOf(object), context);
    },
    prepareForUpdate(object, old, context) {
      keepStatus(object, old);
      prepareServiceUpdate(object, old);
      allocation.chooseHealthCheckPort(specOf(object), context);
      // What a balancer reported means nothing for a service without one.
      if (specOf(object).type !== 'LoadBalancer' && isRecord(object.status)) object.status = { ...object.status, loadBalancer: {} };
    },
    allocate: (object, old, context) => allocation.allocate(specOf(object), old === undefined ? undefined : specOf(old), context),
    settled: (context) => allocation.settled(context),
  };
}

function specsOf(services: ResourceStore): V1ServiceSpec[] {
  const list = services.list({});
  if (list instanceof Promise) throw new Error('the services are not in the watch cache');
  return list.items.map((stored) => specOf(stored.peek()));
}

function specOf(service: KubeObject): Mutable<V1ServiceSpec> {
  return viewAs<V1Service>(service).spec ?? {};
}
