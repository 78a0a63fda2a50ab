/** Binding: assigns a pod to a node. Never stored. */

import type { FieldError } from '../../errors/field-error.ts';
import { notSupported, required } from '../../errors/field-error.ts';
import type { V1Binding } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { createdTable } from '../table-columns.ts';

export const binding = defineKind('', 'bindings', {
  schema: 'io.k8s.api.core.v1.Binding',
  nameSyntax: 'dns-subdomain',
  metaChecks: 'none',
  validate,
  table: createdTable,
});

function validate(object: KubeObject): FieldError[] {
  const { kind = '', name = '' } = viewAs<V1Binding>(object).target ?? {};
  return [
    ...(kind === '' || kind === 'Node' ? [] : [notSupported('target.kind', kind, ['Node', '<empty>'])]),
    ...(name === '' ? [required('target.name')] : []),
  ];
}
