/**
 * What the clients of the model test saw: every request with its answer and the moments between which it happened, and every event of
 * every watch. Nothing of the server's code is used to read the answers.
 */
import { createHash } from 'node:crypto';
import { entriesOf, isRecord, own, put, type Tree } from '../json-tree.ts';

/** What the requests of this test can change of an object. */
export interface Content {
  readonly data: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly finalizers: readonly string[];
  /** Its deletion has begun. */
  readonly deleting: boolean;
}

/** One version of an object as an answer or an event showed it. */
export interface Seen {
  readonly name: string;
  readonly uid: string;
  readonly version: number;
  readonly content: Content;
  /** Of the whole object, but for its resourceVersion and what lists leave out. */
  readonly digest: string;
}

export type WriteRequest =
  | { readonly verb: 'create'; readonly name: string; readonly content: Content; readonly dryRun: boolean }
  | { readonly verb: 'update'; readonly name: string; readonly content: Content; readonly version?: number }
  | {
      readonly verb: 'patch';
      readonly type: 'merge' | 'strategic';
      readonly name: string;
      readonly data: Readonly<Record<string, string | null>>;
      readonly labels: Readonly<Record<string, string | null>>;
      readonly dropFinalizers: boolean;
      readonly version?: number;
    }
  | {
      readonly verb: 'json-patch';
      readonly name: string;
      /** Value that `data.v` must have. */
      readonly expected?: string;
      readonly set: Readonly<Record<string, string>>;
      readonly remove?: string;
    }
  | {
      readonly verb: 'apply';
      readonly name: string;
      readonly data: Readonly<Record<string, string>>;
      readonly labels: Readonly<Record<string, string>>;
    }
  | { readonly verb: 'delete'; readonly name: string; readonly version?: number; readonly uid?: string };

interface Timed {
  readonly client: number;
  /** Before the request was sent. */
  readonly startMs: number;
  /** After the answer was read. */
  readonly endMs: number;
}

export interface Write extends Timed {
  readonly kind: 'write';
  readonly request: WriteRequest;
  readonly status: number;
  /** The object in the answer. */
  readonly seen?: Seen;
  /** Of the object that the answer says is deleted. */
  readonly deletedUid?: string;
}

export interface DeleteCollection extends Timed {
  readonly kind: 'delete-collection';
  readonly selector: Selector;
  readonly items: readonly Seen[];
}

export interface Get extends Timed {
  readonly kind: 'get';
  readonly name: string;
  /** `resourceVersion` of the request: no older than this. */
  readonly atLeast?: number;
  readonly status: number;
  readonly seen?: Seen;
}

export interface Page {
  readonly revision: number;
  readonly items: readonly Seen[];
  readonly remaining?: number;
}

export interface List extends Timed {
  readonly kind: 'list';
  readonly selector: Selector;
  readonly limit?: number;
  readonly version?: number;
  readonly match?: 'Exact' | 'NotOlderThan';
  /** All pages; undefined when the revision is no longer kept, and the answer said so. */
  readonly pages: readonly Page[] | undefined;
}

/** Labels that an object must have. */
export type Selector = Readonly<Record<string, string>>;

export type EventType = 'ADDED' | 'MODIFIED' | 'DELETED';

export interface WatchEvent {
  readonly type: EventType | 'BOOKMARK';
  readonly version: number;
  /** When it was read. */
  readonly atMs: number;
  /** Not on bookmarks. */
  readonly seen?: Seen;
  /** The bookmark that ends the initial events. */
  readonly endsInitial?: boolean;
}

/** A watch, resumed from the last version it saw whenever it was cut. */
export interface Watch {
  readonly kind: 'watch';
  readonly client: number;
  readonly startMs: number;
  /** `now` and `any`: the state comes first, as ADDED; `initial` asks for it together with the bookmark that ends it. */
  readonly from: number | 'now' | 'any' | 'initial';
  readonly selector: Selector;
  readonly events: readonly WatchEvent[];
  readonly resumes: number;
  /** It was open until every client had ended, so that it must have seen everything. */
  readonly untilEnd: boolean;
}

export type Operation = Write | DeleteCollection | Get | List;

export interface History {
  /** Revision before the first request. */
  readonly begin: number;
  readonly operations: readonly Operation[];
  /** The first one saw everything from `begin` to the end, and was never cut. */
  readonly watches: readonly Watch[];
  /** Names that the clients write; others of the collection belong to the server's own loops. */
  readonly names: ReadonlySet<string>;
}

export function matches(content: Content, selector: Selector): boolean {
  return entriesOf(selector).every(([key, value]) => own(content.labels, key) === value);
}

/** Reads an object of an answer. */
export function seenOf(object: Tree): Seen {
  const metadata = recordOf(own(object, 'metadata'));
  const rest: Tree = {};
  for (const [key, value] of entriesOf(object)) if (key !== 'apiVersion' && key !== 'kind') put(rest, key, value);
  const { resourceVersion, ...others } = metadata;
  put(rest, 'metadata', others);
  return {
    name: String(metadata.name),
    uid: String(metadata.uid),
    version: Number(resourceVersion),
    content: {
      data: recordOf(own(object, 'data')) as Record<string, string>,
      labels: recordOf(metadata.labels) as Record<string, string>,
      finalizers: (metadata.finalizers as string[] | undefined) ?? [],
      deleting: metadata.deletionTimestamp !== undefined,
    },
    digest: createHash('sha1').update(JSON.stringify(rest)).digest('base64'),
  };
}

function recordOf(value: unknown): Tree {
  return isRecord(value) ? value : {};
}
