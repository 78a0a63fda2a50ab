/** Compares an object as it was sent with the object as it is stored: everything sent is there, defaults may have come. */
import type { TypeSchema } from '@coffer/api/schema/schema';
import { builtInSchemaTable, type GoStructSchema } from '@coffer/api/schema/schema-table';
import { bytesOf, entriesOf, isEmpty, isRecord, own, put, type Tree } from './json-tree.ts';

/** What the server sets itself, whatever was sent. */
const serverOwned = new Set([
  ...['uid', 'resourceVersion', 'generation', 'creationTimestamp', 'selfLink', 'managedFields', 'namespace', 'name'].map(
    (f) => `metadata.${f}`,
  ),
  ...['metadata.deletionTimestamp', 'metadata.deletionGracePeriodSeconds', 'stringData', 'apiVersion', 'kind', 'status'],
]);

/** Paths at which something sent is not found again; `mayDiffer` names paths that the kind itself rewrites. */
export function missingParts(apiVersion: string, kind: string, sent: Tree, stored: Tree, mayDiffer: RegExp | undefined): string[] {
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const schema = builtInSchemaTable().kind(group ?? '', version ?? '', kind);
  if (schema === undefined) throw new Error(`no such kind: ${kind}`);
  return compareStruct(asKept(kind, sent), stored, schema, '').filter((path) => mayDiffer?.test(path) !== true);
}

/** `stringData` of a Secret is written over `data`. */
function asKept(kind: string, sent: Tree): Tree {
  const texts = own(sent, 'stringData');
  if (kind !== 'Secret' || !isRecord(texts) || isEmpty(texts)) return sent;
  const kept = new Map(entriesOf((own(sent, 'data') ?? {}) as Tree));
  for (const [key, text] of entriesOf(texts)) kept.set(key, Buffer.from(String(text ?? '')).toString('base64'));
  const data: Tree = {};
  for (const [key, value] of kept) put(data, key, value);
  return Object.fromEntries([...entriesOf(sent).filter(([key]) => key !== 'data'), ['data', data]]);
}

function compareStruct(sent: Tree, stored: unknown, schema: GoStructSchema, path: string): string[] {
  if (!isRecord(stored)) return [path];
  return schema.fieldList.flatMap((field) => {
    const at = path === '' ? field.name : `${path}.${field.name}`;
    return serverOwned.has(at) ? [] : compare(own(sent, field.name), own(stored, field.name), field.type, at);
  });
}

function compare(sent: unknown, stored: unknown, type: TypeSchema, path: string): string[] {
  if (isEmpty(sent)) return [];
  switch (type.kind) {
    case 'struct':
      // An object in which nothing is set may be left out.
      return compareStruct(sent as Tree, stored ?? {}, builtInSchemaTable().struct(type.name), path);
    case 'list': {
      const items = sent as unknown[];
      if (!Array.isArray(stored) || stored.length < items.length) return [path];
      return items.flatMap((item, i) => compare(item, stored[i], type.element, `${path}[${i}]`));
    }
    case 'map':
      if (!isRecord(stored)) return [path];
      return entriesOf(sent as Tree).flatMap(([key, item]) => {
        if (!Object.hasOwn(stored, key)) return [`${path}[${key}]`];
        return compare(item, own(stored, key), type.value, `${path}[${key}]`);
      });
    case 'special':
      return stored === undefined ? [path] : [];
    case 'scalar': {
      const bytes = type.type === 'string' && type.format === 'byte';
      const same = bytes ? bytesOf(sent).equals(bytesOf(stored)) : sent === stored;
      return same ? [] : [path];
    }
  }
}
