/** Secret: as ConfigMap, with a type that demands certain keys and never changes. No message contains a value. */

import type { FieldError } from '../../errors/field-error.ts';
import { forbiddenField, invalid, required, tooLong } from '../../errors/field-error.ts';
import type { V1Secret } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { equalJson, getOwn, isRecord, setOwn } from '../../meta/safe-object.ts';
import { jsonObjectError } from '../../validation/go-json.ts';
import { configKeyProblems } from '../../validation/names.ts';
import { immutable, invalidEach } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, column, nameColumn } from '../table-columns.ts';
import { immutableDataText } from './configmap.ts';
import { decodedLength, keySizes, maxDataBytes, sizeWarnings, totalBytes } from './data-size.ts';
import { keyPairProblem } from './tls-key-pair.ts';

const redacted = '<secret contents redacted>';

export const secret = defineKind('', 'secrets', {
  schema: 'io.k8s.api.core.v1.Secret',
  nameSyntax: 'dns-subdomain',
  applyDefaults(object) {
    if (object.type === undefined || object.type === '') object.type = 'Opaque';
  },
  normalize: moveStringData,
  validate,
  validateUpdate,
  warnings,
  refusalWarnings: (object) => sizeWarnings(keySizes(undefined, viewAs<V1Secret>(object).data)),
  selectableFields: (object) => ({ type: viewAs<V1Secret>(object).type ?? '' }),
  table: {
    columns: [
      nameColumn,
      column(
        'Type',
        'Used to facilitate programmatic handling of secret data. More info: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types',
      ),
      column(
        'Data',
        "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'. The serialized form of the secret data is a base64 encoded string, representing the arbitrary (possibly non-string) data value here. Described in https://tools.ietf.org/html/rfc4648#section-4",
      ),
      ageColumn,
    ],
    cells(object, now) {
      const { metadata, type, data } = viewAs<V1Secret>(object);
      return [metadata?.name ?? '', type ?? '', Object.keys(data ?? {}).length, timeSince(metadata?.creationTimestamp, now)];
    },
  },
});

/** `stringData` is for writing only: its values replace those of the same key in `data`. */
function moveStringData(object: KubeObject): void {
  const { stringData } = object;
  delete object.stringData;
  if (!isRecord(stringData) || Object.keys(stringData).length === 0) return;
  const data = isRecord(object.data) ? object.data : {};
  for (const key of Object.keys(stringData)) setOwn(data, key, Buffer.from(String(getOwn(stringData, key)), 'utf8').toString('base64'));
  object.data = data;
}

function validate(object: KubeObject): FieldError[] {
  const { data } = viewAs<V1Secret>(object);
  const errors = Object.keys(data ?? {}).flatMap((key) => invalidEach(`data[${key}]`, key, configKeyProblems(key)));
  if (totalBytes(keySizes(undefined, data)) > maxDataBytes) errors.push(tooLong('data', maxDataBytes));
  errors.push(...validateType(viewAs<V1Secret>(object)));
  return errors;
}

function validateType(object: V1Secret): FieldError[] {
  const { type, data } = object;
  const missing = (...keys: readonly string[]): FieldError[] =>
    keys.filter((key) => !Object.hasOwn(data ?? {}, key)).map((key) => required(`data[${key}]`));
  switch (type) {
    case 'kubernetes.io/service-account-token': {
      const account = getOwn(object.metadata?.annotations, 'kubernetes.io/service-account.name') ?? '';
      return account === '' ? [required('metadata.annotations[kubernetes.io/service-account.name]')] : [];
    }
    case 'kubernetes.io/dockercfg':
      return validateJsonKey(data, '.dockercfg');
    case 'kubernetes.io/dockerconfigjson':
      return validateJsonKey(data, '.dockerconfigjson');
    case 'kubernetes.io/basic-auth': {
      const errors = missing('username', 'password');
      return errors.length === 2 ? errors : [];
    }
    case 'kubernetes.io/ssh-auth':
      return decodedLength(getOwn(data, 'ssh-privatekey') ?? '') === 0 ? [required('data[ssh-privatekey]')] : [];
    case 'kubernetes.io/tls':
      return missing('tls.crt', 'tls.key');
    default:
      return [];
  }
}

function validateJsonKey(data: V1Secret['data'], key: string): FieldError[] {
  const value = getOwn(data, key);
  if (value === undefined) return [required(`data[${key}]`)];
  const problem = jsonObjectError(decode(value));
  return problem === undefined ? [] : [invalid(`data[${key}]`, redacted, problem)];
}

function validateUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const after = viewAs<V1Secret>(object);
  const before = viewAs<V1Secret>(old);
  const errors = immutable(after.type ?? '', before.type ?? '', 'type');
  if (before.immutable !== true) return errors;
  if (after.immutable !== true) errors.push(forbiddenField('immutable', immutableDataText));
  if (!equalJson(after.data ?? {}, before.data ?? {})) errors.push(forbiddenField('data', immutableDataText));
  return errors;
}

function warnings(object: KubeObject): string[] {
  const { type, data } = viewAs<V1Secret>(object);
  if (type !== 'kubernetes.io/tls') return [];
  const problem = keyPairProblem(decode(getOwn(data, 'tls.crt') ?? ''), decode(getOwn(data, 'tls.key') ?? ''));
  return problem === undefined ? [] : [problem];
}

function decode(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}
