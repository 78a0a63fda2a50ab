import { describe, expect, it } from 'vitest';
import type { KubeObject, ManagedFieldsEntry } from '../meta/object.ts';
import { cloneJson } from '../meta/safe-object.ts';
import { builtInSchemaTable } from '../schema/schema-table.ts';
import { equalIgnoringTimestamps } from './equal.ts';
import { managerFromUserAgent, trackUpdate } from './manager.ts';
import { resetFieldsOf } from './reset-fields.ts';

const table = builtInSchemaTable();
const T1 = '2026-01-01T00:00:01Z';
const T2 = '2026-01-01T00:00:02Z';

interface Write {
  readonly live?: KubeObject;
  readonly manager?: string;
  readonly subresource?: string;
  readonly now?: string;
  readonly apiVersion?: string;
}

/** The object as stored after the write. */
function write(next: KubeObject, options: Write = {}): KubeObject {
  const slash = next.apiVersion.indexOf('/');
  const group = slash < 0 ? '' : next.apiVersion.slice(0, slash);
  const schema = table.kind(group, next.apiVersion.slice(slash + 1), next.kind);
  if (schema === undefined) throw new Error('no such kind');
  const { live, manager = 'm', subresource = '', now = T1 } = options;
  const resetFields = resetFieldsOf({ group, kind: next.kind, subresource, hasStatus: schema.fields.has('status') });
  const entries = trackUpdate({
    live,
    next,
    manager,
    apiVersion: options.apiVersion ?? next.apiVersion,
    subresource,
    now,
    schema,
    table,
    resetFields,
  });
  const stored = cloneJson(next);

  if (entries.length > 0) stored.metadata.managedFields = entries;
  else delete stored.metadata.managedFields;
  return stored;
}

function configMap(data: Record<string, string> | undefined, metadata: Record<string, unknown> = {}): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', namespace: 'n', uid: 'u', ...metadata },
    ...(data === undefined ? {} : { data }),
  };
}

/** Change of a stored object: managedFields stay as the client read them. */
function changed(live: KubeObject, change: (copy: KubeObject & { data: Record<string, string> }) => void): KubeObject {
  const copy = cloneJson(live) as KubeObject & { data: Record<string, string> };
  change(copy);
  return copy;
}

function owned(object: KubeObject): Record<string, unknown> {
  const entries: readonly ManagedFieldsEntry[] = object.metadata.managedFields ?? [];
  return Object.fromEntries(entries.map((e) => [`${e.manager} ${e.operation} ${e.time?.slice(18) ?? '-'}`, e.fieldsV1]));
}

