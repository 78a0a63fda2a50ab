import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StatusError } from '../errors/status-error.ts';
import type { KubeObject } from '../meta/object.ts';
import { cloneJson } from '../meta/safe-object.ts';
import { builtInSchemaTable } from '../schema/schema-table.ts';
import { apply } from './apply.ts';
import { equalIgnoringTimestamps } from './equal.ts';
import { trackUpdate } from './manager.ts';
import { resetFieldsOf } from './reset-fields.ts';

const table = builtInSchemaTable();
const T1 = '2026-01-01T00:00:01Z';
const T2 = '2026-01-01T00:00:02Z';

type Data = Record<string, string>;

function typeOf(apiVersion: string, kind: string) {
  const slash = apiVersion.indexOf('/');
  const group = slash < 0 ? '' : apiVersion.slice(0, slash);
  const schema = table.kind(group, apiVersion.slice(slash + 1), kind);
  if (schema === undefined) throw new Error('no such kind');
  return {
    apiVersion,
    kind,
    schema,
    table,
    resetFields: resetFieldsOf({ group, kind, subresource: '', hasStatus: schema.fields.has('status') }),
  };
}

interface Options {
  readonly manager?: string;
  readonly force?: boolean;
  readonly now?: string;
  readonly apiVersion?: string;
  readonly kind?: string;
}

function applied(live: KubeObject | undefined, config: unknown, options: Options = {}) {
  const { manager = 'one', force = false, now = T1, apiVersion = 'v1', kind = 'ConfigMap' } = options;
  const before = JSON.stringify([live, config]);
  const result = apply({ ...typeOf(apiVersion, kind), live, applied: config, manager, force, subresource: '', now });
  expect(JSON.stringify([live, config])).toBe(before);
  return result;
}

/** Applies and gives the object a uid as the server would. */
function store(live: KubeObject | undefined, config: unknown, options: Options = {}): KubeObject {
  const { object } = applied(live, config, options);
  object.metadata.uid = 'u';
  return object;
}

function updated(live: KubeObject | undefined, next: KubeObject, manager: string, now = T1): KubeObject {
  const stored = cloneJson(next);
  stored.metadata.uid = 'u';
  const entries = trackUpdate({ ...typeOf(next.apiVersion, next.kind), live, next: stored, manager, subresource: '', now });
  stored.metadata.managedFields = entries;
  return stored;
}

function configMap(data: Data, metadata: Record<string, unknown> = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', ...metadata }, data };
}

function dataOf(object: KubeObject): unknown {
  return object.data;
}

function owners(object: KubeObject): Record<string, unknown> {
  return Object.fromEntries((object.metadata.managedFields ?? []).map((e) => [`${e.manager} ${e.operation}`, e.fieldsV1]));
}

