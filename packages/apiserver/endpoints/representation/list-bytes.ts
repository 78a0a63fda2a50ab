import type { KubeObject } from '@coffer/api/meta/object';
import type { HttpResponse, StreamSink } from '@coffer/base/http/handler';
import type { TurnGate } from '@coffer/base/time/turn-gate';
import type { StoredObject } from '@coffer/storage/store/store';
import type { RequestContext } from '../../request/context.ts';
import { acceptsGzip } from '../negotiation.ts';
import { respondBytes } from '../respond.ts';
import type { Scope } from '../scope.ts';
import type { ListMetadata } from '../verbs/list.ts';

/**
 * A list as JSON, put together from the bytes of its objects without parsing them. Small lists are one buffer; a larger one is
 * written piece by piece as the client takes it, so that a slow reader holds references to shared objects and not a copy of the list.
 */
const maxOneBufferBytes = 1024 * 1024;
const pieceBytes = 64 * 1024;
const maxInFlightBytes = 96 * 1024;
/** Larger lists are not compressed: it would need them in memory as a whole. */
const maxGzipBytes = 64 * 1024 * 1024;

const comma = 44;
const tail = Buffer.from(']}\n');

export function respondListBytes(
  context: RequestContext,
  scope: Scope,
  items: readonly StoredObject[],
  metadata: ListMetadata,
): Promise<HttpResponse> | HttpResponse {
  const head = Buffer.from(
    `{"kind":"${scope.resource.listKind}","apiVersion":"${scope.apiVersion}","metadata":${JSON.stringify(metadata)},"items":[`,
  );
  const sizes = new Uint32Array(items.length);
  let size = head.length + tail.length + Math.max(0, items.length - 1);
  items.forEach((item, i) => {
    const length = item.byteLength(false);
    sizes[i] = length;
    size += length;
  });
  const inOnePiece = size <= maxOneBufferBytes || (size <= maxGzipBytes && acceptsGzip(context.http));
  if (inOnePiece) return respondBytes(context, 200, fill(head, items, size));
  const headers = { 'content-type': 'application/json', 'content-length': size };
  return { kind: 'stream', status: 200, headers, run: (sink) => writePieces(sink, head, items, sizes, scope.tools.turns) };
}

function fill(head: Uint8Array, items: readonly StoredObject[], size: number): Uint8Array {
  const buffer = Buffer.allocUnsafe(size);
  buffer.set(head, 0);
  let at = head.length;
  let first = true;
  for (const item of items) {
    if (!first) buffer[at++] = comma;
    first = false;
    at += item.copyTo(buffer, at, false);
  }
  buffer.set(tail, at);
  return buffer;
}

async function writePieces(
  sink: StreamSink,
  head: Uint8Array,
  items: readonly StoredObject[],
  sizes: Uint32Array,
  turns: TurnGate,
): Promise<void> {
  let prefix: Uint8Array = head;
  let start = 0;
  while (start < items.length || prefix.length > 0) {
    await turns.pass();
    let size = prefix.length;
    let end = start;
    for (; end < items.length && size < pieceBytes; end++) size += (sizes[end] ?? 0) + 1;
    const buffer = Buffer.allocUnsafe(size + tail.length);
    buffer.set(prefix, 0);
    let at = prefix.length;
    for (let i = start; i < end; i++) {
      if (i > 0) buffer[at++] = comma;
      at += items[i]?.copyTo(buffer, at, false) ?? 0;
    }
    start = end;
    prefix = nothing;
    if (end === items.length) {
      buffer.set(tail, at);
      at += tail.length;
    }
    if (sink.signal.aborted) return;
    sink.write(buffer.subarray(0, at));
    // The next piece is made while this one is on its way.
    if (sink.bufferedBytes > maxInFlightBytes && !(await drained(sink))) return;
  }
}

const nothing = new Uint8Array(0);

/** False when the client has gone. */
async function drained(sink: StreamSink): Promise<boolean> {
  try {
    await sink.drained();
    return true;
  } catch {
    return false;
  }
}

/** The same as an object, for YAML and other versions: items say neither kind nor apiVersion, which the list's kind implies. */
export function listObject(scope: Scope, objects: readonly KubeObject[], metadata: ListMetadata): Readonly<Record<string, unknown>> {
  return {
    kind: scope.resource.listKind,
    apiVersion: scope.apiVersion,
    metadata,
    items: objects.map(({ kind: _kind, apiVersion: _apiVersion, ...rest }) => rest),
  };
}
