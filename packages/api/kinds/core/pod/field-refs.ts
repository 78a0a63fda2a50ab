/** References to the pod's own fields and to the resources of its containers, in env and volumes. */

import type { FieldError } from '../../../errors/field-error.ts';
import { invalid, notSupported, required } from '../../../errors/field-error.ts';
import type { V1ObjectFieldSelector, V1ResourceFieldSelector } from '../../../generated/types.ts';
import { qualifiedNameProblems } from '../../../validation/names.ts';
import { invalidEach } from '../../../validation/object-meta.ts';
import { canonicalQuantity, isZero } from '../../../validation/quantities.ts';

/** What an environment variable may refer to; labels and annotations only with a subscript. */
export const envFieldPaths = [
  'metadata.name',
  'metadata.namespace',
  'metadata.uid',
  'spec.nodeName',
  'spec.serviceAccountName',
  'status.hostIP',
  'status.hostIPs',
  'status.podIP',
  'status.podIPs',
];

/** What a file of a volume may hold. */
export const volumeFieldPaths = ['metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid'];

/** Fields that have ever been accepted; anything else is not a field at all. */
const knownLabels = new Set([...envFieldPaths, ...volumeFieldPaths, 'spec.restartPolicy', 'spec.schedulerName', 'status.phase']);

const resourcePaths = [
  'limits.cpu',
  'limits.ephemeral-storage',
  'limits.memory',
  'requests.cpu',
  'requests.ephemeral-storage',
  'requests.memory',
];
const byteDivisors = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'];

/** `metadata.labels['x']` → its two parts; undefined for a path without subscript. */
export function splitSubscript(fieldPath: string): { readonly path: string; readonly subscript: string } | undefined {
  const match = /^(.+?)\['([\s\S]*)'\]$/.exec(fieldPath);
  return match === null ? undefined : { path: match[1] ?? '', subscript: match[2] ?? '' };
}

export function validateFieldRef(reference: V1ObjectFieldSelector, allowed: readonly string[], path: string): FieldError[] {
  const apiVersion = reference.apiVersion ?? '';
  const fieldPath = reference.fieldPath ?? '';
  if (apiVersion === '') return [required(`${path}.apiVersion`)];
  if (fieldPath === '') return [required(`${path}.fieldPath`)];
  const problem = (text: string): FieldError[] => [invalid(`${path}.fieldPath`, fieldPath, `error converting fieldPath: ${text}`)];
  if (apiVersion !== 'v1') return problem(`unsupported pod version: ${apiVersion}`);
  const subscripted = splitSubscript(fieldPath);
  if (subscripted !== undefined) {
    const { path: base, subscript } = subscripted;
    if (base === 'metadata.annotations') return invalidEach(path, subscript.toLowerCase(), qualifiedNameProblems(subscript.toLowerCase()));
    if (base === 'metadata.labels') return invalidEach(path, subscript, qualifiedNameProblems(subscript));
    return problem(`field label does not support subscript: ${fieldPath}`);
  }
  const internal = fieldPath === 'spec.host' ? 'spec.nodeName' : fieldPath;
  if (!knownLabels.has(internal)) return problem(`field label not supported: ${fieldPath}`);
  return allowed.includes(internal) ? [] : [notSupported(`${path}.fieldPath`, internal, allowed)];
}

/** `containerName` is required in volumes, where there is no container around the reference. */
export function validateContainerResourceField(reference: V1ResourceFieldSelector, path: string, inVolume: boolean): FieldError[] {
  const resource = reference.resource ?? '';
  const errors: FieldError[] = [];
  if (inVolume && (reference.containerName ?? '') === '') errors.push(required(`${path}.containerName`));
  else if (resource === '') errors.push(required(`${path}.resource`));
  else if (!resourcePaths.includes(resource) && !isHugePages(resource)) {
    errors.push(notSupported(`${path}.resource`, resource, resourcePaths));
  }
  return [...errors, ...validateDivisor(resource, reference.divisor, path)];
}

function validateDivisor(resource: string, divisor: string | undefined, path: string): FieldError[] {
  if (divisor == null || isZero(divisor)) return [];
  const text = canonicalQuantity(divisor);
  const refuse = (allowed: readonly string[], what: string): FieldError[] => {
    if (allowed.includes(text)) return [];
    const list = allowed.length === 2 ? allowed.join(' and ') : allowed.join(', ');
    return [invalid(`${path}.divisor`, resource, `only divisor's values ${list} are supported with the ${what} resource`)];
  };
  if (resource.endsWith('.cpu')) return refuse(['1m', '1'], 'cpu');
  if (resource.endsWith('.memory')) return refuse(byteDivisors, 'memory');
  if (resource.endsWith('.ephemeral-storage')) return refuse(byteDivisors, 'local ephemeral storage');
  return isHugePages(resource) ? refuse(byteDivisors, 'hugepages') : [];
}

function isHugePages(resource: string): boolean {
  return resource.startsWith('requests.hugepages-') || resource.startsWith('limits.hugepages-');
}