function failure(run: () => unknown) {
  try {
    run();
  } catch (error) {
    if (error instanceof StatusError)
      return { code: error.code, reason: error.reason, message: error.message, causes: error.status.details?.causes };
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('apply to a ConfigMap', () => {
  it('creates, and owns each key without owning the map', () => {
    const { object, changed } = applied(undefined, configMap({ x: '1', y: '2' }));
    expect(changed).toBe(true);
    expect(object).toEqual({
      ...configMap({ x: '1', y: '2' }),
      metadata: {
        name: 'a',
        managedFields: [
          {
            manager: 'one',
            operation: 'Apply',
            apiVersion: 'v1',
            time: T1,
            fieldsType: 'FieldsV1',
            fieldsV1: { 'f:data': { 'f:x': {}, 'f:y': {} } },
          },
        ],
      },
    });
  });

  it('changes nothing the second time', () => {
    const live = store(undefined, configMap({ x: '1' }));
    const again = applied(live, configMap({ x: '1' }), { now: T2 });
    expect(again).toEqual({ object: live, changed: false });
  });

  it('removes what the manager gives up, unless another one owns it', () => {
    const live = store(undefined, configMap({ x: '1', y: '2' }));
    expect(dataOf(store(live, configMap({ x: '1' })))).toEqual({ x: '1' });
    const shared = store(live, configMap({ y: '2' }), { manager: 'two' });
    const kept = store(shared, configMap({ x: '1' }));
    expect(dataOf(kept)).toEqual({ x: '1', y: '2' });
    expect(owners(kept)).toEqual({ 'one Apply': { 'f:data': { 'f:x': {} } }, 'two Apply': { 'f:data': { 'f:y': {} } } });
    expect(store(kept, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } }, { manager: 'two' }).data).toEqual({ x: '1' });
  });

  it('removes the map with its last key, and the manager with its last field', () => {
    const live = store(undefined, configMap({ x: '1' }, { labels: { l: '1' } }));
    const bare = store(live, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } });
    expect(bare).toEqual({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', uid: 'u' } });
  });

  it('keeps fields that nobody owns', () => {
    const live = store(undefined, configMap({ x: '1', y: '2' }));
    const stranger: KubeObject = { ...live, data: { x: '1', y: '2', z: '3' }, immutable: false };
    expect(store(stranger, configMap({ x: '1' }))).toMatchObject({ data: { x: '1', z: '3' }, immutable: false });
  });

  it('reports one conflict', () => {
    const live = store(undefined, configMap({ x: '1' }));
    expect(failure(() => applied(live, configMap({ x: '2' }), { manager: 'two' }))).toEqual({
      code: 409,
      reason: 'Conflict',
      message: 'Apply failed with 1 conflict: conflict with "one": .data.x',
      causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.data.x' }],
    });
  });

  it('reports many conflicts by manager', () => {
    const created = updated(undefined, configMap({ x: '1', y: '2', z: '3' }), 'maker');
    const live = store(created, configMap({ x: '1' }), { manager: 'one' });
    expect(failure(() => applied(live, configMap({ x: '9', y: '9', z: '9' }), { manager: 'two' }))).toMatchObject({
      message: [
        'Apply failed with 4 conflicts: conflicts with "maker" using v1:',
        '- .data.x',
        '- .data.y',
        '- .data.z',
        'conflicts with "one":',
        '- .data.x',
      ].join('\n'),
    });
  });

  it('takes the field over with force', () => {
    const live = store(undefined, configMap({ x: '1' }));
    const forced = store(live, configMap({ x: '2' }), { manager: 'two', force: true });
    expect(dataOf(forced)).toEqual({ x: '2' });
    expect(owners(forced)).toEqual({ 'two Apply': { 'f:data': { 'f:x': {} } } });
  });

  it('shares a field when the value is the same, without a time of its own', () => {
    const live = store(undefined, configMap({ x: '1' }));
    const shared = applied(live, configMap({ x: '1' }), { manager: 'two', now: T2 });
    expect(shared.changed).toBe(false);
    expect(shared.object.metadata.managedFields?.map((e) => [e.manager, e.time])).toEqual([
      ['two', undefined],
      ['one', T1],
    ]);
  });

  it('leaves an update manager the map that it created', () => {
    const live = updated(undefined, configMap({ x: '1' }), 'maker');
    expect(failure(() => applied(live, configMap({ x: '2' })))).toMatchObject({
      message: 'Apply failed with 1 conflict: conflict with "maker" using v1: .data.x',
    });
    const forced = store(live, configMap({ x: '2' }), { force: true });
    expect(owners(forced)).toEqual({ 'one Apply': { 'f:data': { 'f:x': {} } }, 'maker Update': { 'f:data': {} } });
    const patched = updated(forced, { ...cloneJson(forced), data: { x: '2', w: '5' } }, 'patcher');
    expect(owners(patched)).toEqual({ ...owners(forced), 'patcher Update': { 'f:data': { 'f:w': {} } } });
  });

  it('calls the fields of an untracked object before-first-apply', () => {
    const live = configMap({ x: '1' }, { uid: 'u' });
    expect(failure(() => applied(live, configMap({ x: '2' })))).toMatchObject({
      message: 'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.x',
    });
    expect(owners(store(live, configMap({ y: '2' })))).toEqual({
      'one Apply': { 'f:data': { 'f:y': {} } },
      'before-first-apply Update': { 'f:data': { '.': {}, 'f:x': {} } },
    });
  });
});

