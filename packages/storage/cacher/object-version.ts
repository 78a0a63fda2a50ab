import type { KubeObject } from '@coffer/api/meta/object';
import { setOwn } from '@coffer/api/meta/safe-object';
import { StorageError } from '../errors.ts';
import type { ResourceStoreConfig, StoredObject } from '../store/store.ts';
import {
  asBuffer,
  decodeObject,
  encodeObject,
  hasLayout,
  metadataOpening,
  type ObjectLayout,
  objectLayout,
} from '../value/object-layout.ts';
import { startsWith, type Transformer } from '../value/transformer.ts';
import { MemoRing } from './memo-ring.ts';

/** Reads the protobuf form that kube-apiserver stores built-in kinds in (`k8s`, a zero byte, runtime.Unknown). */
export type ProtobufDecoder = (plain: Uint8Array, config: ResourceStoreConfig) => KubeObject;

const protobufMagic = 'k8s\u0000';

/** What the objects of a store keep for a moment beside their bytes, bounded for all resources together. */
export class ObjectMemos {
  /** Versions that hold their parsed copy: up to ten times as large as its bytes. */
  readonly parsed = new MemoRing(1024, 4 * 1024 * 1024);
  /** Events that hold their serialised line. */
  readonly lines = new MemoRing(1024, 4 * 1024 * 1024);
  /** Label sets: objects of one set have the same ones. */
  readonly #labels = new Map<string, Readonly<Record<string, string>>>();

  /** A copy of the labels that all objects with equal ones share; nobody may change it. */
  shareLabels(labels: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
    if (labels === undefined || labels === null) return noLabels;
    const text = JSON.stringify(labels);
    const known = this.#labels.get(text);
    if (known !== undefined) return known;
    const copy: Record<string, string> = {};
    for (const key of Object.keys(labels)) setOwn(copy, key, labels[key] ?? '');
    if (text.length > maxSharedLabels) return copy;
    if (this.#labels.size >= maxLabelSets) this.#labels.clear();
    this.#labels.set(text, copy);
    return copy;
  }
}

/** Characters of a label set that is worth sharing, and how many sets are remembered. */
const maxSharedLabels = 1024;
const maxLabelSets = 1024;

/** What all versions of one resource share; each holds a reference instead of copies. */
export class ObjectKind {
  readonly config: ResourceStoreConfig;
  readonly keyPrefix: string;
  readonly layout: ObjectLayout;
  readonly transformer: Transformer;
  readonly memos: ObjectMemos;
  readonly #decodeProtobuf: ProtobufDecoder | undefined;
  readonly #namespaces = new Map<string, string>();

  constructor(config: ResourceStoreConfig, transformer: Transformer, memos: ObjectMemos, decodeProtobuf?: ProtobufDecoder) {
    this.config = config;
    this.memos = memos;
    this.#decodeProtobuf = decodeProtobuf;
    this.keyPrefix = `/registry/${config.prefix}/`;
    this.layout = objectLayout(config.apiVersion, config.kind);
    this.transformer = transformer;
  }

  /** What the transformer writes with now. */
  get writeId(): string {
    return this.transformer.writeId ?? '';
  }

  /** `namespace/name`, or `name` alone when the resource has no namespaces: the key without its prefix, and the list order. */
  path(namespace: string, name: string): string {
    return this.config.namespaced ? `${namespace}/${name}` : name;
  }

  /**
   * A version that is not committed yet: revision 0. With `keepParsed` the object stays with it, and nobody may change it any more: worth
   * it for one that is changed again and again.
   */
  draft(object: KubeObject, keepParsed = false): ObjectVersion {
    const draft = this.#version(object, encodeObject(this.layout, object), 0, this.writeId);
    if (keepParsed) draft.source = object;
    return draft;
  }

