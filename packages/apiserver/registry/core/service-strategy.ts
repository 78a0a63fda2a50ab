import type { V1Service, V1ServiceSpec } from '@coffer/api/generated/types';
import { prepareServiceCreate, prepareServiceUpdate } from '@coffer/api/kinds/core/service-changes';
import { viewAs } from '@coffer/api/kinds/define-kind';
import type { KubeObject, Mutable } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { ResourceStore } from '@coffer/storage/store/store';
import { keepStatus } from '../generic/generation.ts';
import type { Strategy, WriteContext } from '../generic/strategy.ts';
import { assignAddress, defaultServiceNetwork, type ServiceNetwork } from './service-addresses.ts';
import { assignHealthCheckPort, assignNodePorts, nodePortsOf } from './service-node-ports.ts';

/**
 * Services of the types that have a cluster IP or node ports get their own, which stay with them. What a write was given is reserved
 * until the write is over, so that two writes at the same time never get the same.
 */
export function serviceStrategy(services: ResourceStore, network: ServiceNetwork = defaultServiceNetwork): Strategy {
  const reserved = new Map<WriteContext, V1ServiceSpec>();
  /** The specs whose addresses and ports a write cannot have: those stored and those on their way. */
  const others = (context: WriteContext): readonly V1ServiceSpec[] => [
    ...specsOf(services),
    ...[...reserved].filter(([writer]) => writer !== context).map(([, spec]) => spec),
  ];
  const takenPorts = (context: WriteContext) => (): ReadonlySet<number> => new Set(others(context).flatMap(nodePortsOf));
  const takenAddresses = (context: WriteContext) => (): ReadonlySet<string> =>
    new Set(others(context).flatMap((spec) => spec.clusterIPs ?? []));
  const chooseHealthCheckPort = (object: KubeObject, context: WriteContext): void => {
    assignHealthCheckPort(specOf(object), takenPorts(context));
    reserved.set(context, { healthCheckNodePort: specOf(object).healthCheckNodePort ?? 0 });
  };
  return {
    allowCreateOnUpdate: true,
    returnDeletedObject: true,
    prepareForCreate(object, context) {
      object.status = { loadBalancer: {} };
      prepareServiceCreate(object);
      chooseHealthCheckPort(object, context);
    },
    prepareForUpdate(object, old, context) {
      keepStatus(object, old);
      prepareServiceUpdate(object, old);
      chooseHealthCheckPort(object, context);
      // What a balancer reported means nothing for a service without one.
      if (specOf(object).type !== 'LoadBalancer' && isRecord(object.status)) object.status = { ...object.status, loadBalancer: {} };
    },
    allocate(object, old, context) {
      const spec = specOf(object);
      const before = old === undefined ? undefined : specOf(old);
      const errors = assignAddress(spec, before, network, takenAddresses(context));
      if (errors.length === 0) errors.push(...assignNodePorts(spec, before, takenPorts(context)));
      if (errors.length === 0) reserved.set(context, spec);
      return errors;
    },
    settled(context) {
      reserved.delete(context);
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