describe('apply refuses', () => {
  const cases: [string, unknown, number, string][] = [
    ['another kind', { data: {} }, 400, 'invalid object type: /, Kind='],
    ['another version', { apiVersion: 'apps/v1', kind: 'Deployment' }, 400, 'invalid object type: apps/v1, Kind=Deployment'],
    ['managedFields', configMap({}, { managedFields: [{ manager: 'x' }] }), 400, 'metadata.managedFields must be nil'],
    [
      'an unknown field',
      { ...configMap({}), spec: {} },
      500,
      'failed to create typed patch object (/a; /v1, Kind=ConfigMap): .spec: field not declared in schema',
    ],
    [
      'a wrong type',
      { ...configMap({}, { namespace: 'n' }), data: { x: 1 } },
      500,
      'failed to create typed patch object (n/a; /v1, Kind=ConfigMap): .data.x: expected string, got &value.valueUnstructured{Value:1}',
    ],
    [
      'a list for a map',
      { ...configMap({}), data: ['x'] },
      500,
      'failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data: expected map, got &{[x]}',
    ],
  ];
  it.each(cases)('%s', (_, config, code, message) => {
    expect(failure(() => applied(undefined, config))).toMatchObject({ code, message });
  });

  it('list items without their key, and the same item twice', () => {
    const pod = (containers: unknown[]): unknown => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers } });
    expect(failure(() => applied(undefined, pod([{ image: 'x' }]), { kind: 'Pod' })).message).toBe(
      'failed to create typed patch object (/p; /v1, Kind=Pod): .spec.containers: element 0: associative list with keys has an element that omits key field "name" (and doesn\'t have default value)',
    );
    expect(failure(() => applied(undefined, pod([{ name: 'a' }, { name: 'a' }]), { kind: 'Pod' })).message).toBe(
      'failed to create typed patch object (/p; /v1, Kind=Pod): .spec.containers: duplicate entries for key [name="a"]',
    );
  });
});

describe('apply to a Deployment', () => {
  const options = { apiVersion: 'apps/v1', kind: 'Deployment' };

  function deployment(containers: unknown[], spec: Record<string, unknown> = {}): Record<string, unknown> {
    return {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd' },
      spec: { selector: { matchLabels: { a: 'b' } }, template: { spec: { containers } }, ...spec },
    };
  }

  function containersOf(object: KubeObject): unknown {
    return (object.spec as { template: { spec: { containers: unknown } } }).template.spec.containers;
  }

  const live = store(undefined, deployment([{ name: 'one', image: 'i1', env: [{ name: 'A', value: '1' }] }], { replicas: 0 }), options);

  it('owns list items by key', () => {
    expect(owners(live)['one Apply']).toEqual({
      'f:spec': {
        'f:replicas': {},
        'f:selector': {},
        'f:template': {
          'f:spec': {
            'f:containers': {
              'k:{"name":"one"}': {
                '.': {},
                'f:env': { 'k:{"name":"A"}': { '.': {}, 'f:name': {}, 'f:value': {} } },
                'f:image': {},
                'f:name': {},
              },
            },
          },
        },
      },
    });
  });

  it('lets two managers add items to one list', () => {
    const both = store(live, deployment([{ name: 'one', env: [{ name: 'B', value: '2' }] }]), { ...options, manager: 'two' });
    expect(containersOf(both)).toEqual([
      {
        name: 'one',
        image: 'i1',
        env: [
          { name: 'A', value: '1' },
          { name: 'B', value: '2' },
        ],
      },
    ]);
    const less = store(both, deployment([{ name: 'one' }]), { ...options, manager: 'two' });
    expect(containersOf(less)).toEqual([{ name: 'one', image: 'i1', env: [{ name: 'A', value: '1' }] }]);
  });

  it('names the field of an item in conflicts', () => {
    expect(failure(() => applied(live, deployment([{ name: 'one', image: 'other' }]), { ...options, manager: 'two' }))).toMatchObject({
      message: 'Apply failed with 1 conflict: conflict with "one": .spec.template.spec.containers[name="one"].image',
    });
  });

  it('follows the order of the configuration, keeping items of others in place', () => {
    const names = (object: KubeObject): unknown => (containersOf(object) as { name: string }[]).map((c) => c.name);
    const abc = store(undefined, deployment([{ name: 'a' }, { name: 'b' }, { name: 'c' }]), options);
    expect(names(store(abc, deployment([{ name: 'c' }, { name: 'a' }, { name: 'b' }]), options))).toEqual(['c', 'a', 'b']);
    const more = store(abc, deployment([{ name: 'x' }, { name: 'b' }]), { ...options, manager: 'two' });
    expect(names(more)).toEqual(['a', 'x', 'b', 'c']);
    expect(names(store(more, deployment([{ name: 'b' }]), { ...options, manager: 'two' }))).toEqual(['a', 'b', 'c']);
  });

  it('never owns the status', () => {
    const config = { ...deployment([{ name: 'one' }]), status: { replicas: 5 } };
    expect(owners(store(undefined, config, options))['one Apply']).not.toHaveProperty('f:status');
  });

  it('treats the port of a container as TCP unless it says otherwise', () => {
    const ports = store(undefined, deployment([{ name: 'one', ports: [{ containerPort: 80 }] }]), options);
    const same = store(ports, deployment([{ name: 'one', ports: [{ containerPort: 80, protocol: 'TCP', name: 'http' }] }]), options);
    expect(containersOf(same)).toEqual([{ name: 'one', ports: [{ containerPort: 80, protocol: 'TCP', name: 'http' }] }]);
  });

  it('gives up an optional object whole', () => {
    const nodes = store(
      undefined,
      deployment([{ name: 'one', livenessProbe: { httpGet: { port: 80 } } }], { strategy: { type: 'Recreate' } }),
      options,
    );
    expect(store(nodes, deployment([{ name: 'one' }]), options).spec).toEqual({
      selector: { matchLabels: { a: 'b' } },
      template: { spec: { containers: [{ name: 'one' }] } },
    });
  });
});

