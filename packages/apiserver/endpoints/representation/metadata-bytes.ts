import type { StoredObject, StoreEvent } from '@coffer/storage/store/store';

/**
 * `PartialObjectMetadata` cut from the bytes of stored objects without parsing them: every object and every write is told to those
 * who list and watch the metadata of everything.
 */
const metadataKeyLength = '"metadata":'.length;
const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;

type Version = 'v1' | 'v1beta1';

export function metadataEventLine({ type, object }: StoreEvent, version: Version): Uint8Array {
  return join(`{"type":"${type}","object":`, [object], version, '}\n');
}

/** A whole list; `metadata` is the list's own. */
export function metadataListBytes(items: readonly StoredObject[], version: Version, metadata: object): Uint8Array {
  const head = `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/${version}","metadata":${JSON.stringify(metadata)},"items":[`;
  return join(head, items, version, ']}\n');
}

/** The objects with commas between them, in one buffer. `before` and `after` are ASCII. */
function join(before: string, items: readonly StoredObject[], version: Version, after: string): Uint8Array {
  const ends = items.map((object) => endOfObject(object.plain, object.headLength + metadataKeyLength));
  const heads = items.map((object, i) => headOf(object, version, i > 0));
  let size = before.length + after.length;
  for (const [i, object] of items.entries()) size += (heads[i] ?? '').length + (ends[i] ?? 0) - contentOf(object) + 1;
  const bytes = Buffer.allocUnsafe(size);
  let at = bytes.write(before, 0, 'latin1');
  for (const [i, object] of items.entries()) {
    at += bytes.write(heads[i] ?? '', at, 'latin1');
    const content = object.plain.subarray(contentOf(object), ends[i]);
    bytes.set(content, at);
    at += content.length;
    bytes[at++] = closeBrace;
  }
  bytes.write(after, at, 'latin1');
  return bytes;
}

/** What comes before the rest of the object's metadata, in ASCII. */
function headOf(object: StoredObject, version: Version, comma: boolean): string {
  const empty = object.plain[contentOf(object)] === closeBrace;
  const opening = `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/${version}","metadata":{`;
  return `${comma ? ',' : ''}${opening}"resourceVersion":"${object.revision}"${empty ? '' : ','}`;
}

/** Index behind the opening brace of the metadata. */
function contentOf(object: StoredObject): number {
  return object.headLength + metadataKeyLength + 1;
}

/** Index behind the JSON object that begins at `start`; the bytes are a valid document. */
function endOfObject(bytes: StoredObject['plain'], start: number): number {
  let depth = 0;
  for (let i = start; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === quote) {
      for (i++; bytes[i] !== quote; i++) if (bytes[i] === backslash) i++;
    } else if (byte === openBrace) {
      depth++;
    } else if (byte === closeBrace && --depth === 0) {
      return i + 1;
    }
  }
  throw new Error('the stored object has no end');
}
