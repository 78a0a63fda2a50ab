/**
 * Decides, from the documentation alone, whether the API takes a ConfigMap or Secret that is posted to namespace `default`. It knows
 * the types of the fields and the rules for their values; it uses nothing of the server's code.
 */
import { bytesOf, entriesOf, isRecord, own, type Tree } from './json-tree.ts';

type Leaf = 'string' | 'bool' | 'int' | 'time' | 'base64';
type Type = Leaf | { readonly list: Leaf } | { readonly map: Leaf } | { readonly fields: Readonly<Record<string, Type>> };

const metadata: Type = {
  fields: {
    name: 'string',
    generateName: 'string',
    namespace: 'string',
    selfLink: 'string',
    uid: 'string',
    resourceVersion: 'string',
    generation: 'int',
    creationTimestamp: 'time',
    deletionTimestamp: 'time',
    deletionGracePeriodSeconds: 'int',
    labels: { map: 'string' },
    annotations: { map: 'string' },
    finalizers: { list: 'string' },
  },
};
const common = { apiVersion: 'string', kind: 'string', metadata, immutable: 'bool' } as const;
const kinds: Readonly<Record<'ConfigMap' | 'Secret', Type>> = {
  ConfigMap: { fields: { ...common, data: { map: 'string' }, binaryData: { map: 'base64' } } },
  Secret: { fields: { ...common, type: 'string', data: { map: 'base64' }, stringData: { map: 'string' } } },
};

/** Why the server must refuse it; undefined when it must take it. */
export function refusal(kind: 'ConfigMap' | 'Secret', object: Tree, strict: boolean): string | undefined {
  return (
    typeMetaProblem(kind, object) ??
    typeProblem(object, kinds[kind], kind, strict) ??
    metadataProblem(record(own(object, 'metadata'))) ??
    (kind === 'ConfigMap' ? configMapProblem(object) : secretProblem(object))
  );
}

function typeMetaProblem(kind: string, object: Tree): string | undefined {
  for (const field of ['apiVersion', 'kind']) {
    const value = own(object, field) ?? '';
    if (typeof value !== 'string') return `${field} is no string`;
    if (value !== '' && value !== (field === 'kind' ? kind : 'v1')) return `another ${field}`;
  }
  return undefined;
}

