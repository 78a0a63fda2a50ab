/** What may change in a pod after its creation: images, a shorter deadline, more tolerations, fewer gates; and in its status. */

import type { FieldError } from '../../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, notSupported, required } from '../../../errors/field-error.ts';
import type * as api from '../../../generated/types.ts';
import type { KubeObject } from '../../../meta/object.ts';
import { cloneJson, equalJson, getOwn } from '../../../meta/safe-object.ts';
import { isDualStack, validateIp } from '../../../validation/ip.ts';
import { dnsSubdomainProblems, inclusiveRangeText, qualifiedNameProblems, unixIdProblems } from '../../../validation/names.ts';
import { immutable, invalidEach } from '../../../validation/object-meta.ts';
import { viewAs } from '../../define-kind.ts';
import { mayRestart, restartsAllContainers } from '../../restart-rules.ts';
import { validateAnnotationUpdates } from './pod-annotations.ts';
import type { Draft } from './pod-defaults.ts';
import { diffEphemeralContainers, diffPodSpecs, inMemoryStruct } from './pod-diff.ts';
import { validateTolerations } from './scheduling-validation.ts';

const maxInt32 = 2 ** 31 - 1;
const updatableFields = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',');

/** `PUT` and `PATCH` of a pod. The rules of the new object are checked elsewhere. */
export function validatePodUpdate(object: KubeObject, oldObject: KubeObject): FieldError[] {
  const spec = viewAs<api.V1Pod>(object).spec ?? { containers: [] };
  const old = viewAs<api.V1Pod>(oldObject).spec ?? { containers: [] };
  const errors = validateAnnotationUpdates(object, oldObject);
  for (const list of ['containers', 'initContainers'] as const) {
    const containers = spec[list] ?? [];
    if (containers.length !== (old[list] ?? []).length) {
      return [...errors, forbiddenField(`spec.${list}`, 'pod updates may not add or remove containers')];
    }
    containers.forEach((container, i) => {
      const image = container.image ?? '';
      if (image === '') errors.push(required(`spec.${list}[${i}].image`));
      if (image !== image.trim()) {
        errors.push(invalid(`spec.${list}[${i}].image`, image, 'must not have leading or trailing whitespace'));
      }
    });
  }
  const deadline = validateDeadlineUpdate(spec.activeDeadlineSeconds, old.activeDeadlineSeconds);
  errors.push(...deadline.errors);
  if (deadline.stop) return errors;
  errors.push(...validateAddedTolerations(spec.tolerations ?? [], old.tolerations ?? []));
  errors.push(...validateRemovedGates(spec.schedulingGates ?? [], old.schedulingGates ?? []));
  if (equalJson(spec, old)) return errors;
  const munged = withUpdatableFieldsOf(spec, old);
  if ((old.schedulingGates ?? []).length > 0) errors.push(...allowGatedChanges(munged, old));
  if (!equalSpecs(munged, old)) {
    const text = `pod updates may not change fields other than ${updatableFields}\n${diffPodSpecs(old, munged as api.V1PodSpec)}`;
    errors.push(forbiddenField('spec', text));
  }
  return errors;
}

/** A missing list or map equals an empty one. */
function equalSpecs(a: unknown, b: unknown): boolean {
  return equalJson(withoutEmpty(a), withoutEmpty(b));
}

function withoutEmpty(spec: unknown): unknown {
  const entries = Object.entries(spec as object).filter(([, value]) => !(Array.isArray(value) && value.length === 0));
  return Object.fromEntries(entries);
}

function validateDeadlineUpdate(
  deadline: number | undefined,
  old: number | undefined,
): { readonly errors: readonly FieldError[]; readonly stop: boolean } {
  const path = 'spec.activeDeadlineSeconds';
  if (deadline == null) {
    const removed = old == null ? [] : [invalid(path, null, 'must not update from a positive integer to nil value')];
    return { errors: removed, stop: false };
  }
  if (deadline < 0 || deadline > maxInt32) return { errors: [invalid(path, deadline, inclusiveRangeText(0, maxInt32))], stop: true };
  if (old != null && old < deadline) {
    return { errors: [invalid(path, deadline, 'must be less than or equal to previous value')], stop: true };
  }
  return { errors: [], stop: false };
}

function validateAddedTolerations(tolerations: readonly api.V1Toleration[], old: readonly api.V1Toleration[]): FieldError[] {
  const path = 'spec.tolerations';
  const withoutSeconds = (toleration: api.V1Toleration): object => ({ ...toleration, tolerationSeconds: null });
  const kept = old.every((before) => tolerations.some((after) => equalJson(withoutSeconds(after), withoutSeconds(before))));
  if (!kept) return [forbiddenField(path, 'existing toleration can not be modified except its tolerationSeconds')];
  return validateTolerations(tolerations, path);
}

