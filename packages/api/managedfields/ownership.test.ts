import { describe, expect, it } from 'vitest';
import type { KubeObject, ManagedFieldsEntry } from '../meta/object.ts';
import { cloneJson } from '../meta/safe-object.ts';
import type { FieldSchema } from '../schema/schema.ts';
import type { GoStructSchema } from '../schema/schema-table.ts';
import { builtInSchemaTable } from '../schema/schema-table.ts';
import { apply } from './apply.ts';
import { compareObjects, NEW_OBJECT } from './compare.ts';
import { trackUpdate } from './manager.ts';
import { mergeTypeOf } from './merge-type.ts';
import type { ConvertObject } from './ownership.ts';
import { parentEntriesAfterScale, scaleEntries } from './scale.ts';

const table = builtInSchemaTable();
const now = '2026-01-01T00:00:01Z';

function schemaOf(group: string, version: string, kind: string): GoStructSchema {
  const schema = table.kind(group, version, kind);
  if (schema === undefined) throw new Error('no such kind');
  return schema;
}

function entry(manager: string, fieldsV1: unknown, more: Partial<ManagedFieldsEntry> = {}): ManagedFieldsEntry {
  return { manager, operation: 'Update', apiVersion: 'apps/v1', time: now, fieldsType: 'FieldsV1', fieldsV1, ...more };
}

const replicas = { 'f:spec': { 'f:replicas': {} } };

describe('compareObjects', () => {
  const type = mergeTypeOf(schemaOf('', 'v1', 'Pod'), table);
  const pod = (spec: unknown): unknown => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec });

  it('tells added, changed and removed fields', () => {
    const before = pod({ nodeName: 'a', hostname: 'h', containers: [{ name: 'c', image: 'i', args: ['x'] }, { name: 'd' }] });
    const after = pod({ nodeName: 'b', subdomain: 's', containers: [{ name: 'e' }, { name: 'c', image: 'i', args: ['y'] }] });
    expect(compareObjects(type, before, after)).toEqual({
      added: { 'f:spec': { 'f:containers': { 'k:{"name":"e"}': { '.': {}, 'f:name': {} } }, 'f:subdomain': {} } },
      modified: { 'f:spec': { 'f:containers': { 'k:{"name":"c"}': { 'f:args': {} } }, 'f:nodeName': {} } },
      removed: { 'f:spec': { 'f:containers': { 'k:{"name":"d"}': { '.': {}, 'f:name': {} } }, 'f:hostname': {} } },
    });
  });

  it('does not see a new order of keyed items', () => {
    const containers = [{ name: 'a' }, { name: 'b' }];
    expect(compareObjects(type, pod({ containers }), pod({ containers: [...containers].reverse() }))).toEqual({
      added: {},
      modified: {},
      removed: {},
    });
  });

  it('owns items that share a key as one', () => {
    const once = pod({ containers: [{ name: 'c', env: [{ name: 'A', value: '1' }] }] });
    const twice = pod({
      containers: [
        {
          name: 'c',
          env: [
            { name: 'A', value: '1' },
            { name: 'A', value: '2' },
          ],
        },
      ],
    });
    const item = (set: unknown): unknown => ({
      'f:spec': { 'f:containers': { 'k:{"name":"c"}': { 'f:env': { 'k:{"name":"A"}': set } } } },
    });
    expect(compareObjects(type, once, twice)).toEqual({
      added: item({}),
      modified: {},
      removed: item({ '.': {}, 'f:name': {}, 'f:value': {} }),
    });
  });

  it('owns free JSON member by member', () => {
    const data: FieldSchema = {
      name: 'data',
      type: { kind: 'special', type: 'any' },
      required: false,
      patchStrategy: [],
      patchMergeKey: undefined,
      number: undefined,
      atomic: false,
    };
    const free = mergeTypeOf({ name: 'test.Free', fields: new Map([['data', data]]), atomic: false }, table);
    expect(compareObjects(free, NEW_OBJECT, { data: { spec: { list: [1], text: 'x' }, none: {} } }).added).toEqual({
      'f:data': { '.': {}, 'f:none': {}, 'f:spec': { '.': {}, 'f:list': {}, 'f:text': {} } },
    });
  });
});

