/** The evaluators of all resources: those with rules of their own, and counting for the rest. */

import type { ResourceInfo } from '../catalog/resource.ts';
import type { V1Service } from '../generated/types.ts';
import { viewAs } from '../kinds/define-kind.ts';
import type { GroupResource } from '../meta/object.ts';
import { objectCount, objectCountName, type QuotaEvaluator } from './evaluator.ts';
import { podEvaluator } from './pods.ts';

const services = { group: '', resource: 'services' };
const serviceNames: readonly string[] = [objectCountName(services), 'services', 'services.nodeports', 'services.loadbalancers'];

const serviceEvaluator: QuotaEvaluator = {
  ...services,
  matchingNames: (given) => given.filter((name) => serviceNames.includes(name)),
  usage(object) {
    const { type, ports = [], allocateLoadBalancerNodePorts } = viewAs<V1Service>(object).spec ?? {};
    const balanced = type === 'LoadBalancer';
    const chosen = ports.filter(({ nodePort }) => (nodePort ?? 0) !== 0).length;
    const all = type === 'NodePort' || balanced ? ports.length : 0;
    return {
      [objectCountName(services)]: '1',
      services: '1',
      'services.nodeports': String(balanced && allocateLoadBalancerNodePorts === false ? chosen : all),
      'services.loadbalancers': balanced ? '1' : '0',
    };
  },
  // The type of a service can change.
  handles: (operation) => operation === 'CREATE' || operation === 'UPDATE',
};

const storageClassSuffix = '.storageclass.storage.k8s.io';

/** Claims are not served: there are none, and limits of theirs are kept. */
const claimEvaluator: QuotaEvaluator = {
  group: '',
  resource: 'persistentvolumeclaims',
  matchingNames: (given) =>
    given.filter((name) => {
      const claimed = name.replace(/^[^/]*\.storageclass\.storage\.k8s\.io\//, '');
      const ofClass = name.includes(`${storageClassSuffix}/`);
      if (claimed === 'persistentvolumeclaims' || claimed === 'requests.storage') return true;
      return !ofClass && name === 'count/persistentvolumeclaims';
    }),
  usage: () => ({}),
  handles: () => false,
};

const special: readonly QuotaEvaluator[] = [
  podEvaluator,
  serviceEvaluator,
  claimEvaluator,
  ...['configmaps', 'resourcequotas', 'replicationcontrollers', 'secrets'].map((resource) =>
    objectCount({ group: '', resource }, resource),
  ),
];

const countable = ['create', 'delete', 'list', 'watch'];

/** Whether a quota can count the objects of a resource: all that are stored in namespaces, but never events. */
export function isQuotable(resource: Pick<ResourceInfo, 'resource' | 'namespaced' | 'verbs'>): boolean {
  return resource.namespaced && resource.resource !== 'events' && countable.every((verb) => resource.verbs.includes(verb));
}

const byResource = new Map(special.map((evaluator) => [objectCountName(evaluator), evaluator]));

/** The evaluator of one resource. */
export function evaluatorOf(gr: GroupResource): QuotaEvaluator {
  const name = objectCountName(gr);
  const known = byResource.get(name);
  if (known !== undefined) return known;
  const counting = objectCount({ group: gr.group, resource: gr.resource });
  byResource.set(name, counting);
  return counting;
}

/** The evaluators of everything that can be counted of these resources, and of claims. */
export function evaluatorsOf(resources: readonly GroupResource[]): QuotaEvaluator[] {
  const own = resources.filter(({ resource }) => resource !== claimEvaluator.resource).map(evaluatorOf);
  return [...own, claimEvaluator];
}
