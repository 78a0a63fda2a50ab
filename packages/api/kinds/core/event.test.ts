import { describe, expect, it } from 'vitest';
import { eventsEvent } from '../events/event.ts';
import type { Fields } from '../testing/written-object.ts';
import { cellsOf, createProblems, updateProblems, written } from '../testing/written-object.ts';
import { event } from './event.ts';

const old: Fields = { involvedObject: { kind: 'Pod', namespace: 'n', name: 'p' }, reason: 'Because', message: 'text', type: 'Normal' };
const modern: Fields = {
  eventTime: '2026-01-01T00:00:00.000000Z',
  reportingComponent: 'example.com/c',
  reportingInstance: 'c-1',
  action: 'Act',
};

describe('Event of the core group', () => {
  it('is checked little when it is of the old kind', () => {
    expect(createProblems(event, old)).toEqual([]);
    expect(createProblems(event, { ...old, reason: '', message: '', type: '' })).toEqual([]);
    expect(createProblems(event, { ...old, metadata: { name: 'Any.Name' } })).toEqual([]);
  });

  it('is about something in its own namespace', () => {
    const mismatch = (about: string) => [`involvedObject.namespace: Invalid value: "${about}": does not match event.namespace`];
    expect(createProblems(event, { ...old, involvedObject: { namespace: 'm' } })).toEqual(mismatch('m'));
    expect(createProblems(event, { ...old, involvedObject: {} })).toEqual(mismatch(''));
    expect(createProblems(event, { ...old, metadata: { namespace: 'default' }, involvedObject: { kind: 'Node' } })).toEqual([]);
  });

  it('says who reports when it is of the new kind', () => {
    expect(createProblems(event, { ...old, ...modern })).toEqual([]);
    expect(createProblems(event, { ...old, ...modern, reportingInstance: '', action: 'a'.repeat(129) })).toEqual([
      'reportingInstance: Required value',
      'action: Invalid value: "": can have at most 128 characters',
    ]);
    expect(createProblems(event, { ...old, ...modern, message: 'a'.repeat(1025) })).toEqual([
      'message: Invalid value: "": can have at most 1024 characters',
    ]);
  });

  it('can be selected by what it is about', () => {
    expect(event.selectableFields(written(event, { ...old, source: { component: 'kubelet' } }))).toEqual({
      'involvedObject.kind': 'Pod',
      'involvedObject.namespace': 'n',
      'involvedObject.name': 'p',
      'involvedObject.uid': '',
      'involvedObject.apiVersion': '',
      'involvedObject.resourceVersion': '',
      'involvedObject.fieldPath': '',
      reason: 'Because',
      reportingComponent: '',
      source: 'kubelet',
      type: 'Normal',
    });
  });

  it('is shown with when it happened', () => {
    const fields = {
      ...old,
      message: 'text\n',
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:09:00Z',
      count: 4,
      source: { component: 'kubelet', host: 'node' },
    };
    expect(cellsOf(event, fields, Date.parse('2026-01-01T00:10:00Z'))).toEqual({
      'Last Seen': '60s',
      Type: 'Normal',
      Reason: 'Because',
      Object: 'pod/p',
      Subobject: '',
      Source: 'kubelet, node',
      Message: 'text',
      'First Seen': '10m',
      Count: 4,
      Name: 'x',
    });
    const series = { count: 3, lastObservedTime: '2026-01-01T00:09:30.000000Z' };
    expect(cellsOf(event, { ...old, ...modern, series }, Date.parse('2026-01-01T00:10:00Z'))).toMatchObject({
      'Last Seen': '30s',
      'First Seen': '10m',
      Count: 3,
      Source: 'example.com/c, c-1',
    });
  });
});

const fresh: Fields = {
  regarding: { kind: 'Pod', namespace: 'n', name: 'p' },
  reason: 'Because',
  note: 'text',
  type: 'Normal',
  eventTime: '2026-01-01T00:00:00.000000Z',
  reportingController: 'example.com/c',
  reportingInstance: 'c-1',
  action: 'Act',
};

describe('Event of events.k8s.io', () => {
  it('is stored as an event of the core group', () => {
    const object = written(eventsEvent, fresh);
    const stored = eventsEvent.toStored?.(object);
    expect(stored).toMatchObject({ apiVersion: 'v1', kind: 'Event', involvedObject: fresh.regarding, message: 'text' });
    expect(stored).toHaveProperty('reportingComponent', 'example.com/c');
    expect(stored && eventsEvent.fromStored?.(stored)).toEqual(object);
    expect(eventsEvent.table.cells(object, 0)).toEqual(stored && event.table.cells(stored, 0));
  });

  it('is checked strictly when it is new', () => {
    expect(createProblems(eventsEvent, fresh)).toEqual([]);
    expect(createProblems(eventsEvent, { ...fresh, type: 'Odd', deprecatedCount: 2, series: { count: 1 } })).toEqual([
      'series.count: Invalid value: "": should be at least 2',
      'series.lastObservedTime: Required value',
      'type: Invalid value: "": has invalid value: Odd',
      'count: Invalid value: "": needs to be unset',
    ]);
    expect(createProblems(eventsEvent, { ...fresh, eventTime: null })).toEqual(['eventTime: Required value']);
  });

  it('calls its reporter as the version asked for does', () => {
    const nobody = { ...fresh, reportingController: 'no name' };
    expect(createProblems(eventsEvent, nobody)[0]).toMatch(/^reportingController: Invalid value: "no name": /);
    const stored = eventsEvent.toStored?.(written(eventsEvent, nobody));
    expect(createProblems(event, { ...stored })[0]).toMatch(/^reportingComponent: Invalid value: "no name": /);
  });

  it('changes in its series only', () => {
    const series = { count: 2, lastObservedTime: '2026-01-01T00:09:30.000000Z' };
    expect(updateProblems(eventsEvent, { ...fresh, series }, fresh)).toEqual([]);
    expect(updateProblems(eventsEvent, { ...fresh, note: 'other' }, fresh)).toEqual([
      'message: Invalid value: "other": field is immutable',
    ]);
  });

  it('shows complete values of what may not change', () => {
    const update = (fields: Fields): string[] => updateProblems(eventsEvent, { ...fresh, ...fields }, fresh);
    expect(update({ regarding: { kind: 'Pod', namespace: 'n', name: 'q' } })).toEqual([
      'involvedObject: Invalid value: {"Kind":"Pod","Namespace":"n","Name":"q","UID":"","APIVersion":"","ResourceVersion":"","FieldPath":""}: field is immutable',
    ]);
    expect(update({ deprecatedSource: { component: 'c' }, deprecatedCount: 3 })).toEqual([
      'source: Invalid value: {"Component":"c","Host":""}: field is immutable',
      'count: Invalid value: 3: field is immutable',
    ]);
    expect(update({ action: undefined })[0]).toBe('action: Required value');
  });

  it('can be selected by its own names', () => {
    expect(eventsEvent.selectableFields(written(eventsEvent, fresh))).toMatchObject({
      'regarding.name': 'p',
      reportingController: 'example.com/c',
      reason: 'Because',
    });
  });
});
