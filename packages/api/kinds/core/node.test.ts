import { describe, expect, it } from 'vitest';
import type { FieldError } from '../../errors/field-error.ts';
import type { KubeObject } from '../../meta/object.ts';
import { createErrors, statusErrors, updateErrors } from '../validate-object.ts';
import { node } from './node.ts';

const now = Date.parse('2026-01-02T00:00:00Z');

function nodeWith(spec: unknown, status?: unknown, labels?: Record<string, string>): KubeObject {
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n1', resourceVersion: '7', creationTimestamp: '2026-01-01T23:00:00Z', ...(labels === undefined ? {} : { labels }) },
    spec,
    ...(status === undefined ? {} : { status }),
  };
  node.applyDefaults(object);
  return object;
}

const texts = (errors: readonly FieldError[]): string[] => errors.map((error) => `${error.field}: ${error.message}`);
const created = (object: KubeObject): string[] => texts(createErrors(node, object));
const updated = (object: KubeObject, old: KubeObject): string[] => texts(updateErrors(node, object, old));

describe('defaults', () => {
  it('lets everything be allocated that is not said to be reserved', () => {
    expect(nodeWith({}, { capacity: { cpu: '4' } }).status).toEqual({ capacity: { cpu: '4' }, allocatable: { cpu: '4' } });
    const reserved = { capacity: { cpu: '4' }, allocatable: { cpu: '3' } };
    expect(nodeWith({}, reserved).status).toEqual(reserved);
  });

  it('keeps both forms of the pod range equal; the older one decides', () => {
    expect(nodeWith({ podCIDR: '10.1.0.0/24' }).spec).toEqual({ podCIDR: '10.1.0.0/24', podCIDRs: ['10.1.0.0/24'] });
    expect(nodeWith({ podCIDRs: ['10.1.0.0/24', 'fd00::/64'] }).spec).toEqual({
      podCIDR: '10.1.0.0/24',
      podCIDRs: ['10.1.0.0/24', 'fd00::/64'],
    });
    expect(nodeWith({ podCIDR: '10.2.0.0/24', podCIDRs: ['10.1.0.0/24', 'fd00::/64'] }).spec).toEqual({
      podCIDR: '10.2.0.0/24',
      podCIDRs: ['10.2.0.0/24'],
    });
  });
});

