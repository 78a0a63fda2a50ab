/**
 * Sets of field paths, kept in the form that `metadata.managedFields[].fieldsV1` has on the wire, so that reading and writing
 * costs nothing: an object per field, keyed by path elements in canonical order. A field is a member when it has no children or
 * has the marker `.`. Sets are never changed; operations share what stays the same, and return the argument when nothing changes.
 */
import { isRecord } from '../meta/safe-object.ts';
import type { PathElement } from './path-element.ts';
import { canonicalElement, compareElements } from './path-element.ts';

export interface FieldSet {
  readonly [element: PathElement]: FieldSet;
}

type MutableSet = Record<string, FieldSet>;

/** Marks a field with children as a member itself. */
const SELF = '.';
const LEAF: FieldSet = Object.freeze({});

export const EMPTY_SET: FieldSet = LEAF;

/** True when the set has no members. Sets have no fields without members below them. */
export function isEmptySet(set: FieldSet): boolean {
  for (const _ in set) return false;
  return true;
}

/** The set of one path; the empty path gives the empty set. */
export function singlePath(path: readonly PathElement[]): FieldSet {
  let set: FieldSet = LEAF;
  for (let i = path.length - 1; i >= 0; i -= 1) set = { [path[i] ?? '']: set };
  return set;
}

export function hasPath(set: FieldSet, path: readonly PathElement[]): boolean {
  let node: FieldSet = set;
  for (const element of path) {
    const child = node[element];
    if (child === undefined) return false;
    node = child;
  }
  return path.length > 0 && isMember(node);
}

/** True when the field of this element is a member itself (not only something below it). */
export function hasMember(set: FieldSet, element: PathElement): boolean {
  const node = set[element];
  return node !== undefined && isMember(node);
}

/** What the set holds below an element; empty when nothing. */
export function below(set: FieldSet, element: PathElement): FieldSet {
  const node = set[element];
  if (node === undefined) return LEAF;
  return withoutSelf(node);
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmptySet(b)) return a;
  if (isEmptySet(a)) return b;
  return mergeChildren(a, b, {});
}

/** Paths of `a` that are not in `b`. A parent in `b` does not remove the children in `a`. */
export function difference(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmptySet(a) || isEmptySet(b)) return a;
  return differenceChildren(a, b, false, {}) ?? a;
}

/** Paths of `a` that are neither in `b` nor below a member of `b`. */
export function recursiveDifference(a: FieldSet, b: FieldSet): FieldSet {
  if (isEmptySet(a) || isEmptySet(b)) return a;
  return differenceChildren(a, b, true, {}) ?? a;
}

export function intersection(a: FieldSet, b: FieldSet): FieldSet {
  return intersectChildren(a, b, {});
}

export function equalSets(a: FieldSet, b: FieldSet): boolean {
  if (a === b) return true;
  let count = 0;
  for (const element in a) {
    const other = b[element];
    if (other === undefined || !equalSets(a[element] ?? LEAF, other)) return false;
    count += 1;
  }
  for (const _ in b) count -= 1;
  return count === 0;
}

/** All members: at each level first the members in order, then what is below each field. */
export function listPaths(set: FieldSet): PathElement[][] {
  const paths: PathElement[][] = [];
  collectPaths(set, [], paths);
  return paths;
}

/** Reads a set that a client sent: canonical keys and order, unknown kinds of elements dropped. Throws an Error when malformed. */
export function parseFieldSet(value: unknown): FieldSet {
  if (value === undefined || value === null) return LEAF;
  if (!isRecord(value)) throw new Error('fieldsV1 must be an object');
  const builder = new SetBuilder();
  parseInto(value, [], builder);
  return builder.build();
}

/** Collects paths in any order and builds the canonical set. */
export class SetBuilder {
  #root: BuilderNode | undefined;

  /** Adds the first `length` elements of `path`; the empty path is not a field and adds nothing. */
  insert(path: readonly PathElement[], length = path.length): void {
    if (length === 0) return;
    this.#root ??= new BuilderNode();
    let node = this.#root;
    for (let i = 0; i < length; i += 1) node = node.child(path[i] ?? '');
    node.member = true;
  }

  build(): FieldSet {
    return this.#root === undefined ? LEAF : this.#root.build();
  }
}

class BuilderNode {
  member = false;
  #children: Map<PathElement, BuilderNode> | undefined;

  child(element: PathElement): BuilderNode {
    this.#children ??= new Map();
    let node = this.#children.get(element);
    if (node === undefined) {
      node = new BuilderNode();
      this.#children.set(element, node);
    }
    return node;
  }

