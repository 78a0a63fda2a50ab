import type { V1Service, V1ServiceSpec } from '@coffer/api/generated/types';
import { prepareServiceCreate, prepareServiceUpdate } from '@coffer/api/kinds/core/service-changes';
import { viewAs } from '@coffer/api/kinds/define-kind';
import type { KubeObject, Mutable } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { ResourceStore } from '@coffer/storage/store/store';
import { keepStatus } from '../generic/generation.ts';
import type { Strategy } from '../generic/strategy.ts';
import { assignAddress, defaultServiceNetwork, type ServiceNetwork } from './service-addresses.ts';
import { assignHealthCheckPort, assignNodePorts, nodePortsOf } from './service-node-ports.ts';

/** Services of the types that have a cluster IP or node ports get their own, which stay with them. */
export function serviceStrategy(services: ResourceStore, network: ServiceNetwork = defaultServiceNetwork): Strategy {
  const takenPorts = (): ReadonlySet<number> => new Set(specsOf(services).flatMap(nodePortsOf));
  const takenAddresses = (): ReadonlySet<string> => new Set(specsOf(services).flatMap((spec) => spec.clusterIPs ?? []));
  return {
    allowCreateOnUpdate: true,
    returnDeletedObject: true,
    prepareForCreate(object) {
      object.status = { loadBalancer: {} };
      prepareServiceCreate(object);
      assignHealthCheckPort(specOf(object), takenPorts);
    },
    prepareForUpdate(object, old) {
      keepStatus(object, old);
      prepareServiceUpdate(object, old);
      assignHealthCheckPort(specOf(object), takenPorts);
      // What a balancer reported means nothing for a service without one.
      if (specOf(object).type !== 'LoadBalancer' && isRecord(object.status)) object.status = { ...object.status, loadBalancer: {} };
    },
    allocate(object, old) {
      const spec = specOf(object);
      const before = old === undefined ? undefined : specOf(old);
      const errors = assignAddress(spec, before, network, takenAddresses);
      return errors.length > 0 ? errors : assignNodePorts(spec, before, takenPorts);
    },
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
