/** What a user should know about a pod spec that is accepted nevertheless: deprecated or doubtful settings. */

import type * as api from '../../../generated/types.ts';
import type { ObjectMeta } from '../../../meta/object.ts';
import { getOwn } from '../../../meta/safe-object.ts';
import { canonicalQuantity, isInteger } from '../../../validation/quantities.ts';
import { isSidecar } from '../../pod-state.ts';

/** Labels of nodes that have newer names. */
export const deprecatedNodeLabels: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region': 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone': 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type': 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
};

const deprecatedVolumes: readonly (readonly [keyof api.V1Volume, string])[] = [
  ['photonPersistentDisk', 'deprecated in v1.11, non-functional in v1.16+'],
  ['gitRepo', 'deprecated in v1.11, and disabled by default in v1.33+'],
  ['scaleIO', 'deprecated in v1.16, non-functional in v1.22+'],
  ['flocker', 'deprecated in v1.22, non-functional in v1.25+'],
  ['storageos', 'deprecated in v1.22, non-functional in v1.25+'],
  ['quobyte', 'deprecated in v1.22, non-functional in v1.25+'],
  ['glusterfs', 'deprecated in v1.25, non-functional in v1.26+'],
  ['cephfs', 'deprecated in v1.28, non-functional in v1.31+'],
  ['rbd', 'deprecated in v1.28, non-functional in v1.31+'],
];

/** `prefix` is empty for a pod, `spec.template.` for a template. */
export function podWarnings(spec: api.V1PodSpec, meta: ObjectMeta | undefined, prefix: string): string[] {
  const path = `${prefix}spec`;
  const warnings: string[] = [];
  warnings.push(...nodeLabelWarnings(spec, path));
  warnings.push(...annotationWarnings(meta, `${prefix}metadata.annotations`));
  (spec.volumes ?? []).forEach((volume, i) => {
    for (const [type, text] of deprecatedVolumes) {
      if (volume[type] != null) warnings.push(`${path}.volumes[${i}].${type}: ${text}`);
    }
  });
  warnings.push(...duplicates(spec.hostAliases ?? [], 'ip', `${path}.hostAliases`));
  warnings.push(...duplicates(spec.imagePullSecrets ?? [], 'name', `${path}.imagePullSecrets`));
  (spec.imagePullSecrets ?? []).forEach((secret, i) => {
    if ((secret.name ?? '') === '') warnings.push(`${path}.imagePullSecrets[${i}].name: invalid empty name ""`);
  });
  for (const [container, at] of containersOf(spec, path)) warnings.push(...containerWarnings(container, at));
  warnings.push(...portWarnings(spec, path));
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    warnings.push(`${path}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`);
  }
  return warnings;
}

function containersOf(spec: api.V1PodSpec, path: string): readonly (readonly [api.V1Container, string])[] {
  return (['initContainers', 'containers', 'ephemeralContainers'] as const).flatMap((list) =>
    (spec[list] ?? []).map((container, i) => [container, `${path}.${list}[${i}]`] as const),
  );
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
    warnings.push(...termWarnings(term, `${at}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[${i}]`));
  });
  (soft ?? []).forEach((term, i) => {
    warnings.push(...termWarnings(term.preference ?? {}, `${at}.preferredDuringSchedulingIgnoredDuringExecution[${i}].preference`));
  });
  (spec.topologySpreadConstraints ?? []).forEach((constraint, i) => {
    const text = getOwn(deprecatedNodeLabels, constraint.topologyKey ?? '');
    const where = `${path}.topologySpreadConstraints[${i}]`;
    if (text !== undefined) warnings.push(`${where}.topologyKey: ${constraint.topologyKey} is ${text}`);
    if (constraint.labelSelector == null) warnings.push(`${where}.labelSelector: a null labelSelector results in matching no pod`);
  });
  return warnings;
}

function termWarnings(term: api.V1NodeSelectorTerm, path: string): string[] {
  return (term.matchExpressions ?? []).flatMap((expression, i) => {
    const text = getOwn(deprecatedNodeLabels, expression.key ?? '');
    return text === undefined ? [] : [`${path}.matchExpressions[${i}].key: ${expression.key} is ${text}`];
  });
}

function annotationWarnings(meta: ObjectMeta | undefined, path: string): string[] {
  return Object.keys(meta?.annotations ?? {}).flatMap((key) => {
    if (key === 'scheduler.alpha.kubernetes.io/critical-pod') {
      return [`${path}[${key}]: non-functional in v1.16+; use the "priorityClassName" field instead`];
    }
    if (key === 'seccomp.security.alpha.kubernetes.io/pod' || key.startsWith('container.seccomp.security.alpha.kubernetes.io/')) {
      return [`${path}[${key}]: non-functional in v1.27+; use the "seccompProfile" field instead`];
    }
    if (key.startsWith('container.apparmor.security.beta.kubernetes.io/')) {
      return [`${path}[${key}]: deprecated since v1.30; use the "appArmorProfile" field instead`];
    }
    return [];
  });
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

function containerWarnings(container: api.V1Container, path: string): string[] {
  const warnings: string[] = [];
  for (const name of ['memory', 'ephemeral-storage']) {
    for (const list of ['limits', 'requests'] as const) {
      const amount = getOwn(container.resources?.[list], name);
      if (amount === undefined || isInteger(amount)) continue;
      const text = `fractional byte value ${JSON.stringify(canonicalQuantity(amount))} is invalid, must be an integer`;
      warnings.push(`${path}.resources.${list}[${name}]: ${text}`);
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
      warnings.push(`${path}.env[${i}]: hides previous definition of ${JSON.stringify(name)}, which may be unexpected`);
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
  for (const [container, at] of containersOf(spec, path)) {
    (container.ports ?? []).forEach((port, i) => {
      const where = `${at}.ports[${i}]`;
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
  for (const [container, at] of containersOf(spec, path)) {
    if (at.startsWith(`${path}.ephemeralContainers`) || (at.startsWith(`${path}.initContainers`) && !isSidecar(container))) continue;
    (container.ports ?? []).forEach(({ name = '' }, i) => {
      if (name === '') return;
      const first = names.get(name);
      const where = `${at}.ports[${i}].name`;
      if (first === undefined) names.set(name, where);
      else {
        const text = `duplicate port name ${JSON.stringify(name)} with ${first}, services and probes that select ports by name will use ${first}`;
        warnings.push(`${where}: ${text}`);
      }
    });
  }
  return warnings;
}

function portOverlap(a: api.V1ContainerPort, b: api.V1ContainerPort): string | undefined {
  const [hostA, hostB] = [a.hostPort ?? 0, b.hostPort ?? 0];
  const [ipA, ipB] = [a.hostIP ?? '', b.hostIP ?? ''];
  if (hostA === hostB && ipA === ipB) return 'duplicate port definition';
  if (hostA === 0 || hostB === 0) return 'overlapping port definition';
  return hostA === hostB && (ipA === '') !== (ipB === '') ? 'dangerously ambiguous port definition' : undefined;
}
