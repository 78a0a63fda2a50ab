/** ConfigMap: key syntax, one key in one of the two maps only, 1 MiB over all values, immutability. */

import type { FieldError } from '../../errors/field-error.ts';
import { forbiddenField, invalid, tooLong } from '../../errors/field-error.ts';
import type { V1ConfigMap } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { equalJson } from '../../meta/safe-object.ts';
import { configKeyProblems } from '../../validation/names.ts';
import { invalidEach } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, column, nameColumn } from '../table-columns.ts';
import { keySizes, maxDataBytes, sizeWarnings, totalBytes } from './data-size.ts';

export const immutableDataText = 'field is immutable when `immutable` is set';

export const configMap = defineKind('', 'configmaps', {
  schema: 'io.k8s.api.core.v1.ConfigMap',
  nameSyntax: 'dns-subdomain',
  validate,
  validateUpdate,
  refusalWarnings: (object) => sizeWarnings(sizesOf(object)),
  table: {
    columns: [
      nameColumn,
      column(
        'Data',
        "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must not overlap with the keys in the BinaryData field, this is enforced during validation process.",
      ),
      ageColumn,
    ],
    cells(object, now) {
      const { metadata, data, binaryData } = viewAs<V1ConfigMap>(object);
      const count = Object.keys(data ?? {}).length + Object.keys(binaryData ?? {}).length;
      return [metadata?.name ?? '', count, timeSince(metadata?.creationTimestamp, now)];
    },
  },
});

function validate(object: KubeObject): FieldError[] {
  const { data, binaryData } = viewAs<V1ConfigMap>(object);
  const errors: FieldError[] = [];
  for (const key of Object.keys(data ?? {})) {
    errors.push(...invalidEach(`data[${key}]`, key, configKeyProblems(key)));
    if (Object.hasOwn(binaryData ?? {}, key)) errors.push(invalid(`data[${key}]`, key, 'duplicate of key present in binaryData'));
  }
  for (const key of Object.keys(binaryData ?? {})) {
    errors.push(...invalidEach(`binaryData[${key}]`, key, configKeyProblems(key)));
  }
  // The empty path stands for the whole object; that is how it is printed.
  if (totalBytes(sizesOf(object)) > maxDataBytes) errors.push(tooLong('[]', maxDataBytes));
  return errors;
}

function validateUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const before = viewAs<V1ConfigMap>(old);
  if (before.immutable !== true) return [];
  const after = viewAs<V1ConfigMap>(object);
  const errors: FieldError[] = [];
  if (after.immutable !== true) errors.push(forbiddenField('immutable', immutableDataText));
  for (const field of ['data', 'binaryData'] as const) {
    if (!equalJson(after[field] ?? {}, before[field] ?? {})) errors.push(forbiddenField(field, immutableDataText));
  }
  return errors;
}

function sizesOf(object: KubeObject): ReadonlyMap<string, number> {
  const { data, binaryData } = viewAs<V1ConfigMap>(object);
  return keySizes(data, binaryData);
}
