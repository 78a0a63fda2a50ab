import type { StoredObject, StoreEvent } from '../store/store.ts';
import type { ObjectVersion } from './object-version.ts';

/**
 * One committed change of an object, and the (at most three) ways a selection can see it. Each way is made once and shared by
 * all watches, its line too while it is new.
 */
export class Change {
  readonly revision: number;
  /** State before; undefined when it did not exist, or could not be read. */
  readonly before: ObjectVersion | undefined;
  /** State after; undefined when it was deleted. */
  readonly after: ObjectVersion | undefined;
  #added: StoreEvent | undefined;
  #modified: StoreEvent | undefined;
  #deleted: StoreEvent | undefined;

  constructor(revision: number, before: ObjectVersion | undefined, after: ObjectVersion | undefined) {
    if ((after ?? before) === undefined) throw new Error('a change has a state before or after it');
    this.revision = revision;
    this.before = before;
    this.after = after;
  }

  get path(): string {
    return this.#subject?.path ?? '';
  }

  get namespace(): string {
    return this.#subject?.namespace ?? '';
  }

  get name(): string {
    return this.#subject?.name ?? '';
  }

  get #subject(): ObjectVersion | undefined {
    return this.after ?? this.before;
  }

  /** The event for a selection with this predicate; undefined when it sees nothing of the change. */
  seenBy(matches: ((object: StoredObject) => boolean) | undefined): StoreEvent | undefined {
    const matchedBefore = this.before !== undefined && (matches === undefined || matches(this.before));
    const matchesAfter = this.after !== undefined && (matches === undefined || matches(this.after));
    if (matchesAfter && this.after !== undefined) {
      if (matchedBefore) {
        this.#modified ??= new ObjectEvent('MODIFIED', this.after);
        return this.#modified;
      }
      this.#added ??= new ObjectEvent('ADDED', this.after);
      return this.#added;
    }
    if (!matchedBefore || this.before === undefined) return undefined;
    // A DELETED event shows the last state that matched, under the revision at which that ended.
    this.#deleted ??= new ObjectEvent('DELETED', this.before.at(this.revision));
    return this.#deleted;
  }

  get memoryBytes(): number {
    return 128 + (this.before?.memoryBytes ?? 0);
  }
}

/** An event and its line on the wire, which is kept only while the event is recent. */
export class ObjectEvent implements StoreEvent {
  readonly type: StoreEvent['type'];
  readonly object: ObjectVersion;
  #line: Uint8Array | undefined;

  constructor(type: StoreEvent['type'], object: ObjectVersion) {
    this.type = type;
    this.object = object;
  }

  line(): Uint8Array {
    if (this.#line === undefined) {
      this.#line = eventLine(this.type, this.object);
      this.object.objectKind.memos.lines.add(this);
    }
    return this.#line;
  }

  get memoBytes(): number {
    return this.object.plain.length;
  }

  forget(): void {
    this.#line = undefined;
  }
}

function eventLine(type: StoreEvent['type'], object: ObjectVersion): Uint8Array {
  const opening = `{"type":"${type}","object":`;
  const length = object.byteLength(true);
  const line = Buffer.allocUnsafe(opening.length + length + 2);
  line.write(opening, 0, opening.length, 'latin1');
  object.copyTo(line, opening.length, true);
  line.write('}\n', opening.length + length, 2, 'latin1');
  return line;
}

/** ADDED events of an initial state, for one watch. */
export function initialEvent(object: ObjectVersion): StoreEvent {
  return new ObjectEvent('ADDED', object);
}