function validateRemovedGates(gates: readonly api.V1PodSchedulingGate[], old: readonly api.V1PodSchedulingGate[]): FieldError[] {
  const known = new Set(old.map((gate) => gate.name));
  return gates.flatMap(({ name }, i) => {
    if (known.has(name)) return [];
    return [forbiddenField(`spec.schedulingGates[${i}].name`, `only deletion is allowed, but found new scheduling gate '${name}'`)];
  });
}

/** The new spec with everything that may change set back, so that what is left must be equal. */
function withUpdatableFieldsOf(spec: api.V1PodSpec, old: api.V1PodSpec): Draft<api.V1PodSpec> {
  const munged = cloneJson(spec) as Draft<api.V1PodSpec>;
  for (const list of ['containers', 'initContainers'] as const) {
    (munged[list] ?? []).forEach((container, i) => {
      const image = old[list]?.[i]?.image;
      if (image === undefined) delete container.image;
      else container.image = image;
    });
  }
  for (const field of ['activeDeadlineSeconds', 'schedulingGates', 'tolerations'] as const) restore(munged, old, field);
  if ((old.terminationGracePeriodSeconds ?? 0) < 0 && munged.terminationGracePeriodSeconds === 1) {
    restore(munged, old, 'terminationGracePeriodSeconds');
  }
  return munged;
}

function restore(munged: Draft<api.V1PodSpec>, old: api.V1PodSpec, field: keyof api.V1PodSpec): void {
  if (old[field] === undefined) delete munged[field];
  else Object.assign(munged, { [field]: old[field] });
}

/** A pod that is held back by gates may still be narrowed to fewer nodes. */
function allowGatedChanges(munged: Draft<api.V1PodSpec>, old: api.V1PodSpec): FieldError[] {
  const errors: FieldError[] = [];
  const oldSelector = old.nodeSelector ?? {};
  const selector = munged.nodeSelector ?? {};
  if (!equalJson(selector, oldSelector)) {
    if (Object.keys(oldSelector).some((key) => getOwn(selector, key) !== getOwn(oldSelector, key))) {
      const detail = 'only additions to spec.nodeSelector are allowed (no mutations or deletions)';
      errors.push(invalid('spec.nodeSelector', selector, detail));
    }
    restore(munged, old, 'nodeSelector');
  }
  const affinity = munged.affinity?.nodeAffinity;
  const oldAffinity = old.affinity?.nodeAffinity;
  if (equalJson(affinity ?? null, oldAffinity ?? null)) return errors;
  errors.push(...validateNodeAffinityChange(affinity, oldAffinity));
  const others = munged.affinity?.podAffinity ?? munged.affinity?.podAntiAffinity;
  if (old.affinity == null && others == null) delete munged.affinity;
  else
    munged.affinity = {
      ...munged.affinity,
      ...(oldAffinity == null ? {} : { nodeAffinity: cloneJson(oldAffinity) as Draft<api.V1NodeAffinity> }),
    };
  if (oldAffinity == null && munged.affinity !== undefined) delete munged.affinity.nodeAffinity;
  return errors;
}

