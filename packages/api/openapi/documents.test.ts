import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { builtInCatalog, Catalog } from '../catalog/catalog.ts';
import { OpenApiDocuments } from './documents.ts';

const catalog = builtInCatalog();
const documents = new OpenApiDocuments({ catalog, version: 'v1.36.0' });

type Json = { readonly [key: string]: Json } & { readonly [index: number]: Json };
const read = (body: Uint8Array): Json => JSON.parse(Buffer.from(body).toString()) as Json;
const v3 = (name: string): Json => {
  const document = documents.v3(name);
  if (document === undefined) throw new Error(`no document ${name}`);
  return read(document.body);
};

const listAt = (object: Json | undefined, name: string): readonly Json[] => (object?.[name] ?? []) as unknown as readonly Json[];

/** Every `$ref` below a value. */
function references(value: unknown, found = new Set<string>()): Set<string> {
  if (typeof value !== 'object' || value === null) return found;
  for (const [key, item] of Object.entries(value)) {
    if (key === '$ref') found.add(item as string);
    else references(item, found);
  }
  return found;
}

describe('OpenAPI version 3', () => {
  it('has an index of one document per group version, named by hash', () => {
    const paths = read(documents.index().body).paths as unknown as Record<string, { serverRelativeURL: string }>;
    expect(Object.keys(paths)).toContain('api/v1');
    expect(Object.keys(paths)).toContain('apis/rbac.authorization.k8s.io/v1');
    expect(paths['api/v1']?.serverRelativeURL).toBe(`/openapi/v3/api/v1?hash=${documents.hash('api/v1')}`);
    expect(documents.hash('api/v1')).toMatch(/^[0-9A-F]{128}$/);
  });

  it('has other hashes for other resources', () => {
    const fewer = new Catalog(catalog.resources.filter((r) => r.resource !== 'pods'));
    expect(new OpenApiDocuments({ catalog: fewer, version: 'v1.36.0' }).hash('api/v1')).not.toBe(documents.hash('api/v1'));
    expect(new OpenApiDocuments({ catalog, version: 'v1.36.0' }).hash('api/v1')).toBe(documents.hash('api/v1'));
  });

  it('knows no document of a group version that is not served', () => {
    for (const name of ['nothing', 'api/v2', 'apis/apps', 'apis/apps/v2', 'api/v1/x', '']) expect(documents.v3(name), name).toBeUndefined();
  });

  it('refers to nothing that it does not contain', () => {
    for (const name of documents.v3Names()) {
      const document = v3(name);
      const known = Object.keys(document.components?.schemas ?? {});
      for (const reference of references(document)) expect(known, name).toContain(reference.replace('#/components/schemas/', ''));
    }
  });

  it('tells clients what they decide by', () => {
    const { paths, components } = v3('apis/apps/v1');
    const patch = paths?.['/apis/apps/v1/namespaces/{namespace}/deployments/{name}']?.patch;
    expect(patch).toMatchObject({
      operationId: 'patchAppsV1NamespacedDeployment',
      'x-kubernetes-action': 'patch',
      'x-kubernetes-group-version-kind': { group: 'apps', version: 'v1', kind: 'Deployment' },
    });
    const names: unknown[] = listAt(patch, 'parameters').map((p) => p.name);
    expect(names).toEqual(['dryRun', 'fieldManager', 'fieldValidation', 'force']);
    expect(Object.keys(patch?.requestBody?.content ?? {})).toContain('application/strategic-merge-patch+json');

    const spec = components?.schemas?.['io.k8s.api.core.v1.PodSpec']?.properties?.containers;
    expect(spec).toMatchObject({
      type: 'array',
      items: { allOf: [{ $ref: '#/components/schemas/io.k8s.api.core.v1.Container' }], default: {} },
      'x-kubernetes-list-map-keys': ['name'],
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-patch-merge-key': 'name',
      'x-kubernetes-patch-strategy': 'merge',
    });
    expect(components?.schemas?.['io.k8s.api.apps.v1.Deployment']).toMatchObject({
      description: 'Deployment enables declarative updates for Pods and ReplicaSets.',
      'x-kubernetes-group-version-kind': [{ group: 'apps', kind: 'Deployment', version: 'v1' }],
    });
    expect(components?.schemas?.['io.k8s.apimachinery.pkg.api.resource.Quantity']).toMatchObject({
      oneOf: [{ type: 'string' }, { type: 'number' }],
    });
  });

  it('gives every operation an id of its own', () => {
    const ids = documents.v3Names().flatMap((name) =>
      Object.values(v3(name).paths ?? {})
        .flatMap((item) => Object.values(item))
        .map((operation) => operation.operationId)
        .filter((id) => id !== undefined),
    );
    expect(ids.length).toBeGreaterThan(100);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('OpenAPI version 2', () => {
  it('holds every kind that is served, and refers to nothing else', () => {
    const document = read(documents.v2().body);
    const known = Object.keys(document.definitions ?? {});
    for (const reference of references(document)) expect(known).toContain(reference.replace('#/definitions/', ''));
    expect(document.definitions?.['io.k8s.api.core.v1.Secret']?.properties?.data).toMatchObject({
      type: 'object',
      additionalProperties: { type: 'string', format: 'byte' },
    });
    expect(document.definitions?.['io.k8s.apimachinery.pkg.util.intstr.IntOrString']).toMatchObject({
      type: 'string',
      format: 'int-or-string',
    });
  });

  it('says the same in protobuf', () => {
    const { root } = protobuf.parse(`
      syntax = "proto3";
      message Document { string swagger = 1; Info info = 2; Paths paths = 8; Definitions definitions = 9; }
      message Info { string title = 1; string version = 2; }
      message Paths { repeated NamedPathItem path = 2; }
      message NamedPathItem { string name = 1; PathItem value = 2; }
      message PathItem { Operation get = 2; Operation patch = 8; }
      message Operation { string operation_id = 5; repeated ParametersItem parameters = 8; repeated NamedAny vendor_extension = 13; }
      message ParametersItem { Parameter parameter = 1; }
      message Parameter { BodyParameter body = 1; NonBodyParameter other = 2; }
      message BodyParameter { string name = 2; bool required = 4; Schema schema = 5; }
      message NonBodyParameter { QueryParameter query = 3; }
      message QueryParameter { string name = 4; string type = 6; bool unique_items = 20; }
      message Definitions { repeated NamedSchema item = 1; }
      message NamedSchema { string name = 1; Schema value = 2; }
      message Schema { string ref = 1; string description = 4; TypeItem type = 22; ItemsItem items = 23; Properties properties = 25; repeated NamedAny extension = 31; }
      message TypeItem { repeated string value = 1; }
      message ItemsItem { repeated Schema schema = 1; }
      message Properties { repeated NamedSchema item = 1; }
      message NamedAny { string name = 1; Any value = 2; }
      message Any { string yaml = 2; }
    `);
    const type = root.lookupType('Document');
    const document = type.toObject(type.decode(documents.v2Protobuf().body)) as Json;
    expect(document).toMatchObject({ swagger: '2.0', info: { title: 'Kubernetes', version: 'v1.36.0' } });

    const find = (list: unknown, name: string) => (list as { name: string; value: Json }[]).find((item) => item.name === name)?.value;
    const podSpec = find(document.definitions?.item, 'io.k8s.api.core.v1.PodSpec');
    const containers = find(podSpec?.properties?.item, 'containers');
    expect(containers).toMatchObject({
      type: { value: ['array'] },
      items: { schema: [{ ref: '#/definitions/io.k8s.api.core.v1.Container' }] },
    });
    expect(find(containers?.extension, 'x-kubernetes-patch-merge-key')).toEqual({ yaml: '"name"\n' });

    const patch = find(document.paths?.path, '/api/v1/namespaces/{namespace}/configmaps/{name}')?.patch;
    expect(patch?.operationId).toBe('patchCoreV1NamespacedConfigMap');
    expect(patch?.parameters?.[0]?.parameter?.body).toMatchObject({ name: 'body', required: true });
    expect(patch?.parameters?.[1]?.parameter?.other?.query).toEqual({ name: 'dryRun', type: 'string', uniqueItems: true });
    expect(find(patch?.vendorExtension, 'x-kubernetes-action')).toEqual({ yaml: '"patch"\n' });
  });
});
