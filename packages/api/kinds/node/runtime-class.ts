/** RuntimeClass: which handler of the container runtime runs a pod, what that costs beside its containers, and which nodes have it. */

import type { FieldError } from '../../errors/field-error.ts';
import { duplicate } from '../../errors/field-error.ts';
import type { V1RuntimeClass, V1Toleration } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { dnsLabelProblems } from '../../validation/names.ts';
import { immutable, invalidEach, validateLabels } from '../../validation/object-meta.ts';
import { type Draft, roundList } from '../core/pod/pod-defaults.ts';
import { inMemoryStruct } from '../core/pod/pod-diff.ts';
import { validateContainerResources } from '../core/pod/resource-validation.ts';
import { validateTolerations } from '../core/pod/scheduling-validation.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, fieldColumn, nameColumn } from '../table-columns.ts';

const schema = 'io.k8s.api.node.v1.RuntimeClass';

export const runtimeClass = defineKind('node.k8s.io', 'runtimeclasses', {
  schema,
  nameSyntax: 'dns-subdomain',
  applyDefaults: (object) => roundList((viewAs<V1RuntimeClass>(object) as Draft<V1RuntimeClass>).overhead?.podFixed),
  validate,
  validateUpdate: (object, old) =>
    immutable(viewAs<V1RuntimeClass>(object).handler ?? '', viewAs<V1RuntimeClass>(old).handler ?? '', 'handler'),
  updateOrder: ['meta-update', 'update'],
  table: {
    columns: [nameColumn, fieldColumn('Handler', schema, 'handler'), ageColumn],
    cells(object, now) {
      const { metadata, handler } = viewAs<V1RuntimeClass>(object);
      return [metadata?.name ?? '', handler ?? '', timeSince(metadata?.creationTimestamp, now)];
    },
  },
});

function validate(object: KubeObject): FieldError[] {
  const { handler = '', overhead, scheduling } = viewAs<Partial<V1RuntimeClass>>(object);
  const tolerations = scheduling?.tolerations ?? [];
  const path = 'scheduling.tolerations';
  return [
    ...invalidEach('handler', handler, dnsLabelProblems(handler)),
    ...(overhead == null ? [] : validateContainerResources({ limits: overhead.podFixed ?? {} }, new Set(), 'overhead')),
    ...validateLabels(scheduling?.nodeSelector, 'scheduling.nodeSelector'),
    ...validateTolerations(tolerations, path),
    ...validateUnique(tolerations, path),
  ];
}

/** Tolerations that differ in their time only are the same one twice. */
function validateUnique(tolerations: readonly V1Toleration[], path: string): FieldError[] {
  const seen = new Set<string>();
  return tolerations.flatMap((toleration, i) => {
    const { key = '', operator = '', value = '', effect = '' } = toleration;
    const identity = JSON.stringify([key, operator, value, effect]);
    if (seen.has(identity)) return [duplicate(`${path}[${i}]`, inMemoryStruct(toleration, 'Toleration'))];
    seen.add(identity);
    return [];
  });
}
