/**
 * Fields of a pod spec whose features are off in this version: a write that asks for them is accepted and does not keep them. What an
 * object already has stays, so that a later write of it is no change.
 */

import type { V1PodSpec, V1VolumeProjection } from '../../../generated/types.ts';
import { allContainers } from './all-containers.ts';
import type { Draft } from './pod-defaults.ts';

interface Feature {
  readonly isUsed: (spec: V1PodSpec) => boolean;
  readonly drop: (spec: Draft<V1PodSpec>) => void;
}

const stopSignals: Feature = {
  isUsed: (spec) => allContainers(spec, '').some(([container]) => container.lifecycle?.stopSignal != null),
  drop(spec) {
    for (const [container] of allContainers(spec, '')) {
      const { lifecycle } = container as Draft<typeof container>;
      if (lifecycle?.stopSignal == null) continue;
      delete lifecycle.stopSignal;
      if (Object.values(lifecycle).every((hook) => hook == null)) delete (container as Draft<typeof container>).lifecycle;
    }
  },
};

const schedulingGroups: Feature = {
  isUsed: (spec) => spec.schedulingGroup != null,
  drop(spec) {
    delete spec.schedulingGroup;
  },
};

function projection(field: 'clusterTrustBundle' | 'podCertificate'): Feature {
  const sourcesOf = (spec: V1PodSpec): readonly V1VolumeProjection[] =>
    (spec.volumes ?? []).flatMap((volume) => volume.projected?.sources ?? []);
  return {
    isUsed: (spec) => sourcesOf(spec).some((source) => source[field] != null),
    drop(spec) {
      for (const source of sourcesOf(spec as V1PodSpec)) delete (source as Draft<V1VolumeProjection>)[field];
    },
  };
}

const switchedOff: readonly Feature[] = [projection('clusterTrustBundle'), projection('podCertificate'), schedulingGroups, stopSignals];

/** In place; `old` is the spec before the write. */
export function dropSwitchedOffFields(spec: V1PodSpec | undefined, old: V1PodSpec | undefined): void {
  if (spec === undefined) return;
  for (const feature of switchedOff) {
    if (old === undefined || !feature.isUsed(old)) feature.drop(spec as Draft<V1PodSpec>);
  }
}
