/**
 * Rules for `metadata` that hold for every kind, as field errors in Kubernetes' words and order. Two levels exist, as upstream: the
 * generic server checks every object (`checkMeta`, `checkMetaUpdate`), and each kind repeats that together with its own name
 * syntax and the rule for finalizer names (`validateObjectMeta`, `validateObjectMetaUpdate`).
 */

import type { FieldError } from '../errors/field-error.ts';
import { forbiddenField, invalid, quoteGo, required, tooLong } from '../errors/field-error.ts';
import type { V1LabelSelector, V1LabelSelectorRequirement, V1ManagedFieldsEntry, V1OwnerReference } from '../generated/types.ts';
import type { ObjectMeta } from '../meta/object.ts';
import { parseApiVersion } from '../meta/object.ts';
import { equalJson, getOwn } from '../meta/safe-object.ts';
import type { NameRule } from './names.ts';
import { byteLength, labelValueProblems, nameRules, qualifiedNameProblems } from './names.ts';

export const immutableText = 'field is immutable';
const maxAnnotationBytes = 256 * 1024;
const standardFinalizers = ['kubernetes', 'orphan', 'foregroundDeletion'];

type StringMap = Readonly<Record<string, string>>;

/** What every kind checks on create: names, labels, annotations, owners, finalizers. */
export function validateObjectMeta(meta: ObjectMeta, namespaced: boolean, nameRule: NameRule, path = 'metadata'): FieldError[] {
  return [...checkMeta(meta, namespaced, nameRule, path), ...checkFinalizerNames(meta, path)];
}

/** What every kind checks on update, in addition to `validateObjectMeta` where the kind asks for it. */
export function validateObjectMetaUpdate(meta: ObjectMeta, old: ObjectMeta, path = 'metadata'): FieldError[] {
  return [...checkMetaUpdate(meta, old, path), ...checkFinalizerNames(meta, path)];
}

/** The generic server's own check of `metadata`; names need only be path segments for it. */
export function checkMeta(meta: ObjectMeta, namespaced: boolean, nameRule: NameRule, path = 'metadata'): FieldError[] {
  const errors: FieldError[] = [];
  const { name = '', generateName = '', namespace = '' } = meta;
  if (generateName !== '') errors.push(...invalidEach(`${path}.generateName`, generateName, nameRule(generateName, true)));
  if (name === '') errors.push(required(`${path}.name`, 'name or generateName is required'));
  else errors.push(...invalidEach(`${path}.name`, name, nameRule(name, false)));
  if (namespaced) {
    if (namespace === '') errors.push(required(`${path}.namespace`));
    else errors.push(...invalidEach(`${path}.namespace`, namespace, nameRules['dns-label'](namespace, false)));
  } else if (namespace !== '') {
    errors.push(forbiddenField(`${path}.namespace`, 'not allowed on this type'));
  }
  errors.push(...nonNegative(meta.generation ?? 0, `${path}.generation`));
  errors.push(...validateLabels(meta.labels, `${path}.labels`));
  errors.push(...validateAnnotations(meta.annotations, `${path}.annotations`));
  errors.push(...validateOwnerReferences(meta.ownerReferences ?? [], `${path}.ownerReferences`));
  errors.push(...validateFinalizers(meta.finalizers ?? [], `${path}.finalizers`));
  errors.push(...validateManagedFields(meta.managedFields ?? [], `${path}.managedFields`));
  return errors;
}