describe('ownership of replicas through scale', () => {
  const parent = [entry('maker', { 'f:spec': { 'f:replicas': {}, 'f:selector': {} } }), entry('other', { 'f:spec': { 'f:paused': {} } })];

  it('shows the owners of the replicas', () => {
    expect(scaleEntries(parent)).toEqual([entry('maker', replicas, { apiVersion: 'autoscaling/v1' })]);
    expect(scaleEntries(undefined)).toEqual([]);
  });

  it('moves the replicas to who scaled', () => {
    const scaled = [entry('scaler', replicas, { apiVersion: 'autoscaling/v1', subresource: 'scale' })];
    const { time: _, ...scaler } = entry('scaler', replicas, { subresource: 'scale' });
    expect(parentEntriesAfterScale(parent, scaled, 'apps/v1')).toEqual([
      scaler,
      entry('maker', { 'f:spec': { 'f:selector': {} } }),
      entry('other', { 'f:spec': { 'f:paused': {} } }),
    ]);
  });

  it('changes nothing when the owner stays', () => {
    expect(parentEntriesAfterScale(parent, scaleEntries(parent), 'apps/v1')).toEqual(parent);
  });
});

describe('managers that speak another version', () => {
  const group = 'events.k8s.io/v1';
  /** The two versions of an event differ in the name of one field here. */
  const convert: ConvertObject = (object, apiVersion) => {
    if (apiVersion !== 'v1' && apiVersion !== group) return undefined;
    const { message, note, ...rest } = object;
    const text = message ?? note;
    return {
      object: { ...rest, apiVersion, ...(text === undefined ? {} : apiVersion === 'v1' ? { message: text } : { note: text }) },
      schema: apiVersion === 'v1' ? schemaOf('', 'v1', 'Event') : schemaOf('events.k8s.io', 'v1', 'Event'),
    };
  };
  const old = entry('old', { 'f:note': {}, 'f:reason': {} }, { apiVersion: group });
  const event = (message: string, managedFields: ManagedFieldsEntry[]): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'e', uid: 'u', managedFields },
    message,
    reason: 'R',
  });
  const context = { apiVersion: 'v1', schema: schemaOf('', 'v1', 'Event'), table, subresource: '', now };

  it('lose the field in their own words', () => {
    const live = event('one', [old]);
    const entries = trackUpdate({ ...context, live, next: event('two', [old]), manager: 'new', convert });
    expect(entries).toEqual([entry('new', { 'f:message': {} }, { apiVersion: 'v1' }), { ...old, fieldsV1: { 'f:reason': {} } }]);
  });

  it('are dropped when the version is not served any more', () => {
    const gone = { ...old, apiVersion: 'events.k8s.io/v1beta1' };
    const entries = trackUpdate({ ...context, live: event('one', [gone]), next: event('two', [gone]), manager: 'new', convert });
    expect(entries.map((e) => e.manager)).toEqual(['new']);
  });

  it('keep fields that an applier of this version gives up', () => {
    const applier = entry('applier', { 'f:message': {}, 'f:type': {} }, { apiVersion: 'v1', operation: 'Apply' });
    const live: KubeObject = { ...event('one', [applier, old]), type: 'Normal' };
    const before = cloneJson(live);
    const config = { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e' }, action: 'a' };
    const { object } = apply({ ...context, live, applied: config, kind: 'Event', manager: 'applier', force: false, convert });
    expect(live).toEqual(before);
    expect(object).toMatchObject({ message: 'one', reason: 'R', action: 'a' });
    expect(object).not.toHaveProperty('type');
  });
});