  build(): FieldSet {
    if (this.#children === undefined) return LEAF;
    const out: MutableSet = this.member ? { [SELF]: LEAF } : {};
    for (const element of inOrder([...this.#children.keys()])) out[element] = this.#children.get(element)?.build() ?? LEAF;
    return out;
  }
}

function isMember(node: FieldSet): boolean {
  return SELF in node || isEmptySet(node);
}

function withoutSelf(node: FieldSet): FieldSet {
  if (!(SELF in node)) return node;
  const out: MutableSet = {};
  for (const element in node) if (element !== SELF) out[element] = node[element] ?? LEAF;
  return out;
}

function inOrder(elements: PathElement[]): PathElement[] {
  for (let i = 1; i < elements.length; i += 1) {
    if (compareElements(elements[i - 1] ?? '', elements[i] ?? '') > 0) return elements.sort(compareElements);
  }
  return elements;
}

/** Union of the children of two nodes, into `out`, in canonical order; `a` itself when `b` adds nothing. */
function mergeChildren(a: FieldSet, b: FieldSet, out: MutableSet): FieldSet {
  const added: PathElement[] = [];
  const grown = new Map<PathElement, FieldSet>();
  for (const element in b) {
    if (element === SELF) continue;
    const left = a[element];
    const right = b[element] ?? LEAF;
    const both = left === undefined ? right : unionNode(left, right);
    if (left === undefined) added.push(element);
    if (both !== left) grown.set(element, both);
  }
  if (grown.size === 0) return a;
  const elements = Object.keys(a).filter((element) => element !== SELF);
  for (const element of added.length === 0 ? elements : inOrder([...elements, ...added])) {
    out[element] = grown.get(element) ?? a[element] ?? LEAF;
  }
  return out;
}

function unionNode(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a;
  const emptyA = isEmptySet(a);
  const emptyB = isEmptySet(b);
  if (emptyA && emptyB) return a;
  if (emptyA) return SELF in b ? b : { [SELF]: LEAF, ...b };
  if (emptyB) return SELF in a ? a : { [SELF]: LEAF, ...a };
  if (SELF in a) return mergeWithSelf(a, b, true);
  return mergeWithSelf(a, b, SELF in b);
}

function mergeWithSelf(a: FieldSet, b: FieldSet, self: boolean): FieldSet {
  const merged = mergeChildren(a, b, self ? { [SELF]: LEAF } : {});
  if (merged === a && self && !(SELF in a)) return { [SELF]: LEAF, ...a };
  return merged;
}

/** Children of `a` without those of `b`, into `out`; undefined when nothing was removed. */
function differenceChildren(a: FieldSet, b: FieldSet, recursive: boolean, out: MutableSet): FieldSet | undefined {
  let changed = false;
  for (const element in a) {
    if (element === SELF) continue;
    const left = a[element] ?? LEAF;
    const right = b[element];
    if (right === undefined) {
      out[element] = left;
      continue;
    }
    const rest = recursive && isMember(right) ? undefined : differenceNode(left, right, recursive);
    if (rest !== left) changed = true;
    if (rest !== undefined) out[element] = rest;
  }
  return changed ? out : undefined;
}

/** What is left of one field; undefined when nothing. */
function differenceNode(a: FieldSet, b: FieldSet, recursive: boolean): FieldSet | undefined {
  const wasMember = isMember(a);
  const member = wasMember && !isMember(b);
  const children = differenceChildren(a, b, recursive, member ? { [SELF]: LEAF } : {});
  if (children === undefined) {
    if (member === wasMember) return a;
    const rest = withoutSelf(a);
    return isEmptySet(rest) ? undefined : rest;
  }
  for (const element in children) if (element !== SELF) return children;
  return member ? LEAF : undefined;
}

function intersectChildren(a: FieldSet, b: FieldSet, out: MutableSet): FieldSet {
  for (const element in a) {
    if (element === SELF) continue;
    const right = b[element];
    if (right === undefined) continue;
    const left = a[element] ?? LEAF;
    const member = isMember(left) && isMember(right);
    const children = intersectChildren(left, right, member ? { [SELF]: LEAF } : {});
    let hasChildren = false;
    for (const child in children) if (child !== SELF) hasChildren = true;
    if (hasChildren) out[element] = children;
    else if (member) out[element] = LEAF;
  }
  return out;
}

function collectPaths(set: FieldSet, prefix: readonly PathElement[], paths: PathElement[][]): void {
  for (const element in set) {
    if (element !== SELF && isMember(set[element] ?? LEAF)) paths.push([...prefix, element]);
  }
  for (const element in set) {
    const node = set[element] ?? LEAF;
    if (element !== SELF && !isEmptySet(node)) collectPaths(node, [...prefix, element], paths);
  }
}

function parseInto(value: Readonly<Record<string, unknown>>, path: PathElement[], builder: SetBuilder): void {
  let children = 0;
  for (const key of Object.keys(value)) {
    if (key === SELF) {
      builder.insert(path);
      continue;
    }
    const element = canonicalElement(key);
    if (element === undefined) continue;
    children += 1;
    const child = value[key];
    path.push(element);
    if (isRecord(child)) parseInto(child, path, builder);
    else builder.insert(path);
    path.pop();
  }
  if (children === 0) builder.insert(path);
}