  /** A version read from the backend. Throws `unreadable` when `plain` is not the object that belongs to its key. */
  fromPlain(plain: Uint8Array, path: string, revision: number, stale: boolean): ObjectVersion {
    const key = this.keyPrefix + path;
    const object = startsWith(plain, protobufMagic) ? this.#fromProtobuf(plain, key) : decodeObject(plain, key);
    this.#checkPlace(object, path);
    const bytes = hasLayout(this.layout, plain, object) ? asBuffer(plain) : encodeObject(this.layout, object);
    return this.#version(object, bytes, revision, stale ? readStale : this.writeId, path);
  }

  #fromProtobuf(plain: Uint8Array, key: string): KubeObject {
    if (this.#decodeProtobuf === undefined) throw new StorageError('unreadable', 'the value is stored as protobuf', { key });
    return this.#decodeProtobuf(plain, this.config);
  }

  /** A value that was moved to another key is refused, also where its encryption does not notice. */
  #checkPlace({ metadata }: KubeObject, path: string): void {
    if (path === this.path(metadata.namespace ?? '', metadata.name ?? '')) return;
    throw new StorageError('unreadable', 'the stored object has another name or namespace than its key', { key: this.keyPrefix + path });
  }

  #version(object: KubeObject, plain: Buffer, revision: number, writtenWith: string, knownPath?: string): ObjectVersion {
    const { metadata } = object;
    const path = knownPath ?? this.path(this.config.namespaced ? (metadata.namespace ?? '') : '', metadata.name ?? '');
    return new ObjectVersion({
      objectKind: this,
      path,
      namespace: this.#intern(path.slice(0, Math.max(0, path.indexOf('/')))),
      revision,
      labels: this.memos.shareLabels(metadata.labels),
      fields: this.config.selectableFields(object),
      uid: metadata.uid ?? '',
      ownerUids: metadata.ownerReferences === undefined ? none : metadata.ownerReferences.map((owner) => owner.uid),
      plain,
      writtenWith,
    });
  }

  #intern(namespace: string): string {
    const known = this.#namespaces.get(namespace);
    if (known !== undefined) return known;
    if (this.#namespaces.size > 100_000) this.#namespaces.clear();
    this.#namespaces.set(namespace, namespace);
    return namespace;
  }
}

/** `writtenWith` of a value that its transformer called stale; never equal to a writeId. */
const readStale = '\u0000stale';
const none: readonly string[] = [];
const noLabels: Readonly<Record<string, string>> = Object.freeze({});
const openingLength = metadataOpening.length;
const revisionOpening = Buffer.from('"resourceVersion":"');
const openBrace = 0x7b;
const closeBrace = 0x7d;
const quote = 0x22;
const comma = 0x2c;
const zero = 0x30;

interface VersionParts {
  readonly objectKind: ObjectKind;
  readonly path: string;
  readonly namespace: string;
  readonly revision: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string>>;
  readonly uid: string;
  readonly ownerUids: readonly string[];
  readonly plain: Buffer;
  readonly writtenWith: string;
}

/** One version of an object in the watch cache: its plaintext bytes and a small index, see `StoredObject`. */
export class ObjectVersion implements StoredObject {
  readonly objectKind: ObjectKind;
  /** The key without the resource's prefix. */
  readonly path: string;
  readonly namespace: string;
  readonly revision: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string>>;
  readonly uid: string;
  readonly ownerUids: readonly string[];
  readonly plain: Buffer;
  /** Of a draft: what it was made from. */
  source: KubeObject | undefined;
  readonly #writtenWith: string;
  #parsed: KubeObject | undefined;

  constructor(parts: VersionParts) {
    this.objectKind = parts.objectKind;
    this.path = parts.path;
    this.namespace = parts.namespace;
    this.revision = parts.revision;
    this.labels = parts.labels;
    this.fields = parts.fields;
    this.uid = parts.uid;
    this.ownerUids = parts.ownerUids;
    this.plain = parts.plain;
    this.#writtenWith = parts.writtenWith;
  }