describe('apply by kubectl after client-side apply', () => {
  const annotation = 'kubectl.kubernetes.io/last-applied-configuration';

  function clientSideApplied(data: Data): KubeObject {
    const last = `${JSON.stringify(configMap(data))}\n`;
    return updated(undefined, configMap(data, { annotations: { [annotation]: last } }), 'kubectl-client-side-apply');
  }

  it('takes over what it applied itself, and keeps the annotation in step', () => {
    const object = store(clientSideApplied({ x: '1' }), configMap({ x: '2' }), { manager: 'kubectl' });
    expect(dataOf(object)).toEqual({ x: '2' });
    expect(object.metadata.annotations?.[annotation]).toBe(
      '{"apiVersion":"v1","data":{"x":"2"},"kind":"ConfigMap","metadata":{"name":"a"}}\n',
    );
    expect(owners(object)).toMatchObject({ 'kubectl Apply': { 'f:data': { 'f:x': {} } } });
  });

  it('still conflicts where somebody else changed the value', () => {
    const live = clientSideApplied({ x: '1' });
    const edited = updated(live, { ...cloneJson(live), data: { x: 'edited' } }, 'editor');
    expect(failure(() => applied(edited, configMap({ x: '2' }), { manager: 'kubectl' }))).toMatchObject({ code: 409 });
    expect(failure(() => applied(live, configMap({ x: '2' }), { manager: 'not-kubectl' }))).toMatchObject({ code: 409 });
  });
});

describe('apply (properties)', () => {
  const data = fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__', 'toString'), fc.constantFrom('1', '2'));

  it('changes nothing when repeated, whatever was there', () => {
    fc.assert(
      fc.property(data, data, data, (created, first, second) => {
        const live = updated(undefined, configMap(created), 'maker');
        const one = store(live, configMap(first), { force: true });
        const two = store(one, configMap(second), { manager: 'two', force: true });
        const again = applied(two, configMap(second), { manager: 'two', now: T2 });
        expect(equalIgnoringTimestamps(two, again.object)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  it('gives the same object whichever of two disjoint appliers comes first', () => {
    fc.assert(
      fc.property(data, data, (left, right) => {
        const prefixed = (prefix: string, map: Data): Data => Object.fromEntries(Object.entries(map).map(([k, v]) => [`${prefix}${k}`, v]));
        const l = configMap(prefixed('l', left), { labels: prefixed('l', left) });
        const r = configMap(prefixed('r', right), { labels: prefixed('r', right) });
        const lr = store(store(undefined, l, { manager: 'left' }), r, { manager: 'right' });
        const rl = store(store(undefined, r, { manager: 'right' }), l, { manager: 'left' });
        expect(lr.data).toEqual(rl.data);
        expect(lr.metadata.labels).toEqual(rl.metadata.labels);
        expect(owners(lr)).toEqual(owners(rl));
      }),
      { numRuns: 100 },
    );
  });
});