function validateNodeAffinityChange(affinity: api.V1NodeAffinity | undefined, old: api.V1NodeAffinity | undefined): FieldError[] {
  const path = 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';
  const oldTerms = old?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const terms = affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  if (oldTerms.length === 0) return [];
  if (oldTerms.length !== terms.length) {
    const shown = terms.length === 0 ? null : terms.map((term) => inMemoryStruct(term, 'NodeSelectorTerm'));
    return [invalid(path, shown, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed')];
  }
  return oldTerms.flatMap((oldTerm, i) => {
    const term = terms[i] ?? {};
    const grown = (['matchExpressions', 'matchFields'] as const).every((field) => {
      const before = oldTerm[field] ?? [];
      return equalJson((term[field] ?? []).slice(0, before.length), before);
    });
    const empty = (t: api.V1NodeSelectorTerm): boolean => (t.matchExpressions ?? []).length + (t.matchFields ?? []).length === 0;
    if (grown && !(empty(oldTerm) && !empty(term))) return [];
    const shown = inMemoryStruct(term, 'NodeSelectorTerm');
    return [invalid(`${path}[${i}]`, shown, 'only additions are allowed (no mutations or deletions)')];
  });
}

/** `PUT` and `PATCH …/status`. */
export function validatePodStatusUpdate(object: KubeObject, oldObject: KubeObject): FieldError[] {
  const pod = viewAs<api.V1Pod>(object);
  const old = viewAs<api.V1Pod>(oldObject);
  const status = pod.status ?? {};
  const oldStatus = old.status ?? {};
  const errors = validateAnnotationUpdates(object, oldObject);
  (status.conditions ?? []).forEach(({ type = '', observedGeneration = 0 }: Partial<api.V1PodCondition>, i) => {
    errors.push(...countedGeneration(observedGeneration, `status.conditions[${i}].observedGeneration`));
    if (['PodScheduled', 'Ready', 'Initialized'].includes(type)) return;
    errors.push(...invalidEach(`status.conditions[${i}].Type`, type, qualifiedNameProblems(type)));
  });
  if ((pod.spec?.nodeName ?? '') !== (old.spec?.nodeName ?? '')) {
    errors.push(forbiddenField('status.nodeName', 'may not be changed directly'));
  }
  const nominated = status.nominatedNodeName ?? '';
  if (nominated !== '' && nominated !== oldStatus.nominatedNodeName) {
    errors.push(...invalidEach('status.nominatedNodeName', nominated, dnsSubdomainProblems(nominated)));
    if ((old.spec?.nodeName ?? '') !== '') {
      errors.push(forbiddenField('status.nominatedNodeName', 'may not be set on pods that are already bound to a node'));
    }
  }
  errors.push(...countedGeneration(status.observedGeneration ?? 0, 'status.observedGeneration'));
  errors.push(...immutable(status.qosClass ?? '', oldStatus.qosClass ?? '', 'status.qosClass'));
  errors.push(...validateTransitions(pod, old));
  errors.push(...validateClaimStatuses(status.resourceClaimStatuses ?? [], pod.spec?.resourceClaims ?? []));
  const podIps = (status.podIPs ?? []).map((entry) => entry.ip ?? '');
  errors.push(...validateIps(podIps, 'status.podIPs'));
  const hostIps = (status.hostIPs ?? []).map((entry) => entry.ip ?? '');
  if (hostIps.length > 0 && hostIps[0] !== (status.hostIP ?? '')) {
    errors.push(invalid('status.hostIPs[0].ip', hostIps[0], 'must be equal to `hostIP`'));
  }
  errors.push(...validateIps(hostIps, 'status.hostIPs'));
  for (const list of ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'] as const) {
    errors.push(...validateUsers(status[list] ?? [], pod.spec?.os?.name ?? 'linux', `status.${list}`));
  }
  errors.push(...validateHealth(status.containerStatuses ?? [], pod.spec?.containers ?? [], 'status.containerStatuses'));
  errors.push(...validateHealth(status.initContainerStatuses ?? [], pod.spec?.initContainers ?? [], 'status.initContainerStatuses'));
  (status.ephemeralContainerStatuses ?? []).forEach(({ allocatedResourcesStatus = [] }, i) => {
    if (allocatedResourcesStatus.length === 0) return;
    const path = `status.ephemeralContainerStatuses[${i}].allocatedResourcesStatus`;
    errors.push(forbiddenField(path, 'must not be specified in container status'));
  });
  return errors;
}

/** What is reported of a claim is of one that the pod has, and reported once. */
function validateClaimStatuses(statuses: readonly api.V1PodResourceClaimStatus[], claims: readonly api.V1PodResourceClaim[]): FieldError[] {
  const seen = new Set<string>();
  return statuses.flatMap(({ name = '', resourceClaimName }: Partial<api.V1PodResourceClaimStatus>, i) => {
    const path = `status.resourceClaimStatuses[${i}].name`;
    const errors: FieldError[] = [];
    if (!claims.some((claim) => claim.name === name)) {
      errors.push(invalid(path, name, 'must match the name of an entry in `spec.resourceClaims`'));
    }
    if (seen.has(name)) errors.push(duplicate(path, name));
    seen.add(name);
    if (resourceClaimName == null) return errors;
    return [...errors, ...invalidEach(path, resourceClaimName, dnsSubdomainProblems(resourceClaimName))];
  });
}

/** Whom the first process of each container runs as. */
function validateUsers(statuses: readonly api.V1ContainerStatus[], os: string, path: string): FieldError[] {
  return statuses.flatMap(({ user }, i) => {
    const at = `${path}[${i}].linux`;
    if (user?.linux == null) return [];
    if (os === 'windows') return [forbiddenField(at, 'cannot be set for a windows pod')];
    const { uid = 0, gid = 0, supplementalGroups = [] } = user.linux as Partial<api.V1LinuxContainerUser>;
    return [
      ...invalidEach(`${at}.uid`, uid, unixIdProblems(uid)),
      ...invalidEach(`${at}.gid`, gid, unixIdProblems(gid)),
      ...supplementalGroups.flatMap((group, j) => invalidEach(`${at}.supplementalGroups[${j}]`, group, unixIdProblems(group))),
    ];
  });
}

/** How the resources do that containers were given. */
function validateHealth(statuses: readonly api.V1ContainerStatus[], containers: readonly api.V1Container[], path: string): FieldError[] {
  return statuses.flatMap(({ name, allocatedResourcesStatus = [] }, i) => {
    const container = containers.find((one) => one.name === name);
    return allocatedResourcesStatus.flatMap((status: Partial<api.V1ResourceStatus>, j) => {
      const at = `${path}[${i}].allocatedResourcesStatus[${j}]`;
      return [
        ...validateRequested(status.name ?? '', container, `${at}.name`),
        ...validateDevices(status.resources ?? [], `${at}.resources`),
      ];
    });
  });
}

/** A status may be of a container that has gone meanwhile. */
function validateRequested(name: string, container: api.V1Container | undefined, path: string): FieldError[] {
  if (container === undefined) return [];
  const { requests = {}, claims = [] } = container.resources ?? {};
  if (!name.startsWith('claim:')) {
    return Object.hasOwn(requests, name) ? [] : [invalid(path, name, "must match one of the container's resource requests")];
  }
  if (claims.some((claim) => name === `claim:${claim.name}${(claim.request ?? '') === '' ? '' : `/${claim.request}`}`)) return [];
  const forms = "'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty";
  return [invalid(path, name, `must match one of the container's resource claims in a format ${forms}`)];
}

function validateDevices(devices: readonly api.V1ResourceHealth[], path: string): FieldError[] {
  const seen = new Set<string>();
  return devices.flatMap(({ resourceID = '', health = '' }: Partial<api.V1ResourceHealth>, k) => {
    const known = ['Healthy', 'Unhealthy', 'Unknown'];
    const errors = known.includes(health) ? [] : [notSupported(`${path}[${k}].health`, health, known)];
    if (seen.has(resourceID)) errors.push(duplicate(`${path}[${k}].resourceID`, resourceID));
    seen.add(resourceID);
    return errors;
  });
}

function countedGeneration(generation: number, path: string): FieldError[] {
  return generation < 0 ? [invalid(path, generation, 'must be a non-negative integer')] : [];
}

/** A container that is done stays done, unless its restart policy says otherwise. */
function validateTransitions(pod: api.V1Pod, old: api.V1Pod): FieldError[] {
  const spec = old.spec ?? { containers: [] };
  const lists = [
    ['containerStatuses', spec.containers ?? []],
    ['initContainerStatuses', spec.initContainers ?? []],
    ['ephemeralContainerStatuses', []],
  ] as const;
  const anyMayRestart = restartsAllContainers(spec);
  return lists.flatMap(([list, containers]) => {
    if (anyMayRestart && list !== 'ephemeralContainerStatuses') return [];
    return (old.status?.[list] ?? []).flatMap((before, i) => {
      const ended = before.state?.terminated;
      const after = (pod.status?.[list] ?? []).find(({ name, state }) => name === before.name && state?.terminated == null);
      if (ended == null || after === undefined) return [];
      const container = containers.find(({ name }) => name === before.name);
      if (container !== undefined && mayRestart(container, spec, ended.exitCode)) return [];
      return [forbiddenField(`status.${list}[${i}].state`, 'may not be transitioned to non-terminated state')];
    });
  });
}

function validateIps(addresses: readonly string[], path: string): FieldError[] {
  const errors = addresses.flatMap((address, i) => validateIp(address, `${path}[${i}]`));
  if (addresses.length < 2) return errors;
  if (addresses.length > 2 || !isDualStack(addresses)) {
    const shown = addresses.map((address) => ({ IP: address }));
    errors.push(invalid(path, shown, 'may specify no more than one IP for each IP family'));
  }
  return errors;
}

/** `PUT` and `PATCH …/ephemeralcontainers`: containers are added, never changed or removed. */
export function validateEphemeralContainersUpdate(object: KubeObject, oldObject: KubeObject): FieldError[] {
  if (getOwn(oldObject.metadata.annotations, 'kubernetes.io/config.mirror') !== undefined) {
    return [forbiddenField('[]', 'static pods do not support ephemeral containers')];
  }
  const path = 'spec.ephemeralContainers';
  const containers = viewAs<api.V1Pod>(object).spec?.ephemeralContainers ?? [];
  return (viewAs<api.V1Pod>(oldObject).spec?.ephemeralContainers ?? []).flatMap((before) => {
    const after = containers.find((candidate) => candidate.name === before.name);
    const name = JSON.stringify(before.name);
    if (after === undefined) return [forbiddenField(path, `existing ephemeral containers ${name} may not be removed\n`)];
    if (equalJson(after, before)) return [];
    const diff = diffEphemeralContainers(before, after);
    return [forbiddenField(path, `existing ephemeral containers ${name} may not be changed\n${diff}`)];
  });
}
