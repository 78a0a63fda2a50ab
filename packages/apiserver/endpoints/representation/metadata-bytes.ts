import type { StoredObject, StoreEvent } from '@coffer/storage/store/store';

/**
 * Watch events as `PartialObjectMetadata`, cut from the bytes of the stored object without parsing it: every write is told to
 * those who watch the metadata of everything.
 */
const metadataKeyLength = '"metadata":'.length;
const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;

export function metadataEventLine(event: StoreEvent, version: 'v1' | 'v1beta1'): Uint8Array {
  const { type, object } = event;
  const start = object.headLength + metadataKeyLength;
  const end = endOfObject(object.plain, start);
  const comma = object.plain[start + 1] === closeBrace ? '' : ',';
  const opening =
    `{"type":"${type}","object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/${version}",` +
    `"metadata":{"resourceVersion":"${object.revision}"${comma}`;
  const closing = '}}\n';
  const line = Buffer.allocUnsafe(opening.length + (end - start - 1) + closing.length);
  line.write(opening, 0, opening.length, 'latin1');
  line.set(object.plain.subarray(start + 1, end), opening.length);
  line.write(closing, line.length - closing.length, closing.length, 'latin1');
  return line;
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