describe('validation', () => {
  it('accepts an ordinary node', () => {
    const taints = [
      { key: 'a', effect: 'NoSchedule' },
      { key: 'a', effect: 'NoExecute', value: 'v' },
    ];
    expect(created(nodeWith({ taints, podCIDRs: ['10.1.0.0/24', 'fd00::/64'] }, { capacity: { cpu: '4', 'x.io/gpu': '2' } }))).toEqual([]);
  });

  it('reports taints under metadata', () => {
    const taints = [
      { key: '', effect: '' },
      { key: 'a', value: 'not ok', effect: 'Sometimes' },
      { key: 'b', effect: 'NoSchedule' },
      { key: 'b', value: 'x', effect: 'NoSchedule' },
    ];
    const errors = created(nodeWith({ taints }));
    expect(errors.map((text) => text.slice(0, text.indexOf(': ')))).toEqual([
      'metadata.taints[0].key',
      'metadata.taints[0].key',
      'metadata.taints[0].effect',
      'metadata.taints[1].value',
      'metadata.taints[1].effect',
      'metadata.taints[3]',
    ]);
    expect(errors[2]).toBe('metadata.taints[0].effect: Required value');
    expect(errors[4]).toBe(
      'metadata.taints[1].effect: Unsupported value: "Sometimes": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
    );
    expect(errors[5]).toMatch(/^metadata\.taints\[3\]: Duplicate value: .*: taints must be unique by key and effect pair$/);
  });

  it.each([
    [['10.1.0.0/33'], 'spec.podCIDRs[0]: Invalid value: "10.1.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'],
    [['10.1.0.1/24'], 'spec.podCIDRs[0]: Invalid value: "10.1.0.1/24": must not have bits set beyond the prefix length'],
    [['010.1.0.0/24'], 'spec.podCIDRs[0]: Invalid value: "010.1.0.0/24": must not have leading 0s in IP or prefix length'],
    [['::ffff:10.1.0.0/120'], 'spec.podCIDRs[0]: Invalid value: "::ffff:10.1.0.0/120": must not have an IPv4-mapped IPv6 address'],
    [
      ['10.1.0.0/24', '10.2.0.0/24'],
      'spec.podCIDRs: Invalid value: ["10.1.0.0/24","10.2.0.0/24"]: may specify no more than one CIDR for each IP family',
    ],
  ])('refuses pod ranges %j', (podCIDRs, message) => expect(created(nodeWith({ podCIDRs }))).toEqual([message]));

  it('checks what old versions kept in annotations', () => {
    const annotated = (name: string, value: string): string[] => {
      const object = nodeWith({});
      const metadata = { ...object.metadata, annotations: { [`scheduler.alpha.kubernetes.io/${name}`]: value } };
      const problems = created({ ...object, metadata });
      expect(updated({ ...object, metadata }, object)).toEqual(expect.arrayContaining(problems));
      return problems;
    };
    for (const fine of ['', 'null', '[]', '[{"key":"a","effect":"NoSchedule"}]']) expect(annotated('taints', fine)).toEqual([]);
    const at = 'metadata.annotations.scheduler.alpha.kubernetes.io';
    expect(annotated('taints', '[{"key":"a","value":7,"effect":"Now"}]')).toEqual([
      `${at}/taints[0].effect: Unsupported value: "Now": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"`,
    ]);
    expect(annotated('taints', '[')).toEqual([
      'metadata.annotations: Invalid value: "scheduler.alpha.kubernetes.io/taints": unexpected end of JSON input',
    ]);
    const mistyped = (name: string) => `Invalid value: "scheduler.alpha.kubernetes.io/${name}": json: cannot unmarshal`;
    expect(annotated('taints', '{}')).toEqual([`metadata.annotations: ${mistyped('taints')} object into Go value of type []core.Taint`]);
    expect(annotated('preferAvoidPods', 'true')).toEqual([
      `metadata.annotations.AvoidPods: ${mistyped('preferAvoidPods')} bool into Go value of type v1.AvoidPods`,
    ]);
    expect(annotated('preferAvoidPods', '{}')).toEqual([]);
    const entries = [
      { podSignature: { podController: { controller: true } } },
      {},
      { podSignature: { podController: { controller: false } } },
    ];
    expect(annotated('preferAvoidPods', JSON.stringify({ preferAvoidPods: entries }))).toEqual([
      `${at}/preferAvoidPods[1].PodSignature: Required value`,
      `${at}/preferAvoidPods[2].PodSignature.PodController.Controller: Invalid value: false: must point to a controller`,
    ]);
  });

  it('checks the names of features and their order', () => {
    const declared = (...declaredFeatures: string[]) => created(nodeWith({}, { declaredFeatures }));
    expect(declared('Feature', 'Feature/sub', 'Other')).toEqual([]);
    const long = `A${'a'.repeat(253)}`;
    const errors = declared('B', 'B', 'A', long, 'b/');
    expect(texts(statusErrors(node, nodeWith({}, { declaredFeatures: ['B', 'B', 'A', long, 'b/'] }), nodeWith({})))).toEqual(errors);
    expect(errors).toEqual([
      'status.declaredFeatures[1]: Duplicate value: "B"',
      'status.declaredFeatures[2]: Invalid value: "A": list must be sorted alphabetically',
      expect.stringMatching(
        /^status\.declaredFeatures\[3\]: Invalid value: "Aa+": invalid feature name "Aa+": must be no more than 253 characters$/,
      ),
      expect.stringMatching(
        /^status\.declaredFeatures\[4\]: Invalid value: "b\/": invalid feature name "b\/": must start with an UpperCamel/,
      ),
    ]);
  });

  it('checks amounts', () => {
    expect(created(nodeWith({}, { capacity: { memory: '-1' }, allocatable: { pods: '1500m' } }))).toEqual([
      'status.capacity.memory: Invalid value: "-1": must be greater than or equal to 0',
      'status.allocatable.pods: Invalid value: "1500m": must be an integer',
    ]);
  });
});

