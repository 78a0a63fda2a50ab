import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore } from '@coffer/storage/store/store';
import type { PodSecurityMetrics } from '../metrics/pod-security-metrics.ts';
import { nodeTaint } from './node/node-taint.ts';
import type { AdmissionPlugin } from './plugin.ts';
import { defaultTolerationSeconds } from './plugins/default-toleration-seconds.ts';
import { limitRanger } from './plugins/limit-ranger.ts';
import { namespaceLifecycle } from './plugins/namespace-lifecycle.ts';
import { podResize } from './plugins/pod-resize.ts';
import { podTopologyLabels } from './plugins/pod-topology-labels.ts';
import { priority } from './plugins/priority.ts';
import { runtimeClass } from './plugins/runtime-class.ts';
import { serviceAccountAdmission } from './plugins/service-account.ts';
import { podSecurity } from './pod-security/pod-security.ts';

export interface BuiltInAdmissionDeps {
  /** The store of a resource, by its prefix; throws when there is none. */
  readonly store: (prefix: string) => ResourceStore;
  readonly clock: Clock;
  readonly podSecurityMetrics: PodSecurityMetrics;
  /** Runs where upstream has NodeRestriction: behind ServiceAccount. */
  readonly nodeRestriction?: AdmissionPlugin;
}

/** The plugins every server runs, in upstream's order; `resourceQuotaAdmission` comes last of all. */
export function builtInAdmission(deps: BuiltInAdmissionDeps): readonly AdmissionPlugin[] {
  const { store, clock, podSecurityMetrics, nodeRestriction } = deps;
  const namespaces = store('namespaces');
  const nodes = store('minions');
  return [
    namespaceLifecycle(namespaces),
    limitRanger(store('limitranges')),
    serviceAccountAdmission(store('serviceaccounts'), clock),
    ...(nodeRestriction === undefined ? [] : [nodeRestriction]),
    nodeTaint,
    podSecurity({ namespaces, pods: store('pods'), clock, metrics: podSecurityMetrics }),
    priority(store('priorityclasses')),
    defaultTolerationSeconds,
    runtimeClass(store('runtimeclasses')),
    podTopologyLabels(nodes),
    podResize(nodes),
  ];
}
