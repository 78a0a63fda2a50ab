/** Defaults of pods and of pod templates. A template gets what its pods would get, except what only a pod can have. Idempotent. */

import type * as api from '../../../generated/types.ts';
import { getOwn, setOwn } from '../../../meta/safe-object.ts';
import { roundUpToMilli } from '../../../validation/quantities.ts';
import { aggregateRequests } from '../../pod-state.ts';
import { defaultPullPolicy } from './pull-policy.ts';
import { mayOvercommit } from './resource-names.ts';

/** A generated type whose fields may be set. */
export type Draft<T> = T extends readonly (infer U)[] ? Draft<U>[] : T extends object ? { -readonly [K in keyof T]: Draft<T[K]> } : T;

type PodSpec = Draft<api.V1PodSpec>;
type Container = Draft<api.V1Container>;
type Volume = Draft<api.V1Volume>;
type Resources = Draft<api.V1ResourceRequirements>;

/** What every pod spec gets, in a pod or in a template. */
export function applyPodSpecDefaults(spec: PodSpec): void {
  spec.dnsPolicy ||= 'ClusterFirst';
  spec.restartPolicy ||= 'Always';
  spec.securityContext ??= {};
  spec.terminationGracePeriodSeconds ??= 30;
  spec.schedulerName ||= 'default-scheduler';
  useServiceAccountAlias(spec);
  for (const volume of spec.volumes ?? []) applyVolumeDefaults(volume);
  for (const container of spec.initContainers ?? []) applyContainerDefaults(container);
  for (const container of spec.containers ?? []) applyContainerDefaults(container);
  for (const container of spec.ephemeralContainers ?? []) applyContainerDefaults(container as Container);
  roundList(spec.overhead);
  roundList(spec.resources?.limits);
  roundList(spec.resources?.requests);
}

/** What only a pod gets, after `applyPodSpecDefaults`: requests from limits, ports of the host, a grace period that is none becomes 1. */
export function applyPodDefaults(spec: PodSpec): void {
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) spec.terminationGracePeriodSeconds = 1;
  spec.enableServiceLinks ??= true;
  for (const container of [...(spec.containers ?? []), ...(spec.initContainers ?? [])]) {
    requestLimits(container.resources);
    if (spec.hostNetwork !== true) continue;
    for (const port of container.ports ?? []) port.hostPort ||= port.containerPort;
  }
  applyPodResourceDefaults(spec);
}

/** The older name of the field is kept equal to the newer one, which wins. */
export function useServiceAccountAlias(spec: PodSpec): void {
  const name = spec.serviceAccountName || spec.serviceAccount || '';
  if (name === '') {
    delete spec.serviceAccountName;
    delete spec.serviceAccount;
    return;
  }
  spec.serviceAccountName = name;
  spec.serviceAccount = name;
}

function applyContainerDefaults(container: Container): void {
  container.imagePullPolicy ||= defaultPullPolicy(container.image ?? '');
  container.terminationMessagePath ||= '/dev/termination-log';
  container.terminationMessagePolicy ||= 'File';
  container.resources ??= {};
  roundList(container.resources.limits);
  roundList(container.resources.requests);
  for (const port of container.ports ?? []) port.protocol ||= 'TCP';
  for (const variable of container.env ?? []) applyEnvDefaults(variable);
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) applyProbeDefaults(probe);
  applyHttpGetDefaults(container.lifecycle?.postStart?.httpGet);
  applyHttpGetDefaults(container.lifecycle?.preStop?.httpGet);
}

function applyEnvDefaults(variable: Draft<api.V1EnvVar>): void {
  const source = variable.valueFrom;
  if (source?.fieldRef != null) source.fieldRef.apiVersion ||= 'v1';
  if (source?.fileKeyRef != null) source.fileKeyRef.optional ??= false;
}

function applyProbeDefaults(probe: Draft<api.V1Probe> | undefined): void {
  if (probe == null) return;
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  applyHttpGetDefaults(probe.httpGet);
  if (probe.grpc != null) probe.grpc.service ??= '';
}

