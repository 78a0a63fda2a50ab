/** `env` and `envFrom` of a container. */

import type { FieldError } from '../../../errors/field-error.ts';
import { invalid, required, tooLong } from '../../../errors/field-error.ts';
import type { V1EnvFromSource, V1EnvVar, V1FileKeySelector } from '../../../generated/types.ts';
import { byteLength, configKeyProblems, dnsLabelProblems, envNameProblems, nameRules } from '../../../validation/names.ts';
import { invalidEach } from '../../../validation/object-meta.ts';
import { envFieldPaths, validateContainerResourceField, validateFieldRef } from './field-refs.ts';
import { validateVolumeFilePath } from './paths.ts';

const subdomain = nameRules['dns-subdomain'];

export function validateEnv(variables: readonly V1EnvVar[], path: string): FieldError[] {
  return variables.flatMap((variable, i) => {
    const at = `${path}[${i}]`;
    const name = variable.name ?? '';
    const errors = name === '' ? [required(`${at}.name`)] : invalidEach(`${at}.name`, name, envNameProblems(name));
    return [...errors, ...validateValueFrom(variable, `${at}.valueFrom`)];
  });
}

function validateValueFrom(variable: V1EnvVar, path: string): FieldError[] {
  const source = variable.valueFrom;
  if (source == null) return [];
  const errors: FieldError[] = [];
  if (source.fieldRef != null) errors.push(...validateFieldRef(source.fieldRef, envFieldPaths, `${path}.fieldRef`));
  if (source.resourceFieldRef != null) {
    errors.push(...validateContainerResourceField(source.resourceFieldRef, `${path}.resourceFieldRef`, false));
  }
  if (source.configMapKeyRef != null) errors.push(...validateKeyRef(source.configMapKeyRef, `${path}.configMapKeyRef`));
  if (source.secretKeyRef != null) errors.push(...validateKeyRef(source.secretKeyRef, `${path}.secretKeyRef`));
  if (source.fileKeyRef != null) errors.push(...validateFileKeyRef(source.fileKeyRef, `${path}.fileKeyRef`));
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef } = source;
  const given = [fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef, fileKeyRef].filter((s) => s != null).length;
  if (given === 0) {
    const detail = 'must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`';
    errors.push(invalid(path, '', detail));
  } else if ((variable.value ?? '') !== '') {
    errors.push(invalid(path, '', 'may not be specified when `value` is not empty'));
  } else if (given > 1) {
    errors.push(invalid(path, '', 'may not have more than one field specified at a time'));
  }
  return errors;
}

function validateKeyRef(reference: { readonly name?: string; readonly key: string }, path: string): FieldError[] {
  const name = reference.name ?? '';
  const key = reference.key ?? '';
  return [
    ...invalidEach(`${path}.name`, name, subdomain(name, false)),
    ...(key === '' ? [required(`${path}.key`)] : invalidEach(`${path}.key`, key, configKeyProblems(key))),
  ];
}

function validateFileKeyRef(reference: V1FileKeySelector, path: string): FieldError[] {
  const { key = '', volumeName = '', path: file = '' } = reference as Partial<V1FileKeySelector>;
  const errors: FieldError[] = [];
  if (key === '') errors.push(required(`${path}.key`));
  else errors.push(...invalidEach(`${path}.key`, key, envNameProblems(key)));
  if (byteLength(key) > 128) errors.push(tooLong(`${path}.key`, 128));
  if (volumeName === '') errors.push(required(`${path}.volumeName`));
  else errors.push(...invalidEach(`${path}.volumeName`, volumeName, dnsLabelProblems(volumeName)));
  if (file === '') errors.push(required(`${path}.path`));
  else errors.push(...validateVolumeFilePath(file, `${path}.path`));
  return errors;
}

export function validateEnvFrom(sources: readonly V1EnvFromSource[], path: string): FieldError[] {
  const errors: FieldError[] = [];
  sources.forEach((source, i) => {
    const at = `${path}[${i}]`;
    const prefix = source.prefix ?? '';
    if (prefix !== '') errors.push(...invalidEach(`${at}.prefix`, prefix, envNameProblems(prefix)));
    if (source.configMapRef != null) errors.push(...validateEnvSource(source.configMapRef, `${at}.configMapRef`));
    if (source.secretRef != null) errors.push(...validateEnvSource(source.secretRef, `${at}.secretRef`));
    const given = [source.configMapRef, source.secretRef].filter((reference) => reference != null).length;
    // Both are reported on the list, not on the entry.
    if (given === 0) errors.push(invalid(path, '', 'must specify one of: `configMapRef` or `secretRef`'));
    else if (given > 1) errors.push(invalid(path, '', 'may not have more than one field specified at a time'));
  });
  return errors;
}

function validateEnvSource(reference: { readonly name?: string }, path: string): FieldError[] {
  const name = reference.name ?? '';
  return name === '' ? [required(`${path}.name`)] : invalidEach(`${path}.name`, name, subdomain(name, true));
}
