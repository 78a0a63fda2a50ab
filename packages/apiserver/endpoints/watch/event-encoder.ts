import type { Status } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import type { StoreEvent } from '@coffer/storage/store/store';
import type { Registry } from '../../registry/generic/registry.ts';
import type { OutputFormat } from '../negotiation.ts';
import { metadataEventLine } from '../representation/metadata-bytes.ts';
import { partialMetadata } from '../representation/partial-metadata.ts';
import { type IncludeObject, tableOf } from '../representation/table.ts';

/** The bytes of watch events in one representation: each a line of JSON. */
export interface EventEncoder {
  encode(event: StoreEvent): Uint8Array;
  bookmark(revision: number, initialEventsEnd: boolean): Uint8Array;
  error(status: Status): Uint8Array;
}

/** The encoder for a negotiated format. Tables name their columns in the first event only. */
export function createEventEncoder(registry: Registry, format: OutputFormat, include: IncludeObject, now: () => number): EventEncoder {
  const transform = transformerFor(registry, format, include, now);
  const error = (status: Status) => line('ERROR', status);
  if (transform === undefined) {
    return {
      encode: (event) => event.line(),
      bookmark: (revision, end) => line('BOOKMARK', bookmarkObject(registry, revision, end)),
      error,
    };
  }
  const encode = metadataEncoderFor(registry, format);
  return {
    encode: encode ?? ((event) => line(event.type, transform(registry.served(event.object)))),
    bookmark: (revision, end) => line('BOOKMARK', transform(bookmarkObject(registry, revision, end))),
    error,
  };
}

/** Metadata of an object that is served as it is stored need not be parsed. */
function metadataEncoderFor(registry: Registry, { convert }: OutputFormat): EventEncoder['encode'] | undefined {
  if (convert === undefined || convert.kind === 'Table' || registry.converts) return undefined;
  return (event) => metadataEventLine(event, convert.version);
}

function transformerFor(
  registry: Registry,
  format: OutputFormat,
  include: IncludeObject,
  now: () => number,
): ((object: KubeObject) => unknown) | undefined {
  const { convert } = format;
  if (convert === undefined) return registry.converts ? (object) => object : undefined;
  if (convert.kind !== 'Table') return (object) => partialMetadata(object, convert.version);
  let first = true;
  return (object) => {
    const table = tableOf(registry.kind.table, [object], {
      version: convert.version,
      include,
      headers: first,
      nowMs: now(),
      metadata: { resourceVersion: object.metadata.resourceVersion ?? '' },
    });
    first = false;
    return table;
  };
}

/** An object that says nothing but how far the watch has come. */
function bookmarkObject(registry: Registry, revision: number, initialEventsEnd: boolean): KubeObject {
  const { group, version, kind } = registry.resource;
  const object: KubeObject = {
    kind,
    apiVersion: group === '' ? version : `${group}/${version}`,
    metadata: {
      resourceVersion: String(revision),
      ...(initialEventsEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {}),
    },
  };
  return registry.canonicalize(object);
}

function line(type: string, object: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify({ type, object })}\n`);
}