function applyHttpGetDefaults(action: Draft<api.V1HTTPGetAction> | undefined): void {
  if (action == null) return;
  action.path ||= '/';
  action.scheme ||= 'HTTP';
}

function applyVolumeDefaults(volume: Volume): void {
  if (Object.entries(volume).every(([field, value]) => field === 'name' || value == null)) volume.emptyDir = {};
  for (const source of [volume.secret, volume.configMap, volume.downwardAPI, volume.projected]) {
    if (source != null) source.defaultMode ??= 0o644;
  }
  for (const file of volume.downwardAPI?.items ?? []) applyFileDefaults(file);
  for (const source of volume.projected?.sources ?? []) {
    for (const file of source.downwardAPI?.items ?? []) applyFileDefaults(file);
    if (source.serviceAccountToken != null) source.serviceAccountToken.expirationSeconds ??= 3600;
  }
  if (volume.hostPath != null) volume.hostPath.type ??= '';
  if (volume.image != null) volume.image.pullPolicy ||= defaultPullPolicy(volume.image.reference ?? '');
  const claim = volume.ephemeral?.volumeClaimTemplate;
  if (claim != null) {
    claim.spec ??= {};
    claim.spec.volumeMode ??= 'Filesystem';
  }
  applyLegacyVolumeDefaults(volume);
}

function applyFileDefaults(file: Draft<api.V1DownwardAPIVolumeFile>): void {
  if (file.fieldRef != null) file.fieldRef.apiVersion ||= 'v1';
}

function applyLegacyVolumeDefaults(volume: Volume): void {
  const { iscsi, rbd, azureDisk, scaleIO } = volume;
  if (iscsi != null) iscsi.iscsiInterface ||= 'default';
  if (rbd != null) {
    rbd.pool ||= 'rbd';
    rbd.user ||= 'admin';
    rbd.keyring ||= '/etc/ceph/keyring';
  }
  if (azureDisk != null) {
    azureDisk.cachingMode ??= 'ReadWrite';
    azureDisk.kind ??= 'Shared';
    azureDisk.fsType ??= 'ext4';
    azureDisk.readOnly ??= false;
  }
  if (scaleIO != null) {
    scaleIO.storageMode ||= 'ThinProvisioned';
    scaleIO.fsType ||= 'xfs';
  }
}

/** Amounts finer than a thousandth are rounded up; a zero divisor stays what it is. */
export function roundList(list: Record<string, string> | undefined): void {
  for (const name of Object.keys(list ?? {})) {
    if (list !== undefined) setOwn(list, name, roundUpToMilli(getOwn(list, name) ?? '0'));
  }
}

/** A limit without a request is also the request. */
function requestLimits(resources: Resources | undefined): void {
  const limits = resources?.limits;
  if (resources === undefined || limits == null) return;
  const requests = resources.requests ?? {};
  for (const name of Object.keys(limits)) {
    if (!Object.hasOwn(requests, name)) setOwn(requests, name, getOwn(limits, name) ?? '0');
  }
  if (Object.keys(requests).length > 0) resources.requests = requests;
}

/** Requests of the pod as a whole, when it has limits: what its containers request, else the limits. */
function applyPodResourceDefaults(spec: PodSpec): void {
  const limits = spec.resources?.limits ?? {};
  if (spec.resources == null || Object.keys(limits).length === 0) return;
  const supported = (name: string): boolean => name === 'cpu' || name === 'memory' || name.startsWith('hugepages-');
  const requests = spec.resources.requests ?? {};
  for (const [name, amount] of Object.entries(aggregateRequests(spec))) {
    if (!Object.hasOwn(requests, name) && supported(name) && mayOvercommit(name)) setOwn(requests, name, amount);
  }
  for (const [name, amount] of Object.entries(limits)) {
    if (!Object.hasOwn(requests, name) && supported(name)) setOwn(requests, name, amount);
  }
  if (Object.keys(requests).length > 0) spec.resources.requests = requests;
}
