/** One to three random changes of a valid object, the kind of mistakes that people, templates and attackers make. */
import { entriesOf, isRecord, put, type Tree } from './json-tree.ts';

const oddValues: readonly (() => unknown)[] = [
  ...[null, true, false, 0, -1, 1.5, 2 ** 31, 1e21, '', ' ', 'x', 'a/b/c', '../../etc', '..', 'Ünïcode 😀', 'nul\u0000'].map(
    (value) => () => value,
  ),
  ...['line\nbreak', 'x'.repeat(300), 'A'.repeat(64), '__proto__', '2020-01-01T00:00:00Z', '2020-13-45T99:00:00Z'].map(
    (value) => () => value,
  ),
  ...['100m', '1e1000000', '-5Gi', 'dGVzdA==', 'dGVzdA', '%s%n{{.}}$(X)'].map((value) => () => value),
  () => [],
  () => [null],
  () => ['x', 'x'],
  () => [[1]],
  () => ({}),
  () => ({ x: 'y' }),
  () => ({ 'bad key': 'y' }),
  () => ({ x: null }),
  () => ({ constructor: 'own', toString: 'own' }),
];
const oddKeys = [
  ...['constructor', 'toString', '__proto__', 'hasOwnProperty', 'bad key', 'x/y/z', '', '..', 'Name', 'ä', 'unknownField'],
  'k'.repeat(260),
];

export function pick<T>(random: () => number, from: readonly T[]): T {
  const chosen = from[Math.floor(random() * from.length)];
  if (chosen === undefined) throw new Error('nothing to pick from');
  return chosen;
}

/** Changes `object` in place; returns what was done where. */
export function mutate(random: () => number, object: Tree): string[] {
  return Array.from({ length: 1 + Math.floor(random() * 3) }, () => mutateOnce(random, object));
}

function mutateOnce(random: () => number, object: Tree): string {
  const places = placesOf(object, '');
  if (places.length === 0) return 'nothing left';
  const { holder, key, path } = pick(random, places);
  const value = (): unknown => limited(path, pick(random, oddValues)());
  if (Array.isArray(holder)) {
    const index = Number(key);
    switch (Math.floor(random() * 3)) {
      case 0:
        holder.splice(index, 1);
        return `remove ${path}`;
      case 1:
        holder.push(structuredClone(holder[index]));
        return `repeat ${path}`;
      default:
        holder[index] = value();
        return `set ${path}`;
    }
  }
  switch (Math.floor(random() * 8)) {
    case 0:
      delete holder[key];
      return `remove ${path}`;
    case 1: {
      const moved = holder[key];
      delete holder[key];
      put(holder, pick(random, oddKeys), moved);
      return `rename ${path}`;
    }
    case 2:
      put(holder, pick(random, oddKeys), value());
      return `add beside ${path}`;
    default:
      put(holder, key, value());
      return `set ${path}`;
  }
}

/** A huge number of replicas would be honest work for the loops, not a test of the input. */
function limited(path: string, value: unknown): unknown {
  return path.endsWith('replicas') && typeof value === 'number' && value > 1 ? 1 : value;
}

interface Place {
  readonly holder: Tree | unknown[];
  readonly key: string;
  readonly path: string;
}

function placesOf(node: unknown, path: string): Place[] {
  const holder = Array.isArray(node) || isRecord(node) ? node : {};
  const children = Array.isArray(holder) ? holder.map((item, i): [string, unknown] => [String(i), item]) : entriesOf(holder);
  return children.flatMap(([key, value]) => {
    const at = path === '' ? key : `${path}.${key}`;
    return [{ holder, key, path: at }, ...placesOf(value, at)];
  });
}
