/**
 * Event, as the core group has it; `events.k8s.io` is another view of the same stored objects (see `events/event.ts`). Events of
 * old clients have no `eventTime` and are checked less.
 */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, required } from '../../errors/field-error.ts';
import type { CoreV1Event } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { byteLength, dnsSubdomainProblems, qualifiedNameProblems } from '../../validation/names.ts';
import { invalidEach } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import type { TableDefinition } from '../kind.ts';
import { column, fieldColumn, nameColumn } from '../table-columns.ts';

const struct = 'io.k8s.api.core.v1.Event';
const maxLabelBytes = 128;
const maxNoteBytes = 1024;

export const eventTable: TableDefinition = {
  columns: [
    fieldColumn('Last Seen', struct, 'lastTimestamp'),
    fieldColumn('Type', struct, 'type'),
    fieldColumn('Reason', struct, 'reason'),
    column('Object', 'The object that this event is about.'),
    fieldColumn('Subobject', 'io.k8s.api.core.v1.ObjectReference', 'fieldPath', 'string', 1),
    column('Source', 'The component reporting this event. Should be a short machine understandable string.', 'string', 1),
    fieldColumn('Message', struct, 'message'),
    fieldColumn('First Seen', struct, 'firstTimestamp', 'string', 1),
    fieldColumn('Count', struct, 'count', 'string', 1),
    { ...column(nameColumn.name, nameColumn.description, 'string', 1), format: 'name' },
  ],
  cells,
};

export const event = defineKind('', 'events', {
  schema: struct,
  nameSyntax: 'path-segment',
  metaChecks: 'generic',
  validate: (object) => validateEvent(object, 'reportingComponent'),
  updateOrder: ['object'],
  selectableFields: eventFields,
  table: eventTable,
});

/** The rules of the core group, on the stored form. `reporter` is what the version asked for calls the field with the reporter. */
export function validateEvent(object: KubeObject, reporter: 'reportingComponent' | 'reportingController'): FieldError[] {
  const item = viewAs<CoreV1Event>(object);
  const namespace = object.metadata.namespace ?? '';
  const about = item.involvedObject?.namespace ?? '';
  const mismatch = invalid('involvedObject.namespace', about, 'does not match event.namespace');
  const errors: FieldError[] = [];
  if (isZeroTime(item.eventTime)) {
    if (about === '' ? namespace !== '' && namespace !== 'default' : namespace !== about) errors.push(mismatch);
  } else {
    if (about === '' && namespace !== 'default' && namespace !== 'kube-system') errors.push(mismatch);
    errors.push(...validateNewEvent(item, reporter));
  }
  return [...errors, ...invalidEach('namespace', namespace, dnsSubdomainProblems(namespace))];
}

function validateNewEvent(item: CoreV1Event, reporter: string): FieldError[] {
  const { reportingComponent = '', reportingInstance = '', action = '', reason = '', message = '' } = item;
  const errors: FieldError[] = [];
  const limited = (field: string, value: string, maxBytes: number): void => {
    if (byteLength(value) > maxBytes) errors.push(invalid(field, '', `can have at most ${maxBytes} characters`));
  };
  if (reportingComponent === '') errors.push(required(reporter));
  errors.push(...invalidEach(reporter, reportingComponent, qualifiedNameProblems(reportingComponent)));
  for (const [field, value] of Object.entries({ reportingInstance, action, reason })) {
    if (value === '') errors.push(required(field));
    limited(field, value, maxLabelBytes);
  }
  limited('message', message, maxNoteBytes);
  return errors;
}

export function isZeroTime(time: string | null | undefined): boolean {
  return time == null || time === '' || time.startsWith('0001-01-01T00:00:00');
}

/** Fields of the stored form that a selector may use. */
export function eventFields(object: KubeObject): Record<string, string> {
  const { involvedObject: about, reason = '', reportingComponent = '', source, type = '' } = viewAs<CoreV1Event>(object);
  return {
    'involvedObject.kind': about?.kind ?? '',
    'involvedObject.namespace': about?.namespace ?? '',
    'involvedObject.name': about?.name ?? '',
    'involvedObject.uid': about?.uid ?? '',
    'involvedObject.apiVersion': about?.apiVersion ?? '',
    'involvedObject.resourceVersion': about?.resourceVersion ?? '',
    'involvedObject.fieldPath': about?.fieldPath ?? '',
    reason,
    reportingComponent,
    source: source?.component || reportingComponent,
    type,
  };
}

function cells(object: KubeObject, now: number): unknown[] {
  const item = viewAs<CoreV1Event>(object);
  const first = isZeroTime(item.firstTimestamp) ? item.eventTime : item.firstTimestamp;
  const last = item.series == null ? (isZeroTime(item.lastTimestamp) ? first : item.lastTimestamp) : item.series.lastObservedTime;
  const count = item.series == null ? item.count || 1 : (item.series.count ?? 0);
  const kind = (item.involvedObject?.kind ?? '').toLowerCase();
  const name = item.involvedObject?.name ?? '';
  return [
    timeSince(isZeroTime(last) ? undefined : last, now),
    item.type ?? '',
    item.reason ?? '',
    name === '' ? kind : `${kind}/${name}`,
    item.involvedObject?.fieldPath ?? '',
    sourceText(item),
    (item.message ?? '').trim(),
    timeSince(isZeroTime(first) ? undefined : first, now),
    count,
    item.metadata.name ?? '',
  ];
}

function sourceText(item: CoreV1Event): string {
  const component = item.source?.component || item.reportingComponent || '';
  const instance = item.source?.host || item.reportingInstance || '';
  return instance === '' ? component : `${component}, ${instance}`;
}
