import { randomUUID } from 'node:crypto';
import { systemPriorityClasses } from '@coffer/api/kinds/scheduling/priority-class';
import type { KubeObject } from '@coffer/api/meta/object';
import { equalJson, isRecord } from '@coffer/api/meta/safe-object';
import { deploymentStrategy } from './apps/deployment-strategy.ts';
import { csrStrategy } from './certificates/csr-strategy.ts';
import { namespaceStrategy } from './core/namespace-strategy.ts';
import { podStrategy } from './core/pod-strategy.ts';
import { ownSpec, specOfPodTemplate, specOfTemplate, withoutSwitchedOffFields } from './core/switched-off.ts';
import { keepStatus, specAndStatusStrategy } from './generic/generation.ts';
import type { Strategy } from './generic/strategy.ts';

/** The strategy of each kind; a kind that is not listed is a plain one. */
export interface StrategyDeps {
  /** Services need addresses; see `serviceStrategy`. */
  readonly services: Strategy;
}

export function builtInStrategies(deps: StrategyDeps): (group: string, resource: string) => Strategy {
  const strategies: Readonly<Record<string, Strategy>> = {
    '/endpoints': { allowCreateOnUpdate: true },
    '/events': { allowCreateOnUpdate: true, garbageCollection: 'unsupported' },
    '/limitranges': limitRangeStrategy,
    '/namespaces': namespaceStrategy,
    '/nodes': { prepareForUpdate: keepStatus },
    '/pods': withoutSwitchedOffFields(podStrategy, ownSpec),
    '/podtemplates': withoutSwitchedOffFields(podTemplateStrategy, specOfTemplate),
    '/replicationcontrollers': withoutSwitchedOffFields({ ...specAndStatusStrategy, garbageCollection: 'orphan' }, specOfPodTemplate),
    '/resourcequotas': resourceQuotaStrategy,
    '/serviceaccounts': { returnDeletedObject: true },
    '/services': deps.services,
    'apps/deployments': withoutSwitchedOffFields(deploymentStrategy, specOfPodTemplate),
    'apps/replicasets': withoutSwitchedOffFields(specAndStatusStrategy, specOfPodTemplate),
    'certificates.k8s.io/certificatesigningrequests': csrStrategy,
    'coordination.k8s.io/leases': leaseStrategy,
    'discovery.k8s.io/endpointslices': endpointSliceStrategy,
    'events.k8s.io/events': { allowCreateOnUpdate: true, garbageCollection: 'unsupported' },
    'node.k8s.io/runtimeclasses': { allowCreateOnUpdate: true, allowUnconditionalUpdate: false },
    'rbac.authorization.k8s.io/clusterrolebindings': { allowCreateOnUpdate: true },
    'rbac.authorization.k8s.io/clusterroles': { allowCreateOnUpdate: true },
    'rbac.authorization.k8s.io/rolebindings': { allowCreateOnUpdate: true },
    'rbac.authorization.k8s.io/roles': { allowCreateOnUpdate: true },
    'policy/poddisruptionbudgets': { ...specAndStatusStrategy, allowUnconditionalUpdate: false },
    'scheduling.k8s.io/priorityclasses': priorityClassStrategy,
  };
  return (group, resource) => strategies[`${group}/${resource}`] ?? plain;
}

const plain: Strategy = {};

/** Nobody elects leaders from candidates here (upstream's gate is off, too): what only such an election reads is not kept. */
const leaseStrategy: Strategy = {
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  prepareForCreate: dropElection,
  prepareForUpdate: dropElection,
};

function dropElection({ spec }: KubeObject): void {
  if (!isRecord(spec)) return;
  delete spec.strategy;
  delete spec.preferredHolder;
}

/** A PriorityClass has a generation that never counts: nothing of it that matters can change. */
const priorityClassStrategy: Strategy = {
  prepareForCreate({ metadata }) {
    metadata.generation = 1;
  },
  undeletable: (name) =>
    systemPriorityClasses.some((known) => known.name === name) ? 'this is a system priority class and cannot be deleted' : undefined,
};

/** A LimitRange needs no name of its user's choice. */
const limitRangeStrategy: Strategy = {
  allowCreateOnUpdate: true,
  prepareForCreate({ metadata }) {
    if ((metadata.name ?? '') === '') metadata.name = randomUUID();
  },
};

const resourceQuotaStrategy: Strategy = {
  prepareForCreate(object) {
    delete object.status;
  },
  prepareForUpdate: keepStatus,
};

/** What a PodTemplate has instead of a spec counts. */
const podTemplateStrategy: Strategy = {
  prepareForCreate(object) {
    object.metadata.generation = 1;
  },
  prepareForUpdate(object, old) {
    if (!equalJson(object.template ?? null, old.template ?? null)) object.metadata.generation = (old.metadata.generation ?? 0) + 1;
  },
};

/** EndpointSlices have no spec: every change of what they say counts. */
const endpointSliceStrategy: Strategy = {
  prepareForCreate(object) {
    object.metadata.generation = 1;
  },
  prepareForUpdate(object, old) {
    const content = (slice: typeof object) => JSON.stringify([slice.addressType, slice.endpoints, slice.ports, slice.metadata.labels]);
    if (content(object) !== content(old)) object.metadata.generation = (old.metadata.generation ?? 0) + 1;
  },
};
