/** A pod spec as a whole, in a pod or in a template. The parts are in the other files of this folder; their order is upstream's. */

import type { FieldError } from '../../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, notFoundField, notSupported, required, tooLong } from '../../../errors/field-error.ts';
import type { V1PodDNSConfig, V1PodResourceClaim, V1PodSpec } from '../../../generated/types.ts';
import type { ObjectMeta } from '../../../meta/object.ts';
import { validateIp } from '../../../validation/ip.ts';
import {
  byteLength,
  dnsLabelProblems,
  dnsSubdomainProblems,
  dnsSubdomainWithUnderscoreProblems,
  inclusiveRangeText,
} from '../../../validation/names.ts';
import { invalidEach, validateLabels } from '../../../validation/object-meta.ts';
import { allContainers } from './all-containers.ts';
import { validateContainers, validateEphemeralContainers, validateInitContainers } from './container-validation.ts';
import { validateOs } from './os-validation.ts';
import { inMemoryStruct } from './pod-diff.ts';
import { validateContainerResources, validatePodResources } from './resource-validation.ts';
import {
  validateAffinity,
  validateReadinessGates,
  validateSchedulingGates,
  validateTolerations,
  validateTopologySpread,
} from './scheduling-validation.ts';
import { validateHostUsers, validatePodSecurityContext } from './security-validation.ts';
import { validateVolumes } from './volume-validation.ts';
import { validateHostProcesses } from './windows-validation.ts';

const maxInt32 = 2 ** 31 - 1;
const dnsPolicies = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'];

/** `podMeta` is the pod's metadata, undefined for a template. */
export function validatePodSpec(spec: V1PodSpec, podMeta: ObjectMeta | undefined, path: string): FieldError[] {
  const isPod = podMeta !== undefined;
  const { volumes, errors: volumeErrors } = validateVolumes(spec.volumes ?? [], podMeta, `${path}.volumes`, isPod);
  const claims = spec.resourceClaims ?? [];
  const claimNames = new Set(claims.map((claim) => claim.name ?? '').filter((name) => name !== ''));
  const context = { spec, volumes, claimNames };
  return [
    ...(spec.terminationGracePeriodSeconds == null ? [required(`${path}.terminationGracePeriodSeconds`)] : []),
    ...volumeErrors,
    ...validateResourceClaims(claims, `${path}.resourceClaims`),
    ...validateContainers(context, `${path}.containers`),
    ...validateInitContainers(context, `${path}.initContainers`),
    ...validateEphemeralContainers(context, `${path}.ephemeralContainers`),
    ...validatePodResources(spec, `${path}.resources`),
    ...validateHostPorts(spec, path, isPod),
    ...oneOf(spec.restartPolicy, ['Always', 'OnFailure', 'Never'], `${path}.restartPolicy`),
    ...oneOf(spec.dnsPolicy, dnsPolicies, `${path}.dnsPolicy`),
    ...validateLabels(spec.nodeSelector, `${path}.nodeSelector`),
    ...validatePodSecurityContext(spec, path),
    ...validateAffinity(spec.affinity, `${path}.affinity`),
    ...validateDnsConfig(spec.dnsConfig, spec.dnsPolicy, `${path}.dnsConfig`),
    ...validateReadinessGates(spec.readinessGates ?? [], `${path}.readinessGates`),
    ...validateSchedulingGates(spec.schedulingGates ?? [], `${path}.schedulingGates`),
    ...validateTopologySpread(spec.topologySpreadConstraints ?? [], `${path}.topologySpreadConstraints`),
    ...validateHostProcesses(spec, path),
    ...validateHostUsers(spec, path),
    ...validateHostnameOverride(spec, path),
    ...named(spec.serviceAccountName, dnsSubdomainProblems, `${path}.serviceAccountName`),
    ...named(spec.nodeName, dnsSubdomainProblems, `${path}.nodeName`),
    ...validateDeadline(spec.activeDeadlineSeconds, `${path}.activeDeadlineSeconds`),
    ...named(spec.hostname, dnsLabelProblems, `${path}.hostname`),
    ...named(spec.subdomain, dnsLabelProblems, `${path}.subdomain`),
    ...validateTolerations(spec.tolerations ?? [], `${path}.tolerations`),
    ...validateHostAliases(spec, `${path}.hostAliases`),
    ...named(spec.priorityClassName, dnsSubdomainProblems, `${path}.priorityClassName`),
    ...(spec.runtimeClassName == null
      ? []
      : invalidEach(`${path}.runtimeClassName`, spec.runtimeClassName, dnsSubdomainProblems(spec.runtimeClassName))),
    ...(spec.preemptionPolicy == null ? [] : oneOf(spec.preemptionPolicy, ['PreemptLowerPriority', 'Never'], `${path}.preemptionPolicy`)),
    ...(spec.overhead == null ? [] : validateContainerResources({ limits: spec.overhead }, new Set(), `${path}.overhead`)),
    ...validateOs(spec, path),
    ...validateFileKeyVolumes(spec, path),
  ];
}

/** Required and one of a few. */
function oneOf(value: string | undefined, supported: readonly string[], path: string): FieldError[] {
  if (value == null || value === '') return [required(path)];
  return supported.includes(value) ? [] : [notSupported(path, value, supported)];
}

/** Optional, with a syntax. */
function named(value: string | undefined, problems: (value: string) => string[], path: string): FieldError[] {
  return value == null || value === '' ? [] : invalidEach(path, value, problems(value));
}

