/** Event of `events.k8s.io`: the stored core Event under newer field names, with stricter rules for what is written this way. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, required } from '../../errors/field-error.ts';
import type { CoreV1Event, V1ObjectReference } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { equalJson } from '../../meta/safe-object.ts';
import { nameRules } from '../../validation/names.ts';
import { immutableText, validateObjectMeta } from '../../validation/object-meta.ts';
import { eventFields, eventTable, isZeroTime, validateEvent } from '../core/event.ts';
import { defineKind, viewAs } from '../define-kind.ts';

const group = 'events.k8s.io';

/** Fields whose names differ: here, and as stored. */
const renamed: readonly (readonly [here: string, stored: string])[] = [
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['reportingController', 'reportingComponent'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
];

export const eventsEvent = defineKind(group, 'events', {
  schema: 'io.k8s.api.events.v1.Event',
  nameSyntax: 'dns-subdomain',
  metaChecks: 'generic',
  fromStored: (stored) => rename(stored, `${group}/v1`, new Map(renamed.map(([here, there]) => [there, here]))),
  toStored,
  validate: (object) => validateEvent(toStored(object), 'reportingController'),
  validateCreate,
  validateUpdate,
  updateOrder: ['object', 'meta-update', 'update'],
  selectableFields,
  storedField: (name) => name.replace(/^regarding\./, 'involvedObject.').replace(/^reportingController$/, 'reportingComponent'),
  table: { ...eventTable, cells: (object, now) => eventTable.cells(toStored(object), now) },
});

/** The stored form. An object that has it already is returned as it is. */
function toStored(object: KubeObject): KubeObject {
  return object.apiVersion === 'v1' ? object : rename(object, 'v1', new Map(renamed));
}

function rename(object: KubeObject, apiVersion: string, names: ReadonlyMap<string, string>): KubeObject {
  const result: KubeObject = { apiVersion, kind: 'Event', metadata: object.metadata };
  for (const [field, value] of Object.entries(object)) {
    if (field !== 'apiVersion' && field !== 'kind' && field !== 'metadata') result[names.get(field) ?? field] = value;
  }
  return result;
}

function validateCreate(object: KubeObject): FieldError[] {
  const item = viewAs<CoreV1Event>(toStored(object));
  const errors = [...validateObjectMeta(object.metadata, true, nameRules['dns-subdomain']), ...validateSeries(item)];
  if (isZeroTime(item.eventTime)) errors.push(required('eventTime'));
  if (item.type !== 'Normal' && item.type !== 'Warning') errors.push(invalid('type', '', `has invalid value: ${item.type ?? ''}`));
  const unset = (field: string): FieldError => invalid(field, '', 'needs to be unset');
  if (!isZeroTime(item.firstTimestamp)) errors.push(unset('firstTimestamp'));
  if (!isZeroTime(item.lastTimestamp)) errors.push(unset('lastTimestamp'));
  if ((item.count ?? 0) !== 0) errors.push(unset('count'));
  if ((item.source?.component ?? '') !== '' || (item.source?.host ?? '') !== '') errors.push(unset('source'));
  return errors;
}

function validateSeries(item: CoreV1Event): FieldError[] {
  if (item.series == null) return [];
  const errors: FieldError[] = [];
  if ((item.series.count ?? 0) < 2) errors.push(invalid('series.count', '', 'should be at least 2'));
  if (isZeroTime(item.series.lastObservedTime)) errors.push(required('series.lastObservedTime'));
  return errors;
}

/** Only the series of an event may change. */
function validateUpdate(object: KubeObject, oldObject: KubeObject): FieldError[] {
  const item = viewAs<CoreV1Event>(toStored(object));
  const old = viewAs<CoreV1Event>(toStored(oldObject));
  const errors = equalJson(item.series ?? null, old.series ?? null) ? [] : validateSeries(item);
  const fields = [
    'involvedObject',
    'reason',
    'message',
    'source',
    'firstTimestamp',
    'lastTimestamp',
    'count',
    'reason',
    'type',
    'eventTime',
    'action',
    'related',
    'reportingComponent',
    'reportingInstance',
  ] as const;
  for (const field of fields) {
    if (equalJson(item[field] ?? null, old[field] ?? null)) continue;
    errors.push(invalid(field === 'reportingComponent' ? 'reportingController' : field, shownValue(item, field), immutableText));
  }
  return errors;
}

/** A field as messages show it: complete, with the names of the server's own structs. */
function shownValue(item: CoreV1Event, field: keyof CoreV1Event): unknown {
  switch (field) {
    case 'involvedObject':
      return shownReference(item.involvedObject ?? {});
    case 'related':
      return item.related == null ? null : shownReference(item.related);
    case 'source':
      return { Component: item.source?.component ?? '', Host: item.source?.host ?? '' };
    case 'count':
      return item.count ?? 0;
    case 'eventTime':
    case 'firstTimestamp':
    case 'lastTimestamp':
      return item[field] ?? null;
    default:
      return item[field] ?? '';
  }
}

function shownReference(reference: V1ObjectReference): Readonly<Record<string, string>> {
  const { kind = '', namespace = '', name = '', uid = '', apiVersion = '', resourceVersion = '', fieldPath = '' } = reference;
  return {
    Kind: kind,
    Namespace: namespace,
    Name: name,
    UID: uid,
    APIVersion: apiVersion,
    ResourceVersion: resourceVersion,
    FieldPath: fieldPath,
  };
}

/** Under the names of this group, and those that both groups share. */
function selectableFields(object: KubeObject): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of Object.entries(eventFields(toStored(object)))) {
    if (name === 'source') continue;
    fields[name.replace(/^involvedObject\./, 'regarding.').replace(/^reportingComponent$/, 'reportingController')] = value;
  }
  return fields;
}