describe('trackUpdate on create', () => {
  it('gives the creator every field it set, but not what the server writes', () => {
    const created = write(configMap({ one: '1', two: '2' }, { labels: { l: 'x' }, generateName: 'a-', uid: 'u', creationTimestamp: T1 }));
    expect(created.metadata.managedFields).toEqual([
      {
        manager: 'm',
        operation: 'Update',
        apiVersion: 'v1',
        time: T1,
        fieldsType: 'FieldsV1',
        fieldsV1: {
          'f:data': { '.': {}, 'f:one': {}, 'f:two': {} },
          'f:metadata': { 'f:generateName': {}, 'f:labels': { '.': {}, 'f:l': {} } },
        },
      },
    ]);
  });

  it('does not count structs that every object has, nor the status', () => {
    const pod: KubeObject = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: {
        containers: [
          {
            name: 'c',
            image: 'busybox',
            resources: {},
            ports: [
              { containerPort: 80, protocol: 'TCP' },
              { containerPort: 9, protocol: 'TCP' },
            ],
          },
        ],
        imagePullSecrets: [{ name: 'r' }],
        securityContext: {},
        enableServiceLinks: true,
      },
      status: { phase: 'Pending', qosClass: 'BestEffort' },
    };
    expect(owned(write(pod))).toEqual({
      'm Update 1Z': {
        'f:spec': {
          'f:containers': {
            'k:{"name":"c"}': {
              '.': {},
              'f:image': {},
              'f:name': {},
              'f:ports': {
                '.': {},
                'k:{"containerPort":9,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {}, 'f:protocol': {} },
                'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {}, 'f:protocol': {} },
              },
              'f:resources': {},
            },
          },
          'f:enableServiceLinks': {},
          'f:imagePullSecrets': { '.': {}, 'k:{"name":"r"}': {} },
          'f:securityContext': {},
        },
      },
    });
  });

  it('treats selectors, templates and strategies of a deployment as upstream', () => {
    const deployment: KubeObject = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd' },
      spec: {
        replicas: 1,
        selector: { matchLabels: { a: 'b' } },
        strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
      status: {},
    };
    expect(owned(write(deployment))['m Update 1Z']).toEqual({
      'f:spec': {
        'f:replicas': {},
        'f:selector': {},
        'f:strategy': { 'f:rollingUpdate': { '.': {}, 'f:maxSurge': {} }, 'f:type': {} },
        'f:template': {
          'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } },
          'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:image': {}, 'f:name': {} } } },
        },
      },
    });
  });

  it('keeps keys of any name', () => {
    const data: unknown = JSON.parse('{"__proto__":"p","constructor":"c"}');
    const created = write({ ...configMap(undefined), data });
    expect(JSON.stringify(created.metadata.managedFields?.[0]?.fieldsV1)).toBe('{"f:data":{".":{},"f:__proto__":{},"f:constructor":{}}}');
  });

  it('names the unknown manager and creates no entry for nothing', () => {
    expect(owned(write(configMap(undefined)))).toEqual({});
    expect(Object.keys(owned(write(configMap({ a: '1' }), { manager: '' })))).toEqual(['unknown Update 1Z']);
  });
});

