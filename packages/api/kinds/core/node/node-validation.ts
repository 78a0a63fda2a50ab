/** Rules for nodes beyond their metadata. The paths of taints are below `metadata`, as clients know them. */

import type { FieldError } from '../../../errors/field-error.ts';
import { duplicate, forbiddenField, invalid, required } from '../../../errors/field-error.ts';
import type { V1ConfigMapNodeConfigSource, V1Node, V1NodeAddress, V1NodeConfigSource, V1Taint } from '../../../generated/types.ts';
import { getOwn, isRecord } from '../../../meta/safe-object.ts';
import { cidrFamily, validateCidr } from '../../../validation/ip.ts';
import {
  configKeyProblems,
  dnsLabelProblems,
  dnsSubdomainProblems,
  labelValueProblems,
  qualifiedNameProblems,
} from '../../../validation/names.ts';
import { invalidEach } from '../../../validation/object-meta.ts';
import { checkAnnotatedList, checkAnnotatedObject } from '../annotated-json.ts';
import { validateResourceAmount } from '../pod/resource-validation.ts';
import { validateTaintEffect } from '../pod/scheduling-validation.ts';

const unchangeable = (what: string): string => `node updates may not change ${what} except from "" to valid`;

export function validateNode(node: V1Node): FieldError[] {
  return [
    ...validateAnnotations(node),
    ...validateTaints(node.spec?.taints ?? [], 'metadata.taints'),
    ...validateAmounts(node),
    ...validateFeatures(node.status?.declaredFeatures ?? []),
    ...validatePodRanges(node.spec?.podCIDRs ?? []),
  ];
}

export function validateNodeUpdate(node: V1Node, old: V1Node): FieldError[] {
  const errors = [
    ...validateAnnotations(node),
    ...validateAmounts(node),
    ...validateFeatures(node.status?.declaredFeatures ?? []),
    ...validateAddresses(node),
  ];
  const ranges = node.spec?.podCIDRs ?? [];
  const oldRanges = old.spec?.podCIDRs ?? [];
  if (oldRanges.length > 0) {
    const changes = ranges.length !== oldRanges.length ? 1 : oldRanges.filter((range, i) => range !== ranges[i]).length;
    for (let i = 0; i < changes; i++) errors.push(forbiddenField('spec.podCIDRs', unchangeable('podCIDR')));
  }
  const oldProvider = old.spec?.providerID ?? '';
  if (oldProvider !== '' && oldProvider !== (node.spec?.providerID ?? '')) {
    errors.push(forbiddenField('spec.providerID', unchangeable('providerID')));
  }
  if (node.spec?.configSource != null) errors.push(...validateConfigSource(node.spec.configSource, 'spec.configSource', 'spec'));
  const config = node.status?.config;
  for (const field of ['assigned', 'active', 'lastKnownGood'] as const) {
    const source = config?.[field];
    if (source != null) errors.push(...validateConfigSource(source, `status.config.${field}`, 'status'));
  }
  errors.push(...validateTaints(node.spec?.taints ?? [], 'metadata.taints'));
  if ((node.spec?.externalID ?? '') !== (old.spec?.externalID ?? '')) errors.push(forbiddenField('spec.externalID', 'may not be updated'));
  return errors;
}

function validateAnnotations(node: V1Node): FieldError[] {
  const annotations = node.metadata?.annotations ?? {};
  const path = 'metadata.annotations';
  const taints = { key: 'scheduler.alpha.kubernetes.io/taints', type: '[]core.Taint', path };
  const avoided = { key: 'scheduler.alpha.kubernetes.io/preferAvoidPods', type: 'v1.AvoidPods', path: `${path}.AvoidPods` };
  return [
    ...checkAnnotatedList(annotations, taints, (list) => validateTaints(list, `${path}.${taints.key}`)),
    ...checkAnnotatedObject(annotations, avoided, ({ preferAvoidPods }) => validateAvoided(preferAvoidPods, `${path}.${avoided.key}`)),
  ];
}

/** Pods to keep away are named by their controller. */
function validateAvoided(entries: unknown, path: string): FieldError[] {
  if (!Array.isArray(entries)) return [];
  return entries.flatMap((entry: unknown, i) => {
    const at = `${path}[${i}].PodSignature`;
    const signature = isRecord(entry) ? entry.podSignature : undefined;
    const owner = isRecord(signature) ? signature.podController : undefined;
    if (!isRecord(owner)) return [required(at)];
    if (owner.controller === true) return [];
    return [invalid(`${at}.PodController.Controller`, false, 'must point to a controller')];
  });
}