function typeProblem(value: unknown, type: Type, path: string, strict: boolean): string | undefined {
  if (value === null || value === undefined) return undefined;
  const wrong = `${path} has the wrong type`;
  if (typeof type === 'string') return isLeaf(value, type) ? undefined : wrong;
  if ('list' in type) return Array.isArray(value) && value.every((item) => item === null || isLeaf(item, type.list)) ? undefined : wrong;
  if (!isRecord(value)) return wrong;
  if ('map' in type) return entriesOf(value).every(([, item]) => item === null || isLeaf(item, type.map)) ? undefined : wrong;
  for (const [key, item] of entriesOf(value)) {
    const field = Object.hasOwn(type.fields, key) ? type.fields[key] : undefined;
    if (field === undefined && strict) return `${path}.${key} is unknown`;
    const problem = field === undefined ? undefined : typeProblem(item, field, `${path}.${key}`, strict);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function isLeaf(value: unknown, type: Leaf): boolean {
  switch (type) {
    case 'string':
      return typeof value === 'string';
    case 'bool':
      return typeof value === 'boolean';
    case 'int':
      return typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 2 ** 63;
    case 'time':
      return typeof value === 'string' && isTime(value);
    case 'base64':
      // A list of bytes is accepted as well.
      if (Array.isArray(value)) return value.every((byte) => byte === null || (Number.isInteger(byte) && byte >= 0 && byte < 256));
      return typeof value === 'string' && isBase64(value);
  }
}

function metadataProblem(meta: Tree): string | undefined {
  const name = text(meta, 'name');
  const prefix = text(meta, 'generateName');
  const namespace = text(meta, 'namespace');
  if (namespace !== '' && namespace !== 'default') return 'another namespace';
  if (name === '' && prefix === '') return 'no name';
  if (name !== '' && !isSubdomain(name)) return 'bad name';
  if (prefix !== '' && !isSubdomain(prefix.replace(/-$/, 'a'))) return 'bad generateName';
  if (Number(own(meta, 'generation') ?? 0) < 0) return 'negative generation';
  const labels = entriesOf(record(own(meta, 'labels')));
  if (labels.some(([key, value]) => !isQualifiedName(key) || !isLabelValue(String(value ?? '')))) return 'bad label';
  const annotations = entriesOf(record(own(meta, 'annotations')));
  if (annotations.some(([key]) => !isQualifiedName(key.toLowerCase()))) return 'bad annotation';
  const finalizers = ((own(meta, 'finalizers') as unknown[] | null | undefined) ?? []).map((item) => String(item ?? ''));
  const standard = ['kubernetes', 'orphan', 'foregroundDeletion'];
  if (finalizers.some((item) => !isQualifiedName(item) || !(item.includes('/') || standard.includes(item)))) return 'bad finalizer';
  return undefined;
}

function configMapProblem(object: Tree): string | undefined {
  const keys = ['data', 'binaryData'].flatMap((field) => Object.keys(record(own(object, field))));
  return new Set(keys).size < keys.length ? 'a key in both maps' : keysProblem(keys);
}

function secretProblem(object: Tree): string | undefined {
  const data = record(own(object, 'data'));
  const stringData = record(own(object, 'stringData'));
  const keys = new Set([...Object.keys(data), ...Object.keys(stringData)]);
  const bytes = (key: string): Buffer =>
    Object.hasOwn(stringData, key) ? Buffer.from(String(own(stringData, key) ?? '')) : bytesOf(own(data, key));
  const annotations = record(own(record(own(object, 'metadata')), 'annotations'));
  const isObject = (key: string): boolean => {
    try {
      return keys.has(key) && isRecord(JSON.parse(bytes(key).toString()));
    } catch {
      return false;
    }
  };
  const complete: Readonly<Record<string, () => boolean>> = {
    'kubernetes.io/service-account-token': () => text(annotations, 'kubernetes.io/service-account.name') !== '',
    'kubernetes.io/dockercfg': () => isObject('.dockercfg'),
    'kubernetes.io/dockerconfigjson': () => isObject('.dockerconfigjson'),
    'kubernetes.io/basic-auth': () => keys.has('username') || keys.has('password'),
    'kubernetes.io/ssh-auth': () => bytes('ssh-privatekey').length > 0,
    'kubernetes.io/tls': () => keys.has('tls.crt') && keys.has('tls.key'),
  };
  const type = text(object, 'type');
  const rule = Object.hasOwn(complete, type) ? complete[type] : undefined;
  return rule !== undefined && !rule() ? 'a key that the type demands is missing' : keysProblem([...keys]);
}

function keysProblem(keys: readonly string[]): string | undefined {
  const good = keys.every((key) => /^[-._a-zA-Z0-9]+$/.test(key) && key.length <= 253 && key !== '.' && !key.startsWith('..'));
  return good ? undefined : 'bad key';
}

function isSubdomain(name: string): boolean {
  return name.length <= 253 && name.split('.').every((part) => /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(part));
}

function isQualifiedName(key: string): boolean {
  const parts = key.split('/');
  const name = parts.at(-1) ?? '';
  if (parts.length > 2 || (parts.length === 2 && !isSubdomain(parts[0] ?? ''))) return false;
  return name.length <= 63 && /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(name);
}

function isLabelValue(value: string): boolean {
  return value.length <= 63 && /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/.test(value);
}

function isBase64(value: string): boolean {
  const characters = value.replaceAll(/[\r\n]/g, '');
  return characters.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(characters);
}

function isTime(value: string): boolean {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value) && !Number.isNaN(Date.parse(value));
}

function record(value: unknown): Tree {
  return isRecord(value) ? value : {};
}

function text(object: Tree, key: string): string {
  const value = own(object, key);
  return typeof value === 'string' ? value : '';
}
