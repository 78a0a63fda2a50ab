/**
 * CustomResourceDefinition, read only: there are none, and none can be created (405). It is served because clients ask for the list
 * before they tell a user that a kind does not exist.
 */
import { defineKind } from '../define-kind.ts';
import { ageColumn, nameColumn } from '../table-columns.ts';

export const customResourceDefinition = defineKind('apiextensions.k8s.io', 'customresourcedefinitions', {
  schema: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition',
  nameSyntax: 'dns-subdomain',
  table: {
    columns: [nameColumn, { ...ageColumn, name: 'Created At', type: 'date' }],
    cells: (object) => [object.metadata.name ?? '', object.metadata.creationTimestamp ?? ''],
  },
});
