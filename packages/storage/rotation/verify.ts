import { type FileHandle, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { Backend } from '../backend/backend.ts';
import type { ResourceStore } from '../store/store.ts';
import type { Transformer } from '../value/transformer.ts';
import { valuesBelow } from './inventory.ts';
import { NeedleSearch, overlapBytes } from './needle-search.ts';
import { minValueBytes, type NeedleForm, needlesOf } from './needles.ts';

/**
 * Proof that no value lies in the store's files in the clear: decrypts every object, then searches the raw files once for every
 * value of at least eight bytes in all its forms. A value that an object of a resource without encryption holds as well
 * (`kube-system`, the cluster's CA) cannot be told apart in the files; such values are counted and left out.
 */
export interface VerifyDeps {
  readonly backend: Backend;
  /** Where the store's files lie; undefined when it has none here. */
  readonly directory: string | undefined;
  /** What is searched for. */
  readonly confidential: readonly VerifiedResource[];
  /** Resources whose objects may lie in the clear. */
  readonly open: readonly ResourceStore[];
}

export interface VerifiedResource {
  readonly resource: string;
  readonly store: ResourceStore;
  readonly transformer: Transformer;
}

export interface VerifyReport {
  readonly passed: boolean;
  readonly resources: readonly {
    readonly resource: string;
    readonly objects: number;
    readonly decrypted: number;
    readonly stale: number;
  }[];
  /** Keys of values that could not be decrypted, at most `maxReported`. */
  readonly unreadable: readonly string[];
  readonly unreadableCount: number;
  /** Different values, and byte strings they were searched as. */
  readonly values: number;
  readonly needles: number;
  readonly tooShort: number;
  readonly alsoInTheClear: number;
  readonly files: number;
  readonly bytes: number;
  /** Different values that were found, and where: each value once per form, at most `maxReported`. */
  readonly foundValues: number;
  readonly found: readonly Finding[];
  readonly durationMs: number;
}

export interface Finding {
  /** `secrets default/db`, and the key in its data. */
  readonly object: string;
  readonly dataKey: string;
  readonly form: NeedleForm;
  readonly file: string;
  readonly offset: number;
}

const maxReported = 100;
const blockBytes = 256 * 1024;

interface Value {
  readonly object: string;
  readonly dataKey: string;
  alsoInTheClear: boolean;
  found: boolean;
}

interface Tag {
  readonly value: Value;
  readonly form: NeedleForm;
  reported: boolean;
}

export async function verify(deps: VerifyDeps, nowMs: () => number): Promise<VerifyReport> {
  const startedMs = nowMs();
  const resources: { resource: string; objects: number; decrypted: number; stale: number }[] = [];
  const unreadable: string[] = [];
  const values = new Map<string, Value>();
  let tooShort = 0;
  for (const { resource, store, transformer } of deps.confidential) {
    const counts = { resource, objects: 0, decrypted: 0, stale: 0 };
    resources.push(counts);
    const revision = await deps.backend.currentRevision();
    await store.whenFresh(revision);
    const keyPrefix = `/registry/${store.config.prefix}/`;
    for await (const { key, value } of valuesBelow(deps.backend, keyPrefix, revision)) {
      counts.objects++;
      try {
        const { stale } = await transformer.fromStorage(value, { key });
        counts.decrypted++;
        if (stale) counts.stale++;
      } catch {
        unreadable.push(key);
        continue;
      }
      const place = key.slice(keyPrefix.length).split('/');
      const object = store.get(place.length > 1 ? (place[0] ?? '') : '', place.at(-1) ?? '')?.decode();
      for (const [dataKey, bytes] of object === undefined ? [] : dataOf(object)) {
        if (bytes.length < minValueBytes) tooShort++;
        else {
          const text = bytes.toString('latin1');
          if (!values.has(text)) {
            values.set(text, { object: `${resource} ${place.join('/')}`, dataKey, alsoInTheClear: false, found: false });
          }
        }
      }
    }
  }
  const search = new NeedleSearch<Tag>(values.size * 8);
  for (const [text, value] of values) {
    for (const { form, bytes } of needlesOf(Buffer.from(text, 'latin1'))) search.add(bytes, { value, form, reported: false });
  }
  await markOpenValues(search, deps.open);
  const found: Finding[] = [];
  const { files, bytes } = await searchFiles(search, deps.directory, found);
  const foundValues = [...values.values()].filter((value) => value.found).length;
  return {
    passed: foundValues === 0 && unreadable.length === 0,
    resources,
    unreadable: unreadable.slice(0, maxReported),
    unreadableCount: unreadable.length,
    values: values.size,
    needles: search.count,
    tooShort,
    alsoInTheClear: [...values.values()].filter((value) => value.alsoInTheClear).length,
    files,
    bytes,
    foundValues,
    found,
    durationMs: Math.round(nowMs() - startedMs),
  };
}

/** Values of `data` (base64 in Secrets, text in ConfigMaps) and `binaryData`. */
function dataOf(object: KubeObject): [string, Buffer][] {
  const encoding = object.kind === 'ConfigMap' ? 'utf8' : 'base64';
  const entries = (map: unknown, as: BufferEncoding): [string, Buffer][] =>
    isRecord(map) ? Object.entries(map).map(([key, value]) => [key, Buffer.from(String(value), as)]) : [];
  return [...entries(object.data, encoding), ...entries(object.binaryData, 'base64')];
}

async function markOpenValues(search: NeedleSearch<Tag>, stores: readonly ResourceStore[]): Promise<void> {
  for (const store of stores) {
    const { items } = await store.list({});
    let sinceYield = 0;
    for (const { plain, key } of items) {
      const mark = ({ tag }: { readonly tag: Tag }) => {
        tag.value.alsoInTheClear = true;
      };
      search.search(Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength), mark);
      search.search(Buffer.from(key), mark);
      sinceYield += plain.length;
      if (sinceYield > blockBytes) {
        sinceYield = 0;
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  }
}

async function searchFiles(search: NeedleSearch<Tag>, directory: string | undefined, found: Finding[]) {
  let bytes = 0;
  let files = 0;
  if (directory === undefined) return { files, bytes };
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    const file = path.join(entry.parentPath, entry.name);
    const handle = await open(file, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (handle === undefined) continue;
    try {
      bytes += await searchFile(search, handle, path.relative(directory, file), found);
      files++;
    } finally {
      await handle.close();
    }
  }
  return { files, bytes };
}

async function searchFile(search: NeedleSearch<Tag>, handle: FileHandle, name: string, found: Finding[]): Promise<number> {
  const buffer = Buffer.alloc(overlapBytes + blockBytes);
  let kept = 0;
  let position = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, kept, blockBytes, position);
    if (bytesRead === 0) return position;
    const block = buffer.subarray(0, kept + bytesRead);
    const blockStart = position - kept;
    search.search(block, ({ tag, offset }) => {
      if (tag.value.alsoInTheClear) return;
      tag.value.found = true;
      if (tag.reported) return;
      tag.reported = true;
      const { object, dataKey } = tag.value;
      if (found.length < maxReported) found.push({ object, dataKey, form: tag.form, file: name, offset: blockStart + offset });
    });
    position += bytesRead;
    const keep = Math.min(overlapBytes, block.length);
    block.copy(buffer, 0, block.length - keep);
    kept = keep;
  }
}
