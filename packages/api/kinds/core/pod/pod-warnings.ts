/** What a user should know about a pod spec that is accepted nevertheless: deprecated or doubtful settings, in upstream's order. */

import type * as api from '../../../generated/types.ts';
import type { KubeObject, ObjectMeta } from '../../../meta/object.ts';
import { getOwn } from '../../../meta/safe-object.ts';
import { ipWarnings } from '../../../validation/ip.ts';
import { dnsLabelProblems, labelValueProblems } from '../../../validation/names.ts';
import { canonicalQuantity, isInteger } from '../../../validation/quantities.ts';
import { isSidecar } from '../../pod-state.ts';
import { allContainers } from './all-containers.ts';
import { overlappingPathWarnings } from './path-warnings.ts';

/** Labels of nodes that have newer names. */
export const deprecatedNodeLabels: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region': 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone': 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type': 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
};

const deprecatedAnnotations: readonly (readonly [string, string])[] = [
  ['scheduler.alpha.kubernetes.io/critical-pod', 'non-functional in v1.16+; use the "priorityClassName" field instead'],
  ['security.alpha.kubernetes.io/sysctls', 'non-functional in v1.11+; use the "sysctls" field instead'],
  ['security.alpha.kubernetes.io/unsafe-sysctls', 'non-functional in v1.11+; use the "sysctls" field instead'],
];
const seccompPodAnnotation = 'seccomp.security.alpha.kubernetes.io/pod';
const seccompContainerPrefix = 'container.seccomp.security.alpha.kubernetes.io/';
const appArmorPrefix = 'container.apparmor.security.beta.kubernetes.io/';

/** By field; upstream names one of them otherwise in its texts. */
const deprecatedVolumes: readonly (readonly [field: keyof api.V1Volume, text: string, name?: string])[] = [
  ['photonPersistentDisk', 'deprecated in v1.11, non-functional in v1.16+'],
  ['gitRepo', 'deprecated in v1.11, and disabled by default in v1.33+'],
  ['scaleIO', 'deprecated in v1.16, non-functional in v1.22+'],
  ['flocker', 'deprecated in v1.22, non-functional in v1.25+'],
  ['storageos', 'deprecated in v1.22, non-functional in v1.25+', 'storageOS'],
  ['quobyte', 'deprecated in v1.22, non-functional in v1.25+'],
  ['glusterfs', 'deprecated in v1.25, non-functional in v1.26+'],
  ['cephfs', 'deprecated in v1.28, non-functional in v1.31+'],
  ['rbd', 'deprecated in v1.28, non-functional in v1.31+'],
];

/** A new object whose name goes into host names (`use`), where only DNS labels work as expected. */
export function nameWarnings(object: KubeObject, use: string): string[] {
  const problems = dnsLabelProblems(object.metadata.name ?? '');
  if (problems.length === 0) return [];
  const text = `metadata.name: this is used in ${use}, which can result in surprising behavior; a DNS label is recommended`;
  return [`${text}: [${problems.join(' ')}]`];
}

/** `prefix` is empty for a pod, `spec.template.` for a template. */
export function podWarnings(spec: api.V1PodSpec, meta: ObjectMeta | undefined, prefix: string): string[] {
  const path = `${prefix}spec`;
  const annotations = new PodAnnotations(meta, `${prefix}metadata.annotations`);
  const warnings = [...nodeLabelWarnings(spec, path), ...deprecatedAnnotations.flatMap(([key, text]) => annotations.warnAbout(key, text))];
  (spec.volumes ?? []).forEach((volume, i) => {
    for (const [field, text, name = field] of deprecatedVolumes) {
      if (volume[field] != null) warnings.push(`${path}.volumes[${i}].${name}: ${text}`);
    }
  });
  warnings.push(...overlappingPathWarnings(spec.volumes ?? []));
  warnings.push(...duplicates(spec.hostAliases ?? [], 'ip', `${path}.hostAliases`));
  warnings.push(...duplicates(spec.imagePullSecrets ?? [], 'name', `${path}.imagePullSecrets`));
  (spec.imagePullSecrets ?? []).forEach((secret, i) => {
    if ((secret.name ?? '') === '') warnings.push(`${path}.imagePullSecrets[${i}].name: invalid empty name ""`);
  });
  warnings.push(...fractionWarnings(spec.overhead, `${path}.overhead`));
  if (spec.securityContext?.seccompProfile == null) warnings.push(...annotations.warnAbout(seccompPodAnnotation, seccompText));
  for (const [container, at] of allContainers(spec, path)) {
    if (container.securityContext?.seccompProfile == null) {
      warnings.push(...annotations.warnAbout(seccompContainerPrefix + container.name, seccompText));
    }
    if ((spec.securityContext?.appArmorProfile ?? container.securityContext?.appArmorProfile) == null) {
      warnings.push(...annotations.warnAbout(appArmorPrefix + container.name, appArmorText));
    }
    warnings.push(...containerWarnings(container, at));
  }
  warnings.push(...portWarnings(spec, path));
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    warnings.push(`${path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`);
  }
  warnings.push(...affinityWarnings(spec.affinity?.podAffinity, `${path}.affinity.podAffinity`));
  warnings.push(...affinityWarnings(spec.affinity?.podAntiAffinity, `${path}.affinity.podAntiAffinity`));
  (spec.dnsConfig?.nameservers ?? []).forEach((ip, i) => {
    warnings.push(...ipWarnings(ip, `${path}.dnsConfig.nameservers[${i}]`));
  });
  (spec.hostAliases ?? []).forEach(({ ip }, i) => {
    warnings.push(...ipWarnings(ip, `${path}.hostAliases[${i}].ip`));
  });
  return warnings;
}

