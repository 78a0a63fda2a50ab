/** PodTemplate: a pod template on its own, which nothing runs. */

import type { V1PodTemplate } from '../../generated/types.ts';
import type { ObjectMeta } from '../../meta/object.ts';
import { equalJson } from '../../meta/safe-object.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { applyTemplateDefaults, containerCells, validateTemplate } from '../pod-template.ts';
import { column, nameColumn } from '../table-columns.ts';
import { podWarnings } from './pod/pod-warnings.ts';

export const podTemplate = defineKind('', 'podtemplates', {
  schema: 'io.k8s.api.core.v1.PodTemplate',
  nameSyntax: 'dns-subdomain',
  applyDefaults: applyTemplateDefaults,
  validate: (object) => validateTemplate(viewAs<V1PodTemplate>(object).template ?? {}, 'template'),
  updateOrder: ['meta-update', 'object'],
  warnings(object, old) {
    if (old !== undefined && equalJson(object.template ?? null, old.template ?? null)) return [];
    const { metadata, spec } = viewAs<V1PodTemplate>(object).template ?? {};
    return podWarnings(spec ?? { containers: [] }, metadata as ObjectMeta | undefined, 'template.');
  },
  hasGeneration: true,
  table: {
    columns: [
      nameColumn,
      column('Containers', 'Names of each container in the template.', 'string', 0),
      column('Images', 'Images referenced by each container in the template.', 'string', 0),
      column('Pod Labels', 'The labels for the pod template.', 'string', 0),
    ],
    cells(object) {
      const { metadata, template } = viewAs<V1PodTemplate>(object);
      const labels = Object.entries(template?.metadata?.labels ?? {}).map(([key, value]) => `${key}=${value}`);
      return [
        metadata?.name ?? '',
        ...containerCells(template?.spec?.containers ?? []),
        labels.length === 0 ? '<none>' : labels.sort().join(','),
      ];
    },
  },
});