  get key(): string {
    return this.objectKind.keyPrefix + this.path;
  }

  get name(): string {
    return this.namespace === '' ? this.path : this.path.slice(this.namespace.length + 1);
  }

  get headLength(): number {
    return this.objectKind.layout.head.length;
  }

  get stale(): boolean {
    return this.#writtenWith !== this.objectKind.writeId;
  }

  /** The same content under another revision. */
  at(revision: number): ObjectVersion {
    const { objectKind, path, namespace, labels, fields, uid, ownerUids, plain } = this;
    return new ObjectVersion({
      objectKind,
      path,
      namespace,
      revision,
      labels,
      fields,
      uid,
      ownerUids,
      plain,
      writtenWith: this.#writtenWith,
    });
  }

  /** A draft as it was committed. What is known of it parsed goes over to the new version. */
  committedAt(revision: number): ObjectVersion {
    const version = this.at(revision);
    if (this.source !== undefined) {
      const { apiVersion, kind } = this.objectKind.config;
      const metadata = { ...this.source.metadata, resourceVersion: String(revision) };
      version.#parsed = { ...this.source, apiVersion, kind, metadata };
      this.objectKind.memos.parsed.add(version);
    }
    return version;
  }

  toBytes(withHead: boolean): Uint8Array {
    const bytes = Buffer.allocUnsafe(this.byteLength(withHead));
    this.copyTo(bytes, 0, withHead);
    return bytes;
  }

  byteLength(withHead: boolean): number {
    return this.plain.length + this.#revisionLength() - (withHead ? 0 : this.headLength - 1);
  }

  copyTo(target: Uint8Array, offset: number, withHead: boolean): number {
    const { plain, headLength } = this;
    const metadataStart = headLength + openingLength;
    let at = offset;
    // Short pieces go byte by byte: for them a native copy costs more than it saves.
    if (!withHead) target[at++] = openBrace;
    for (let i = withHead ? 0 : headLength; i < metadataStart; i++) target[at++] = plain[i] ?? 0;
    if (this.revision > 0) at = this.#writeRevision(target, at);
    at += plain.copy(target, at, metadataStart);
    return at - offset;
  }

  decode(): KubeObject {
    const object = decodeObject(this.plain, this.key);
    if (this.revision > 0) object.metadata.resourceVersion = String(this.revision);
    return object;
  }

  peek(): KubeObject {
    if (this.#parsed === undefined) {
      this.#parsed = this.decode();
      this.objectKind.memos.parsed.add(this);
    }
    return this.#parsed;
  }

  get memoBytes(): number {
    return this.plain.length;
  }

  /** Drops the parsed copy. */
  forget(): void {
    this.#parsed = undefined;
  }

  /** Bytes this version keeps in memory, roughly. */
  get memoryBytes(): number {
    return this.plain.length + 512;
  }

  /** Length of `"resourceVersion":"N",`; 0 before the commit. The comma is left out when nothing follows in metadata. */
  #revisionLength(): number {
    if (this.revision === 0) return 0;
    return revisionOpening.length + digitsOf(this.revision) + (this.#metadataIsEmpty ? 1 : 2);
  }

  #writeRevision(target: Uint8Array, offset: number): number {
    let at = offset;
    for (let i = 0; i < revisionOpening.length; i++) target[at++] = revisionOpening[i] ?? 0;
    const end = at + digitsOf(this.revision);
    for (let digit = end - 1, rest = this.revision; digit >= at; digit--) {
      target[digit] = zero + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    at = end;
    target[at++] = quote;
    if (!this.#metadataIsEmpty) target[at++] = comma;
    return at;
  }

  get #metadataIsEmpty(): boolean {
    return this.plain[this.headLength + openingLength] === closeBrace;
  }
}

/** Decimal digits of a positive integer. */
function digitsOf(value: number): number {
  let digits = 1;
  for (let bound = 10; value >= bound; bound *= 10) digits++;
  return digits;
}