describe('updates', () => {
  it('sets pod ranges and provider once', () => {
    const old = nodeWith({ podCIDRs: ['10.1.0.0/24'], providerID: 'x://1' });
    expect(updated(nodeWith({ podCIDRs: ['10.1.0.0/24'], providerID: 'x://1', unschedulable: true }), nodeWith({}))).toEqual([]);
    expect(updated(nodeWith({ podCIDRs: ['10.2.0.0/24'], providerID: 'x://2', externalID: 'e' }), old)).toEqual([
      'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
      'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid',
      'spec.externalID: Forbidden: may not be updated',
    ]);
  });

  it('refuses one address twice, also in a write of the status', () => {
    const addresses = [
      { type: 'InternalIP', address: '10.0.0.1' },
      { type: 'Hostname', address: '10.0.0.1' },
      { type: 'InternalIP', address: '10.0.0.1' },
    ];
    const errors = texts(statusErrors(node, nodeWith({}, { addresses }), nodeWith({})));
    expect(errors).toEqual(['status.addresses[2]: Duplicate value: {"Type":"InternalIP","Address":"10.0.0.1"}']);
  });

  it('checks references to configuration', () => {
    const configMap = { name: 'c', namespace: 'Bad', kubeletConfigKey: '', uid: 'u' };
    const errors = updated(nodeWith({ configSource: { configMap } }, { config: { assigned: {} } }), nodeWith({}));
    expect(errors.map((text) => text.slice(0, text.indexOf(': ')))).toEqual([
      'spec.configSource.configMap.uid',
      'spec.configSource.configMap.namespace',
      'spec.configSource.configMap.kubeletConfigKey',
      'status.config.assigned',
    ]);
  });
});

it('warns about fields that nothing reads and ranges that are written oddly', () => {
  expect(node.warnings(nodeWith({ configSource: {}, externalID: 'e', podCIDRs: ['FD00:0::/64'] }), undefined)).toEqual([
    'spec.configSource: the feature is no longer supported',
    'spec.externalID: this field is deprecated, and is unused by Kubernetes',
    'spec.podCIDRs[0]: IPv6 CIDR value "FD00:0::/64" should be in RFC 5952 canonical format ("fd00::/64")',
  ]);
});

it('selects by whether pods may be scheduled', () => {
  expect(node.selectableFields(nodeWith({}))).toEqual({ 'spec.unschedulable': 'false' });
  expect(node.selectableFields(nodeWith({ unschedulable: true }))).toEqual({ 'spec.unschedulable': 'true' });
});

describe('table', () => {
  it('has a row for a node in service', () => {
    const labels = { 'node-role.kubernetes.io/worker': '', 'node-role.kubernetes.io/': '', 'kubernetes.io/role': 'edge' };
    const status = {
      conditions: [{ type: 'Ready', status: 'True' }],
      addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
      nodeInfo: { kubeletVersion: 'v1.36.0', osImage: 'Linux', kernelVersion: '6.1', containerRuntimeVersion: 'sandbox://1' },
    };
    const row = ['n1', 'Ready', 'edge,worker', '60m', 'v1.36.0', '10.0.0.1', '<none>', 'Linux', '6.1', 'sandbox://1'];
    expect(node.table.cells(nodeWith({}, status, labels), now)).toEqual(row);
    expect(node.table.columns.map((column) => `${column.name}${column.priority}`)).toEqual([
      'Name0',
      'Status0',
      'Roles0',
      'Age0',
      'Version0',
      'Internal-IP1',
      'External-IP1',
      'OS-Image1',
      'Kernel-Version1',
      'Container-Runtime1',
    ]);
  });

  it.each([
    [undefined, '<unknown>'],
    [{ kernelVersion: '6.1.0' }, '6.1.0'],
    [{ kernelVersion: '6.1.0', architecture: 'arm64' }, '6.1.0 (arm64)'],
  ])('kernel of %j: %s', (nodeInfo, want) => {
    expect(node.table.cells(nodeWith({}, { nodeInfo }), now)[8]).toBe(want);
  });

  it.each([
    [undefined, false, 'Unknown'],
    ['False', false, 'NotReady'],
    ['Unknown', true, 'NotReady,SchedulingDisabled'],
    [undefined, true, 'Unknown,SchedulingDisabled'],
  ])('ready %s, cordoned %s: %s', (ready, unschedulable, want) => {
    const conditions = ready === undefined ? [] : [{ type: 'Ready', status: ready }];
    const cells = node.table.cells(nodeWith({ unschedulable }, { conditions }), now);
    expect(cells.slice(1, 3)).toEqual([want, '<none>']);
    expect(cells.slice(5)).toEqual(['<none>', '<none>', '<unknown>', '<unknown>', '<unknown>']);
  });
});
