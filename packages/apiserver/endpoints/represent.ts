import { notAcceptable } from '@coffer/api/errors/status-error';
import type { TableDefinition } from '@coffer/api/kinds/kind';
import type { KubeObject } from '@coffer/api/meta/object';
import type { HttpResponse } from '@coffer/base/http/handler';
import type { StoredObject } from '@coffer/storage/store/store';
import type { RequestContext } from '../request/context.ts';
import type { OutputFormat } from './negotiation.ts';
import { partialMetadata } from './representation/partial-metadata.ts';
import { parseIncludeObject, tableOf } from './representation/table.ts';
import { respondObject, respondSmallBytes } from './respond.ts';
import type { Scope } from './scope.ts';

/** Answers with one stored object: its bytes as they are where the client takes plain JSON, else parsed and converted. */
export function respondStored(
  context: RequestContext,
  scope: Scope,
  status: number,
  stored: StoredObject,
  format: OutputFormat,
): HttpResponse | Promise<HttpResponse> {
  if (isPlain(format) && !scope.registry.converts) return respondSmallBytes(context, status, stored.toBytes(true));
  return respondServed(context, scope, status, scope.registry.served(stored), format);
}

/** How objects of a kind are shown: their table, and the Go type that upstream's texts name. */
export interface Shown {
  readonly table: TableDefinition;
  readonly goType: string;
}

/** Answers with an object in the served version; it is not changed. */
export function respondServed(
  context: RequestContext,
  scope: Scope,
  status: number,
  object: KubeObject,
  format: OutputFormat,
): Promise<HttpResponse> {
  const shown = { table: scope.registry.kind.table, goType: goTypeOf(scope) };
  return respondShown(context, status, object, format, shown, scope.tools.clock.now());
}

/** Answers with any object, converted to what the client wants to see of it. */
export function respondShown(
  context: RequestContext,
  status: number,
  object: KubeObject,
  format: OutputFormat,
  shown: Shown,
  nowMs: number,
): Promise<HttpResponse> {
  return respondObject(context, status, converted(context, object, format, shown, nowMs), format);
}

export function isPlain(format: OutputFormat): boolean {
  return format.type === 'json' && !format.pretty && format.convert === undefined;
}

function converted(context: RequestContext, object: KubeObject, format: OutputFormat, shown: Shown, nowMs: number): unknown {
  const { convert } = format;
  if (convert === undefined) return object;
  switch (convert.kind) {
    case 'Table':
      return tableOf(shown.table, [object], {
        version: convert.version,
        include: parseIncludeObject(context.query),
        headers: true,
        nowMs,
        metadata: tableMetadata(object),
      });
    case 'PartialObjectMetadata':
      return partialMetadata(object, convert.version);
    case 'PartialObjectMetadataList':
      throw notAcceptable(`you requested PartialObjectMetadataList, but the requested object is not a list (${shown.goType})`);
  }
}

/** An object that was not stored (a dry run) has no version. */
function tableMetadata({ metadata: { resourceVersion = '' } }: KubeObject): Readonly<Record<string, unknown>> {
  return resourceVersion === '' ? {} : { resourceVersion };
}

/** The Go type of the kind, which upstream's texts name. */
export function goTypeOf(scope: Scope, suffix = ''): string {
  const group = scope.resource.group === '' || scope.resource.kind === 'Event' ? 'core' : scope.resource.group.split('.')[0];
  return `*${group}.${scope.resource.kind}${suffix}`;
}
