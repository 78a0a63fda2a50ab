import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord, setOwn } from '@coffer/api/meta/safe-object';
import { StorageError } from '../errors.ts';

/**
 * The plaintext of an object in the store: one JSON document that begins with the head `{"kind":…,"apiVersion":…,`, goes on
 * with `"metadata":{`, and has no resourceVersion. So the revision can be put in, and the head left out, without parsing.
 */
export interface ObjectLayout {
  readonly apiVersion: string;
  readonly kind: string;
  /** `{"kind":"K","apiVersion":"V",` */
  readonly head: Buffer;
}

/** What follows the head in every stored object. */
export const metadataOpening = '"metadata":{';

export function objectLayout(apiVersion: string, kind: string): ObjectLayout {
  return { apiVersion, kind, head: Buffer.from(`{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(apiVersion)},`) };
}

/** The stored form of `object`; its own kind, apiVersion and resourceVersion do not matter. */
export function encodeObject(layout: ObjectLayout, object: KubeObject): Buffer {
  const { metadata } = object;
  const ordered: Record<string, unknown> = {
    kind: layout.kind,
    apiVersion: layout.apiVersion,
    metadata: metadata.resourceVersion === undefined ? metadata : { ...metadata, resourceVersion: undefined },
  };
  for (const field of Object.keys(object)) {
    if (field !== 'kind' && field !== 'apiVersion' && field !== 'metadata') setOwn(ordered, field, object[field]);
  }
  const text = JSON.stringify(ordered);
  // Not from Node's shared pool: these buffers live long, and one of them would keep its whole slab.
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text, 'utf8');
  return bytes;
}

/** Parses a stored JSON document; throws `unreadable` when it is not an object with metadata. */
export function decodeObject(plain: Uint8Array, key: string): KubeObject {
  let value: unknown;
  try {
    value = JSON.parse(asBuffer(plain).toString('utf8'));
  } catch (cause) {
    throw new StorageError('unreadable', 'the stored value is not valid JSON', { key, cause: withoutContent(cause) });
  }
  if (!isRecord(value) || !isRecord(value.metadata)) {
    throw new StorageError('unreadable', 'the stored value is not an object with metadata', { key });
  }
  return value as KubeObject;
}

/** True when `plain` can be kept as it is: our own head, metadata next, no resourceVersion, nothing behind the document. */
export function hasLayout(layout: ObjectLayout, plain: Uint8Array, object: KubeObject): boolean {
  const bytes = asBuffer(plain);
  const headLength = layout.head.length;
  return (
    bytes.length > headLength + metadataOpening.length &&
    bytes.compare(layout.head, 0, headLength, 0, headLength) === 0 &&
    bytes.toString('latin1', headLength, headLength + metadataOpening.length) === metadataOpening &&
    bytes[bytes.length - 1] === 0x7d &&
    object.metadata.resourceVersion === undefined
  );
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A JSON error quotes the text it failed on, which may be a secret. */
function withoutContent(cause: unknown): Error {
  return new Error(cause instanceof SyntaxError ? 'JSON syntax error' : 'JSON error');
}
