/** The kinds that keep a number of equal pods: they differ in their selectors, and in one counter. */

import type { V1ReplicaSet, V1ReplicationController } from '@coffer/api/generated/types';
import { fromLabelSelector, fromLabels, type LabelSelector } from '@coffer/api/selectors/labels';
import type { ResourceRef } from '@coffer/client/rest/resource-ref';
import { REPLICA_SETS, REPLICATION_CONTROLLERS } from '@coffer/client/rest/well-known';

export type PodSet = V1ReplicaSet | V1ReplicationController;

export interface SetKind {
  readonly ref: ResourceRef<PodSet>;
  selectorOf(set: PodSet): LabelSelector;
  /** Whether the status says how many pods are on their way out. */
  readonly countsTerminating: boolean;
}

export const replicaSets: SetKind = {
  ref: REPLICA_SETS,
  selectorOf: (set) => fromLabelSelector((set as V1ReplicaSet).spec?.selector),
  countsTerminating: true,
};

export const replicationControllers: SetKind = {
  ref: REPLICATION_CONTROLLERS,
  selectorOf: (set) => fromLabels((set as V1ReplicationController).spec?.selector ?? {}),
  countsTerminating: false,
};