describe('trackUpdate on update', () => {
  const live = write(configMap({ x: '1', y: '2' }));

  it('moves what changed to the writer', () => {
    const next = changed(live, (copy) => {
      copy.data.x = '9';
      copy.data.z = '3';
    });
    expect(owned(write(next, { live, manager: 'other', now: T2 }))).toEqual({
      'm Update 1Z': { 'f:data': { '.': {}, 'f:y': {} } },
      'other Update 2Z': { 'f:data': { 'f:x': {}, 'f:z': {} } },
    });
  });

  it('adds to the entry of the same manager', () => {
    const next = changed(live, (copy) => {
      copy.data.z = '3';
    });
    expect(owned(write(next, { live, now: T2 }))).toEqual({ 'm Update 2Z': { 'f:data': { '.': {}, 'f:x': {}, 'f:y': {}, 'f:z': {} } } });
  });

  it('forgets removed fields without touching the time', () => {
    const next = changed(live, (copy) => {
      delete copy.data.y;
    });
    expect(owned(write(next, { live, now: T2 }))).toEqual({ 'm Update 1Z': { 'f:data': { '.': {}, 'f:x': {} } } });
  });

  it('keeps the entries when nothing changed, whether or not the client sent them', () => {
    const same = write(
      changed(live, () => {}),
      { live, manager: 'other', now: T2 },
    );
    expect(same.metadata.managedFields).toEqual(live.metadata.managedFields);
    const unaware = changed(live, (copy) => {
      delete copy.metadata.managedFields;
    });
    expect(write(unaware, { live, manager: 'other', now: T2 }).metadata.managedFields).toEqual(live.metadata.managedFields);
    expect(equalIgnoringTimestamps(live, same)).toBe(true);
  });

  it('stops tracking when the client sends an empty list or one empty entry', () => {
    for (const managedFields of [[], [{}]]) {
      const next = changed(live, (copy) => {
        copy.metadata.managedFields = managedFields;
        copy.data.x = '5';
      });
      const stored = write(next, { live });
      expect(stored.metadata.managedFields).toBeUndefined();
      const later = changed(stored, (copy) => {
        copy.data.x = '6';
      });
      expect(write(later, { live: stored }).metadata.managedFields).toBeUndefined();
    }
  });

  it('takes entries a client edits, and ignores malformed ones', () => {
    const entry = { manager: 'given', operation: 'Apply', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': { 'f:x': {} } } };
    const edited = changed(live, (copy) => {
      copy.metadata.managedFields = [entry];
    });
    expect(owned(write(edited, { live }))).toEqual({ 'given Apply -': { 'f:data': { 'f:x': {} } } });
    for (const broken of [
      { ...entry, operation: 'Eat' },
      { ...entry, fieldsType: 'V2' },
      { ...entry, fieldsV1: { nonsense: {} } },
    ]) {
      const next = changed(live, (copy) => {
        copy.metadata.managedFields = [broken];
      });
      expect(owned(write(next, { live }))).toEqual(owned(live));
    }
  });

  it('keeps writers of the status apart', () => {
    const pod = write({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', uid: 'u' },
      spec: { nodeName: 'x', containers: [] },
      status: {},
    });
    const next = { ...cloneJson(pod), status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } };
    const stored = write(next, { live: pod, manager: 'kubelet', subresource: 'status', now: T2 });
    expect(stored.metadata.managedFields?.[1]).toEqual({
      manager: 'kubelet',
      operation: 'Update',
      apiVersion: 'v1',
      time: T2,
      fieldsType: 'FieldsV1',
      fieldsV1: {
        'f:status': { 'f:conditions': { '.': {}, 'k:{"type":"Ready"}': { '.': {}, 'f:status': {}, 'f:type': {} } }, 'f:phase': {} },
      },
      subresource: 'status',
    });
    const specWriter = { ...cloneJson(stored), status: { phase: 'Failed' } };
    expect(owned(write(specWriter, { live: stored, manager: 'm', now: T2 }))['m Update 1Z']).not.toHaveProperty('f:status');
  });

  it('merges the oldest of more than ten writers', () => {
    let object = write(configMap({ k0: '0' }), { manager: 'm00' });
    for (let i = 1; i <= 12; i += 1) {
      const next = changed(object, (copy) => {
        copy.data[`k${i}`] = String(i);
      });
      object = write(next, { live: object, manager: `m${String(i).padStart(2, '0')}`, now: `2026-01-01T00:00:${10 + i}Z` });
    }
    expect(object.metadata.managedFields?.map((entry) => entry.manager)).toEqual([
      'ancient-changes',
      'm04',
      'm05',
      'm06',
      'm07',
      'm08',
      'm09',
      'm10',
      'm11',
      'm12',
    ]);
    expect(object.metadata.managedFields?.[0]?.fieldsV1).toEqual({ 'f:data': { '.': {}, 'f:k0': {}, 'f:k1': {}, 'f:k2': {}, 'f:k3': {} } });
  });
});

describe('equalIgnoringTimestamps', () => {
  it('sees every other difference', () => {
    const live = write(configMap({ x: '1' }));
    const later = changed(live, (copy) => {
      copy.metadata.managedFields = (copy.metadata.managedFields ?? []).map((entry) => ({ ...entry, time: T2 }));
    });
    expect(equalIgnoringTimestamps(live, later)).toBe(true);
    expect(
      equalIgnoringTimestamps(
        live,
        changed(later, (copy) => {
          copy.data.x = '2';
        }),
      ),
    ).toBe(false);
    expect(
      equalIgnoringTimestamps(
        live,
        changed(later, (copy) => {
          copy.metadata.managedFields = [];
        }),
      ),
    ).toBe(false);
  });
});

describe('managerFromUserAgent', () => {
  it.each([
    ['kubectl/v1.36.0 (linux/amd64) kubernetes/abc', 'kubectl'],
    ['node-fetch', 'node-fetch'],
    ['', ''],
    ['ab\u0007c/1', 'abc'],
    ['x'.repeat(200), 'x'.repeat(128)],
  ])('%j is %j', (userAgent, expected) => {
    expect(managerFromUserAgent(userAgent)).toBe(expected);
  });
});