/** The generic server's own check of a change to `metadata`. */
export function checkMetaUpdate(meta: ObjectMeta, old: ObjectMeta, path = 'metadata'): FieldError[] {
  const errors: FieldError[] = [];
  if (old.deletionTimestamp != null) {
    const known = new Set(old.finalizers ?? []);
    const added = [...new Set(meta.finalizers ?? [])].filter((finalizer) => !known.has(finalizer)).sort();
    if (added.length > 0) {
      const list = `[]string{${added.map(quoteGo).join(', ')}}`;
      const detail = `no new finalizers can be added if the object is being deleted, found new finalizers ${list}`;
      errors.push(forbiddenField(`${path}.finalizers`, detail));
    }
  }
  if ((meta.resourceVersion ?? '') === '') {
    errors.push(invalid(`${path}.resourceVersion`, '', 'must be specified for an update'));
  }
  if ((meta.generation ?? 0) < (old.generation ?? 0)) {
    errors.push(invalid(`${path}.generation`, meta.generation ?? 0, 'must not be decremented'));
  }
  for (const field of ['name', 'namespace', 'uid'] as const) {
    errors.push(...immutable(meta[field] ?? '', old[field] ?? '', `${path}.${field}`));
  }
  for (const field of ['creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const) {
    errors.push(...immutable(meta[field] ?? null, old[field] ?? null, `${path}.${field}`));
  }
  errors.push(...validateLabels(meta.labels, `${path}.labels`));
  errors.push(...validateAnnotations(meta.annotations, `${path}.annotations`));
  errors.push(...validateOwnerReferences(meta.ownerReferences ?? [], `${path}.ownerReferences`));
  errors.push(...validateManagedFields(meta.managedFields ?? [], `${path}.managedFields`));
  return errors;
}

/** One error per problem with the value of a field. */
export function invalidEach(path: string, value: unknown, problems: readonly string[]): FieldError[] {
  return problems.map((problem) => invalid(path, value, problem));
}

/** An error when a field that may not change did. */
export function immutable(value: unknown, old: unknown, path: string): FieldError[] {
  return equalJson(value ?? null, old ?? null) ? [] : [invalid(path, value, immutableText)];
}

export function nonNegative(value: number, path: string): FieldError[] {
  return value < 0 ? [invalid(path, value, 'must be greater than or equal to 0')] : [];
}

export function validateLabels(labels: StringMap | undefined, path: string): FieldError[] {
  const errors: FieldError[] = [];
  for (const key of Object.keys(labels ?? {})) {
    const value = getOwn(labels, key) ?? '';
    errors.push(...invalidEach(path, key, qualifiedNameProblems(key)));
    errors.push(...invalidEach(path, value, labelValueProblems(value)));
  }
  return errors;
}

/** Keys as labels but in any case; keys and values together at most 256 KiB. */
export function validateAnnotations(annotations: StringMap | undefined, path: string): FieldError[] {
  const errors: FieldError[] = [];
  let totalBytes = 0;
  for (const key of Object.keys(annotations ?? {})) {
    errors.push(...invalidEach(path, key, qualifiedNameProblems(key.toLowerCase())));
    totalBytes += byteLength(key) + byteLength(getOwn(annotations, key) ?? '');
  }
  if (totalBytes > maxAnnotationBytes) errors.push(tooLong(path, maxAnnotationBytes));
  return errors;
}

export function validateLabelSelector(selector: V1LabelSelector | undefined, path: string): FieldError[] {
  if (selector == null) return [];
  const errors = validateLabels(selector.matchLabels, `${path}.matchLabels`);
  (selector.matchExpressions ?? []).forEach((requirement, i) => {
    errors.push(...validateRequirement(requirement, `${path}.matchExpressions[${i}]`));
  });
  return errors;
}

function validateRequirement(requirement: V1LabelSelectorRequirement, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
    case 'NotIn':
      if (values.length === 0) errors.push(required(`${path}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
      break;
    case 'Exists':
    case 'DoesNotExist':
      if (values.length > 0) {
        errors.push(forbiddenField(`${path}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
      }
      break;
    default:
      errors.push(invalid(`${path}.operator`, requirement.operator ?? '', 'not a valid selector operator'));
  }
  errors.push(...invalidEach(`${path}.key`, requirement.key ?? '', qualifiedNameProblems(requirement.key ?? '')));
  values.forEach((value, i) => {
    errors.push(...invalidEach(`${path}.values[${i}]`, value, labelValueProblems(value)));
  });
  return errors;
}

function validateOwnerReferences(references: readonly V1OwnerReference[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  let firstController = '';
  for (const reference of references) {
    const { group, version } = parseApiVersion(reference.apiVersion ?? '');
    if (version === '') errors.push(invalid(`${path}.apiVersion`, reference.apiVersion ?? '', 'version must not be empty'));
    for (const field of ['kind', 'name', 'uid'] as const) {
      if ((reference[field] ?? '') === '') errors.push(invalid(`${path}.${field}`, '', 'must not be empty'));
    }
    if (group === '' && version === 'v1' && reference.kind === 'Event') {
      errors.push(invalid(path, reference, '/v1, Kind=Event is disallowed from being an owner'));
    }
    if (reference.controller !== true) continue;
    const controller = `${reference.kind}/${reference.name}`;
    if (firstController === '') {
      firstController = controller;
    } else {
      const detail = `Only one reference can have Controller set to true. Found "true" in references for ${firstController} and ${controller}`;
      errors.push(invalid(path, references, detail));
    }
  }
  return errors;
}

/** Syntax only; whether an unqualified name is one of the standard ones is `standardFinalizerName`. */
export function finalizerName(name: string, path: string): FieldError[] {
  return invalidEach(path, name, qualifiedNameProblems(name));
}

/** Unqualified finalizer names are reserved. */
export function standardFinalizerName(name: string, path: string): FieldError[] {
  if (name.includes('/') || standardFinalizers.includes(name)) return [];
  return [invalid(path, name, 'name is neither a standard finalizer name nor is it fully qualified')];
}

function validateFinalizers(finalizers: readonly string[], path: string): FieldError[] {
  const errors = finalizers.flatMap((finalizer) => finalizerName(finalizer, path));
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    errors.push(invalid(path, finalizers, 'finalizer orphan and foregroundDeletion cannot be both set'));
  }
  return errors;
}

function checkFinalizerNames(meta: ObjectMeta, path: string): FieldError[] {
  return (meta.finalizers ?? []).flatMap((finalizer, i) => standardFinalizerName(finalizer, `${path}.finalizers[${i}]`));
}

function validateManagedFields(entries: readonly V1ManagedFieldsEntry[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  entries.forEach((entry, i) => {
    const at = `${path}[${i}]`;
    if (entry.operation !== 'Apply' && entry.operation !== 'Update') {
      errors.push(invalid(`${at}.operation`, entry.operation ?? '', 'must be `Apply` or `Update`'));
    }
    if ((entry.fieldsType ?? '') !== '' && entry.fieldsType !== 'FieldsV1') {
      errors.push(invalid(`${at}.fieldsType`, entry.fieldsType, 'must be `FieldsV1`'));
    }
    errors.push(...validateFieldManager(entry.manager ?? '', `${at}.manager`));
    if (byteLength(entry.subresource ?? '') > 256) errors.push(tooLong(`${at}.subresource`, 256));
  });
  return errors;
}

/** At most 128 bytes, printable. Also the rule for the query parameter of that name. */
export function validateFieldManager(manager: string, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (byteLength(manager) > 128) errors.push(tooLong(path, 128));
  if (/^[ -~]*$/.test(manager)) return errors;
  let position = 0;
  for (const char of manager) {
    if (!/[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(char)) {
      const code = (char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0');
      errors.push(invalid(path, manager, `invalid character U+${code} (at position ${position})`));
    }
    position += byteLength(char);
  }
  return errors;
}