function validateResourceClaims(claims: readonly V1PodResourceClaim[], path: string): FieldError[] {
  const seen = new Set<string>();
  return claims.flatMap((claim, i) => {
    const at = `${path}[${i}]`;
    const name = claim.name ?? '';
    const errors: FieldError[] = [];
    if (name === '') errors.push(required(`${at}.name`));
    else if (seen.has(name)) errors.push(duplicate(`${at}.name`, name));
    else errors.push(...invalidEach(`${at}.name`, name, dnsLabelProblems(name)));
    seen.add(name);
    const shown = inMemoryStruct(claim, 'PodResourceClaim');
    const given = [claim.resourceClaimName, claim.resourceClaimTemplateName].filter((value) => value != null).length;
    if (given === 2) {
      errors.push(invalid(at, shown, 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified'));
    } else if (given === 0) {
      errors.push(invalid(at, shown, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'));
    }
    for (const field of ['resourceClaimName', 'resourceClaimTemplateName'] as const) {
      const value = claim[field];
      if (value != null) errors.push(...invalidEach(`${at}.${field}`, value, dnsSubdomainProblems(value)));
    }
    return errors;
  });
}

/** Files with variables live in emptyDir volumes, where an init container writes them. */
function validateFileKeyVolumes(spec: V1PodSpec, path: string): FieldError[] {
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name ?? '', volume]));
  return allContainers(spec, path).flatMap(([container, at]) =>
    (container.env ?? []).flatMap(({ valueFrom }, i) => {
      if (valueFrom?.fileKeyRef == null) return [];
      const name = valueFrom.fileKeyRef.volumeName ?? '';
      const where = `${at}.env[${i}].valueFrom.fileKeyRef.volumeName`;
      const volume = volumes.get(name);
      if (volume === undefined) return [notFoundField(where, name)];
      return volume.emptyDir == null ? [invalid(where, name, 'referenced volume must be of type emptyDir')] : [];
    }),
  );
}

/** On the host's network a container's port is the host's port. */
function validateHostPorts(spec: V1PodSpec, path: string, isPod: boolean): FieldError[] {
  if (spec.hostNetwork !== true) return [];
  return (spec.containers ?? []).flatMap((container, i) =>
    (container.ports ?? []).flatMap((port, j) => {
      const hostPort = port.hostPort ?? 0;
      if (hostPort === port.containerPort || (!isPod && hostPort === 0)) return [];
      const detail = 'must match `containerPort` when `hostNetwork` is true';
      return [invalid(`${path}.containers[${i}].ports[${j}].hostPort`, hostPort, detail)];
    }),
  );
}

function validateDnsConfig(config: V1PodDNSConfig | undefined, policy: string | undefined, path: string): FieldError[] {
  if (policy === 'None') {
    if (config == null) return [required(path, 'must provide `dnsConfig` when `dnsPolicy` is None')];
    if ((config.nameservers ?? []).length === 0) {
      return [required(`${path}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None')];
    }
  }
  if (config == null) return [];
  const errors: FieldError[] = [];
  const { nameservers = [], searches = [], options = [] } = config;
  if (nameservers.length > 3) errors.push(invalid(`${path}.nameservers`, nameservers, 'must not have more than 3 nameservers'));
  errors.push(...nameservers.flatMap((server, i) => validateIp(server, `${path}.nameservers[${i}]`)));
  if (searches.length > 32) errors.push(invalid(`${path}.searches`, searches, 'must not have more than 32 search paths'));
  if (byteLength(searches.join(' ')) > 2048) {
    const detail = 'must not have more than 2048 characters (including spaces) in the search list';
    errors.push(invalid(`${path}.searches`, searches, detail));
  }
  searches.forEach((search, i) => {
    if (search === '.') return;
    const name = search.endsWith('.') ? search.slice(0, -1) : search;
    errors.push(...invalidEach(`${path}.searches[${i}]`, name, dnsSubdomainWithUnderscoreProblems(name)));
  });
  options.forEach((option, i) => {
    if ((option.name ?? '') === '') errors.push(required(`${path}.options[${i}]`, 'must not be empty'));
  });
  return errors;
}

function validateDeadline(seconds: number | undefined, path: string): FieldError[] {
  return seconds == null || (seconds >= 1 && seconds <= maxInt32) ? [] : [invalid(path, seconds, inclusiveRangeText(1, maxInt32))];
}

function validateHostnameOverride(spec: V1PodSpec, path: string): FieldError[] {
  const name = spec.hostnameOverride;
  if (name == null) return [];
  const at = `${path}.hostnameOverride`;
  const errors: FieldError[] = [];
  if (spec.setHostnameAsFQDN === true) errors.push(forbiddenField(at, 'may not be specified when setHostnameAsFQDN is true'));
  if (spec.hostNetwork === true) errors.push(forbiddenField(at, 'may not be specified when hostNetwork is true'));
  if (byteLength(name) > 64) errors.push(tooLong(at, 64));
  return [...errors, ...invalidEach(at, name, dnsSubdomainProblems(name))];
}

function validateHostAliases(spec: V1PodSpec, path: string): FieldError[] {
  return (spec.hostAliases ?? []).flatMap((alias, i) => [
    ...validateIp(alias.ip ?? '', `${path}[${i}].ip`),
    ...(alias.hostnames ?? []).flatMap((name, j) => invalidEach(`${path}[${i}].hostnames[${j}]`, name, dnsSubdomainProblems(name))),
  ]);
}