const seccompText = 'non-functional in v1.27+; use the "seccompProfile" field instead';
const appArmorText = 'deprecated since v1.30; use the "appArmorProfile" field instead';

class PodAnnotations {
  readonly #annotations: Readonly<Record<string, string>> | undefined;
  readonly #path: string;

  constructor(meta: ObjectMeta | undefined, path: string) {
    this.#annotations = meta?.annotations;
    this.#path = path;
  }

  warnAbout(key: string, text: string): string[] {
    return getOwn(this.#annotations, key) === undefined ? [] : [`${this.#path}[${key}]: ${text}`];
  }
}

function nodeLabelWarnings(spec: api.V1PodSpec, path: string): string[] {
  const warnings: string[] = [];
  for (const key of Object.keys(spec.nodeSelector ?? {})) {
    const text = getOwn(deprecatedNodeLabels, key);
    if (text !== undefined) warnings.push(`${path}.nodeSelector[${key}]: ${text}`);
  }
  const at = `${path}.affinity.nodeAffinity`;
  const { requiredDuringSchedulingIgnoredDuringExecution: hard, preferredDuringSchedulingIgnoredDuringExecution: soft } =
    spec.affinity?.nodeAffinity ?? {};
  (hard?.nodeSelectorTerms ?? []).forEach((term, i) => {
    warnings.push(...termWarnings(term, false, `${at}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`));
  });
  (soft ?? []).forEach((term, i) => {
    warnings.push(...termWarnings(term.preference ?? {}, true, `${at}.preferredDuringSchedulingIgnoredDuringExecution[${i}].preference`));
  });
  (spec.topologySpreadConstraints ?? []).forEach((constraint, i) => {
    const text = getOwn(deprecatedNodeLabels, constraint.topologyKey ?? '');
    const where = `${path}.topologySpreadConstraints[${i}]`;
    if (text !== undefined) warnings.push(`${where}.topologyKey: ${constraint.topologyKey} is ${text}`);
    if (constraint.labelSelector == null) warnings.push(`${where}.labelSelector: a null labelSelector results in matching no pod`);
  });
  return warnings;
}

/** Values are checked where validation lets anything pass: in preferences. */
function termWarnings(term: api.V1NodeSelectorTerm, checkValues: boolean, path: string): string[] {
  return (term.matchExpressions ?? []).flatMap((expression, i) => {
    const where = `${path}.matchExpressions[${i}]`;
    const text = getOwn(deprecatedNodeLabels, expression.key ?? '');
    const warnings = text === undefined ? [] : [`${where}.key: ${expression.key} is ${text}`];
    if (!checkValues) return warnings;
    (expression.values ?? []).forEach((value, n) => {
      for (const problem of labelValueProblems(value)) warnings.push(`${where}.values[${n}]: ${value} is invalid, ${problem}`);
    });
    return warnings;
  });
}

function affinityWarnings(affinity: api.V1PodAffinity | undefined, path: string): string[] {
  const { requiredDuringSchedulingIgnoredDuringExecution: hard, preferredDuringSchedulingIgnoredDuringExecution: soft } = affinity ?? {};
  const nobody = 'labelSelector: a null labelSelector results in matching no pod';
  return [
    ...(hard ?? []).flatMap((term, i) =>
      term.labelSelector == null ? [`${path}.requiredDuringSchedulingIgnoredDuringExecution[${i}].${nobody}`] : [],
    ),
    ...(soft ?? []).flatMap((term, i) =>
      term.podAffinityTerm?.labelSelector == null
        ? [`${path}.preferredDuringSchedulingIgnoredDuringExecution[${i}].podAffinityTerm.${nobody}`]
        : [],
    ),
  ];
}

function duplicates<K extends string>(items: readonly { readonly [field in K]?: string }[], field: K, path: string): string[] {
  const seen = new Set<string>();
  return items.flatMap((item, i) => {
    const value = item[field] ?? '';
    if (seen.has(value)) return [`${path}[${i}].${field}: duplicate ${field} ${JSON.stringify(value)}`];
    seen.add(value);
    return [];
  });
}

function fractionWarnings(amounts: Readonly<Record<string, string>> | undefined, path: string): string[] {
  return ['memory', 'ephemeral-storage'].flatMap((name) => {
    const amount = getOwn(amounts, name);
    if (amount === undefined || isInteger(amount)) return [];
    return [`${path}[${name}]: fractional byte value ${JSON.stringify(canonicalQuantity(amount))} is invalid, must be an integer`];
  });
}

function containerWarnings(container: api.V1Container, path: string): string[] {
  const warnings: string[] = [];
  for (const name of ['memory', 'ephemeral-storage']) {
    for (const list of ['limits', 'requests'] as const) {
      const amount = getOwn(container.resources?.[list], name);
      warnings.push(...fractionWarnings(amount === undefined ? undefined : { [name]: amount }, `${path}.resources.${list}`));
    }
  }
  const names = new Set<string>();
  (container.env ?? []).forEach((variable, i) => {
    const { name, value = '' } = variable;
    if (!names.has(name)) {
      names.add(name);
      return;
    }
    const reference = `$(${name})`;
    const extendsPrevious = variable.valueFrom == null && value !== reference && value.includes(reference);
    if (!extendsPrevious) {
      warnings.push(`${path}.env[${i}]: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`);
    }
  });
  return warnings;
}

interface KnownPort {
  readonly at: string;
  readonly port: api.V1ContainerPort;
}

function portWarnings(spec: api.V1PodSpec, path: string): string[] {
  const warnings: string[] = [];
  const byNumber = new Map<string, KnownPort[]>();
  for (const [container, at] of allContainers(spec, path)) {
    (container.ports ?? []).forEach((port, i) => {
      const where = `${at}.ports[${i}]`;
      if ((port.hostIP ?? '') !== '' && (port.hostPort ?? 0) === 0) {
        warnings.push(`${where}: hostIP set without hostPort: ${describePort(port)}`);
      }
      const key = `${port.containerPort}/${port.protocol ?? ''}`;
      const others = byNumber.get(key) ?? [];
      for (const other of others) {
        const text = portOverlap(port, other.port);
        if (text !== undefined) warnings.push(`${where}: ${text} with ${other.at}`);
      }
      byNumber.set(key, [...others, { at: where, port }]);
    });
  }
  const names = new Map<string, string>();
  for (const [container, at] of allContainers(spec, path)) {
    if (at.startsWith(`${path}.ephemeralContainers`) || (at.startsWith(`${path}.initContainers`) && !isSidecar(container))) continue;
    (container.ports ?? []).forEach(({ name = '' }, i) => {
      if (name === '') return;
      const first = names.get(name);
      const where = `${at}.ports[${i}]`;
      if (first === undefined) names.set(name, where);
      else {
        const text = `duplicate port name ${JSON.stringify(name)} with ${first}, services and probes that select ports by name will use ${first}`;
        warnings.push(`${where}: ${text}`);
      }
    });
  }
  return warnings;
}

function describePort({ name = '', hostPort = 0, containerPort, protocol = '', hostIP = '' }: api.V1ContainerPort): string {
  return `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol} HostIP:${hostIP}}`;
}

function portOverlap(a: api.V1ContainerPort, b: api.V1ContainerPort): string | undefined {
  const [hostA, hostB] = [a.hostPort ?? 0, b.hostPort ?? 0];
  const [ipA, ipB] = [a.hostIP ?? '', b.hostIP ?? ''];
  if (hostA === hostB && ipA === ipB) return 'duplicate port definition';
  if (hostA === 0 || hostB === 0) return 'overlapping port definition';
  return hostA === hostB && (ipA === '') !== (ipB === '') ? 'dangerously ambiguous port definition' : undefined;
}
