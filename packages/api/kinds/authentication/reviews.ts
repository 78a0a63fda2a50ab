/** TokenReview and SelfSubjectReview: answered and never stored. What a TokenReview must hold is checked by its answer. */

import type { KubeObject } from '../../meta/object.ts';
import { defineKind } from '../define-kind.ts';
import { nameColumn } from '../table-columns.ts';

const group = 'authentication.k8s.io';
const table = { columns: [nameColumn], cells: (object: KubeObject) => [object.metadata.name ?? ''] };

export const tokenReview = defineKind(group, 'tokenreviews', {
  schema: 'io.k8s.api.authentication.v1.TokenReview',
  nameSyntax: 'path-segment',
  table,
});

export const selfSubjectReview = defineKind(group, 'selfsubjectreviews', {
  schema: 'io.k8s.api.authentication.v1.SelfSubjectReview',
  nameSyntax: 'path-segment',
  table,
});
