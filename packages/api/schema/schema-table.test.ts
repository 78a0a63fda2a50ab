import { describe, expect, it } from 'vitest';
import { builtInResources } from '../catalog/built-in-resources.ts';
import { builtInSchemaTable } from './schema-table.ts';

const table = builtInSchemaTable();
const field = (struct: string, name: string) => {
  const found = table.struct(struct).fields.get(name);
  if (found === undefined) throw new Error(`${struct} has no ${name}`);
  return found;
};
const core = (name: string) => `io.k8s.api.core.v1.${name}`;

describe('BuiltInSchemaTable', () => {
  it('knows every served kind, its list and the kinds of its subresources', () => {
    for (const r of builtInResources) {
      expect(table.kind(r.group, r.version, r.kind), r.kind).toBeDefined();
      if (r.storagePrefix !== '') expect(table.kind(r.group, r.version, r.listKind), r.listKind).toBeDefined();
      for (const s of r.subresources) expect(table.kind(s.group ?? r.group, s.version ?? r.version, s.kind), s.kind).toBeDefined();
    }
  });

  it('can build every type it names', () => {
    for (const name of table.names()) expect(table.struct(name).fieldList.length, name).toBeGreaterThan(name.endsWith('Source') ? 0 : -1);
  });

  it('tells how lists merge', () => {
    expect(field(core('PodSpec'), 'containers')).toMatchObject({
      type: { kind: 'list', element: { kind: 'struct', name: core('Container') }, listType: 'map', mapKeys: ['name'] },
      required: true,
      patchStrategy: ['merge'],
      patchMergeKey: 'name',
      number: 2,
      goType: '[]v1.Container',
    });
    expect(field(core('Container'), 'ports').type).toMatchObject({ listType: 'map', mapKeys: ['containerPort', 'protocol'] });
    expect(field(core('Container'), 'ports').patchMergeKey).toBe('containerPort');
    expect(field(core('PodSpec'), 'volumes').patchStrategy).toEqual(['merge', 'retainKeys']);
    expect(field('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta', 'finalizers').type).toMatchObject({ listType: 'set' });
    expect(field('io.k8s.api.apps.v1.DeploymentSpec', 'strategy').patchStrategy).toEqual(['retainKeys']);
  });

  it('tells what is owned as a whole', () => {
    expect(field(core('PodSpec'), 'nodeSelector').atomic).toBe(true);
    expect(field(core('PodSpec'), 'nodeSelector').type).toMatchObject({ mapType: 'atomic' });
    expect(table.struct(core('SecretKeySelector')).atomic).toBe(true);
    expect(table.struct('io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector').atomic).toBe(true);
  });

  it('opens embedded structs where Go writes them', () => {
    const volume = table.struct(core('Volume'));
    expect([...volume.fields.keys()].slice(0, 3)).toEqual(['name', 'hostPath', 'emptyDir']);
    expect(volume.fields.get('configMap')?.embeddedIn).toEqual({ name: 'VolumeSource', number: 2, struct: core('VolumeSource') });
    expect([...table.struct(core('ConfigMap')).fields.keys()]).toEqual([
      'kind',
      'apiVersion',
      'metadata',
      'immutable',
      'data',
      'binaryData',
    ]);
  });

  it('tells how Go writes empty fields', () => {
    const creation = field('io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta', 'creationTimestamp');
    expect(creation).toMatchObject({ omitEmpty: true, omitZero: true, pointer: false });
    expect(field('io.k8s.api.apps.v1.DeploymentSpec', 'replicas')).toMatchObject({ omitEmpty: true, pointer: true });
    expect(field('io.k8s.api.rbac.v1.Role', 'rules')).toMatchObject({ omitEmpty: false, required: false });
  });

  it('gives named Go types their names', () => {
    expect(field(core('PodSpec'), 'dnsPolicy').goType).toBe('v1.DNSPolicy');
    expect(field(core('ResourceRequirements'), 'limits')).toMatchObject({
      goType: 'v1.ResourceList',
      type: { kind: 'map', value: { kind: 'special', type: 'quantity' } },
    });
    expect(field(core('Secret'), 'data')).toMatchObject({
      goType: 'map[string][]uint8',
      type: { value: { kind: 'scalar', type: 'string', format: 'byte' } },
    });
  });

  it('knows the kinds that every group version has', () => {
    expect(table.kind('apps', 'v1', 'DeleteOptions')?.name).toBe('io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions');
    expect(table.kind('', 'v1', 'Status')?.name).toBe('io.k8s.apimachinery.pkg.apis.meta.v1.Status');
    expect(table.kind('apps', 'v1', 'Status')).toBeUndefined();
    expect(table.kind('apps', 'v1', 'constructor')).toBeUndefined();
    expect(() => table.struct('constructor')).toThrow('no type constructor');
  });
});