/** What the node says it can do is sorted, so that it is easily compared. */
function validateFeatures(features: readonly string[]): FieldError[] {
  const path = 'status.declaredFeatures';
  return features.flatMap((feature, i) => {
    const errors: FieldError[] = [];
    if (feature.length > 253) {
      errors.push(
        invalid(`${path}[${i}]`, feature, `invalid feature name ${JSON.stringify(feature)}: must be no more than 253 characters`),
      );
    } else if (!/^[A-Z][a-zA-Z0-9]*(\/[a-zA-Z][a-zA-Z0-9]*)*$/.test(feature)) {
      const rule =
        "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes";
      errors.push(invalid(`${path}[${i}]`, feature, `invalid feature name ${JSON.stringify(feature)}: ${rule}`));
    }
    const next = features[i + 1];
    if (next === feature) errors.push(duplicate(`${path}[${i + 1}]`, next));
    else if (next !== undefined && next < feature) errors.push(invalid(`${path}[${i + 1}]`, next, 'list must be sorted alphabetically'));
    return errors;
  });
}

function validateTaints(taints: readonly Partial<V1Taint>[], base: string): FieldError[] {
  const seen = new Set<string>();
  return taints.flatMap((taint, i) => {
    const path = `${base}[${i}]`;
    const { key = '', value = '', effect = '' } = taint;
    const errors = invalidEach(`${path}.key`, key, qualifiedNameProblems(key));
    const problems = labelValueProblems(value);
    if (problems.length > 0) errors.push(invalid(`${path}.value`, value, problems.join(';')));
    if (effect === '') errors.push(required(`${path}.effect`));
    else errors.push(...validateTaintEffect(effect, `${path}.effect`));
    const pair = `${effect}\n${key}`;
    if (seen.has(pair)) {
      const error = duplicate(path, { Key: key, Value: value, Effect: effect, TimeAdded: taint.timeAdded ?? null });
      errors.push({ ...error, message: `${error.message}: taints must be unique by key and effect pair` });
    }
    seen.add(pair);
    return errors;
  });
}

function validateAmounts(node: V1Node): FieldError[] {
  return (['capacity', 'allocatable'] as const).flatMap((field) => {
    const list = node.status?.[field];
    return Object.keys(list ?? {}).flatMap((name) => validateResourceAmount(name, getOwn(list, name) ?? '0', `status.${field}.${name}`));
  });
}

function validateAddresses(node: V1Node): FieldError[] {
  const seen = new Set<string>();
  return (node.status?.addresses ?? []).flatMap(({ type = '', address = '' }: Partial<V1NodeAddress>, i) => {
    const key = `${type}\n${address}`;
    if (seen.has(key)) return [duplicate(`status.addresses[${i}]`, { Type: type, Address: address })];
    seen.add(key);
    return [];
  });
}

function validatePodRanges(ranges: readonly string[]): FieldError[] {
  const path = 'spec.podCIDRs';
  const errors = ranges.flatMap((range, i) => validateCidr(range, `${path}[${i}]`));
  if (ranges.length < 2) return errors;
  const families = new Set(ranges.map(cidrFamily));
  if (ranges.length > 2 || !families.has('IPv4') || !families.has('IPv6')) {
    errors.push(invalid(path, ranges, 'may specify no more than one CIDR for each IP family'));
  }
  return errors;
}

/** Configuration of kubelets by ConfigMap: no longer used, still checked. In the spec it is a wish, in the status an exact version. */
function validateConfigSource(source: V1NodeConfigSource, path: string, place: 'spec' | 'status'): FieldError[] {
  const { configMap } = source;
  if (configMap == null) return [invalid(path, { ConfigMap: null }, 'exactly one reference subfield must be non-nil')];
  const at = `${path}.configMap`;
  const errors: FieldError[] = [];
  for (const field of ['uid', 'resourceVersion'] as const) {
    const given = (configMap[field] ?? '') !== '';
    if (place === 'spec' && given) errors.push(forbiddenField(`${at}.${field}`, `${field} must not be set in spec`));
    if (place === 'status' && !given) errors.push(required(`${at}.${field}`));
  }
  return [...errors, ...validateConfigMapReference(configMap, at)];
}

function validateConfigMapReference(reference: V1ConfigMapNodeConfigSource, path: string): FieldError[] {
  const rules = { namespace: dnsLabelProblems, name: dnsSubdomainProblems, kubeletConfigKey: configKeyProblems };
  return (['namespace', 'name', 'kubeletConfigKey'] as const).flatMap((field) => {
    const value = reference[field] ?? '';
    if (value === '') return [required(`${path}.${field}`)];
    return invalidEach(`${path}.${field}`, value, rules[field](value));
  });
}
