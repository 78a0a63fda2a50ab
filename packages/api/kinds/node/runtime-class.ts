/** RuntimeClass: which handler of the container runtime runs a pod, what that costs beside its containers, and which nodes have it. */

import type { FieldError } from '../../errors/field-error.ts';
import type { V1RuntimeClass } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { dnsLabelProblems } from '../../validation/names.ts';
import { immutable, invalidEach, validateLabels } from '../../validation/object-meta.ts';
import { type Draft, roundList } from '../core/pod/pod-defaults.ts';
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
  return [
    ...invalidEach('handler', handler, dnsLabelProblems(handler)),
    ...(overhead == null ? [] : validateContainerResources({ limits: overhead.podFixed ?? {} }, new Set(), 'overhead')),
    ...validateLabels(scheduling?.nodeSelector, 'scheduling.nodeSelector'),
    ...validateTolerations(scheduling?.tolerations ?? [], 'scheduling.tolerations'),
  ];
}
