/** ServiceAccount: nothing but metadata is checked; one old annotation is warned about. */

import type { KubeObject } from '../../meta/object.ts';
import { getOwn } from '../../meta/safe-object.ts';
import { defineKind } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, nameColumn } from '../table-columns.ts';

export const serviceAccount = defineKind('', 'serviceaccounts', {
  schema: 'io.k8s.api.core.v1.ServiceAccount',
  nameSyntax: 'dns-subdomain',
  warnings(object, old) {
    const annotation = 'kubernetes.io/enforce-mountable-secrets';
    const annotated = (target: KubeObject | undefined): boolean => getOwn(target?.metadata.annotations, annotation) !== undefined;
    if (!annotated(object) || annotated(old)) return [];
    return [`metadata.annotations[${annotation}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`];
  },
  table: {
    columns: [nameColumn, ageColumn],
    cells: (object, now) => [object.metadata.name ?? '', timeSince(object.metadata.creationTimestamp, now)],
  },
});
