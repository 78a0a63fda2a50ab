import type { StoredObject, StoreEvent } from '@coffer/storage/store/store';
import { describe, expect, it } from 'vitest';
import { metadataEventLine, metadataListBytes } from './metadata-bytes.ts';

function eventOf(metadata: string, rest: string): StoreEvent {
  const head = '{"kind":"ConfigMap","apiVersion":"v1",';
  const plain = Buffer.from(`${head}"metadata":${metadata}${rest}`);
  const object = { plain, headLength: head.length, revision: 7 } as unknown as StoredObject;
  return { type: 'MODIFIED', object, line: () => plain };
}

const lineOf = (metadata: string, rest: string) => JSON.parse(Buffer.from(metadataEventLine(eventOf(metadata, rest), 'v1')).toString());

describe('metadataEventLine', () => {
  it('is the metadata with its revision and nothing else', () => {
    expect(lineOf('{"name":"a","labels":{"x":"y"},"uid":"u"}', ',"data":{"k":"v"}}')).toEqual({
      type: 'MODIFIED',
      object: {
        kind: 'PartialObjectMetadata',
        apiVersion: 'meta.k8s.io/v1',
        metadata: { name: 'a', labels: { x: 'y' }, uid: 'u', resourceVersion: '7' },
      },
    });
  });

  it.each([
    ['quotes, braces and backslashes in values', { name: 'a', annotations: { k: '}"{\\', '\\"}': '\\\\', ü: '"\\u0022"' } }],
    ['nothing', {}],
    ['lists of objects', { name: 'b', ownerReferences: [{ uid: '1' }, { uid: '2', name: '}' }] }],
  ])('finds the end behind %s', (_name, metadata) => {
    expect(lineOf(JSON.stringify(metadata), '}').object.metadata).toEqual({ ...metadata, resourceVersion: '7' });
    expect(lineOf(JSON.stringify(metadata), ',"data":{"a":"}"}}').object.metadata).toEqual({ ...metadata, resourceVersion: '7' });
  });

  it('is one line', () => {
    const line = Buffer.from(metadataEventLine(eventOf('{"name":"a"}', '}'), 'v1beta1')).toString();
    expect(line.endsWith('}}}\n')).toBe(true);
    expect(line.indexOf('\n')).toBe(line.length - 1);
    expect(line).toContain('"meta.k8s.io/v1beta1"');
  });
});

describe('metadataListBytes', () => {
  const listOf = (...metadata: string[]) => {
    const items = metadata.map((text) => eventOf(text, ',"data":{}}').object);
    return JSON.parse(Buffer.from(metadataListBytes(items, 'v1', { resourceVersion: '9', continue: 'x' })).toString());
  };

  it('has the metadata of each object with its kind', () => {
    expect(listOf('{"name":"ä"}', '{}', '{"name":"b","labels":{"l":"}"}}')).toEqual({
      kind: 'PartialObjectMetadataList',
      apiVersion: 'meta.k8s.io/v1',
      metadata: { resourceVersion: '9', continue: 'x' },
      items: [{ name: 'ä' }, {}, { name: 'b', labels: { l: '}' } }].map((metadata) => ({
        kind: 'PartialObjectMetadata',
        apiVersion: 'meta.k8s.io/v1',
        metadata: { ...metadata, resourceVersion: '7' },
      })),
    });
  });

  it('may be empty', () => {
    expect(listOf().items).toEqual([]);
  });
});
