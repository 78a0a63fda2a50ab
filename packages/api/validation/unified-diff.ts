/**
 * Line differences in unified format, without file names, three lines of context. Matching follows Ratcliff and Obershelp with the
 * rule that lines which are very frequent in a long text do not start a match, as Python's difflib and its ports do: the same
 * input gives the same hunks.
 */

interface Block {
  readonly a: number;
  readonly b: number;
  readonly size: number;
}

interface Edit {
  readonly equal: boolean;
  readonly aStart: number;
  readonly aEnd: number;
  readonly bStart: number;
  readonly bEnd: number;
}

const contextLines = 3;

/** Hunks with `@@` headers; every line ends with a line feed. Empty when nothing differs. */
export function unifiedDiff(a: readonly string[], b: readonly string[]): string {
  let out = '';
  for (const hunk of groupEdits(edits(a, b))) {
    const first = hunk[0];
    const last = hunk[hunk.length - 1];
    if (first === undefined || last === undefined) continue;
    out += `@@ -${range(first.aStart, last.aEnd)} +${range(first.bStart, last.bEnd)} @@\n`;
    for (const edit of hunk) {
      const removed = a.slice(edit.aStart, edit.aEnd);
      if (edit.equal) out += removed.map((line) => ` ${line}\n`).join('');
      else {
        const added = b.slice(edit.bStart, edit.bEnd);
        out += removed.map((line) => `-${line}\n`).join('') + added.map((line) => `+${line}\n`).join('');
      }
    }
  }
  return out;
}

function range(start: number, end: number): string {
  const length = end - start;
  if (length === 1) return `${start + 1}`;
  return `${length === 0 ? start : start + 1},${length}`;
}

function edits(a: readonly string[], b: readonly string[]): Edit[] {
  const result: Edit[] = [];
  let i = 0;
  let j = 0;
  for (const block of [...matchingBlocks(a, b), { a: a.length, b: b.length, size: 0 }]) {
    if (i < block.a || j < block.b) result.push({ equal: false, aStart: i, aEnd: block.a, bStart: j, bEnd: block.b });
    i = block.a + block.size;
    j = block.b + block.size;
    if (block.size > 0) result.push({ equal: true, aStart: block.a, aEnd: i, bStart: block.b, bEnd: j });
  }
  return result;
}

/** Cuts long equal runs so that each group has at most three equal lines at its ends. */
function groupEdits(all: readonly Edit[]): Edit[][] {
  if (!all.some((edit) => !edit.equal)) return [];
  const groups: Edit[][] = [];
  let group: Edit[] = [];
  all.forEach((edit, index) => {
    if (!edit.equal) {
      group.push(edit);
      return;
    }
    const length = edit.aEnd - edit.aStart;
    const isFirst = index === 0;
    const isLast = index === all.length - 1;
    const head = isFirst ? 0 : contextLines;
    const tail = isLast ? 0 : contextLines;
    if (!isFirst && !isLast && length <= head + tail) {
      group.push(edit);
      return;
    }
    if (head > 0) group.push(slice(edit, 0, Math.min(head, length)));
    if (group.length > 0) groups.push(group);
    group = tail > 0 ? [slice(edit, Math.max(length - tail, 0), length)] : [];
  });
  if (group.some((edit) => !edit.equal)) groups.push(group);
  return groups;
}

function slice(edit: Edit, from: number, to: number): Edit {
  return { equal: true, aStart: edit.aStart + from, aEnd: edit.aStart + to, bStart: edit.bStart + from, bEnd: edit.bStart + to };
}

/** Maximal equal runs in order, adjacent ones joined. */
function matchingBlocks(a: readonly string[], b: readonly string[]): Block[] {
  const positions = linePositions(b);
  const found: Block[] = [];
  const queue: [number, number, number, number][] = [[0, a.length, 0, b.length]];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const [aStart, aEnd, bStart, bEnd] = next;
    const match = longestMatch(a, b, positions, aStart, aEnd, bStart, bEnd);
    if (match.size === 0) continue;
    found.push(match);
    if (aStart < match.a && bStart < match.b) queue.push([aStart, match.a, bStart, match.b]);
    if (match.a + match.size < aEnd && match.b + match.size < bEnd) queue.push([match.a + match.size, aEnd, match.b + match.size, bEnd]);
  }
  found.sort((x, y) => x.a - y.a);
  const joined: Block[] = [];
  for (const block of found) {
    const last = joined[joined.length - 1];
    if (last !== undefined && last.a + last.size === block.a && last.b + last.size === block.b) {
      joined[joined.length - 1] = { a: last.a, b: last.b, size: last.size + block.size };
    } else joined.push(block);
  }
  return joined;
}

/** Where each line stands in `b`; lines that are in more than about 1 % of a text of 200 lines or more are left out. */
function linePositions(b: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const positions = new Map<string, number[]>();
  b.forEach((line, j) => {
    const known = positions.get(line);
    if (known === undefined) positions.set(line, [j]);
    else known.push(j);
  });
  if (b.length < 200) return positions;
  const limit = Math.floor(b.length / 100) + 1;
  return new Map([...positions].filter(([, list]) => list.length <= limit));
}

function longestMatch(
  a: readonly string[],
  b: readonly string[],
  positions: ReadonlyMap<string, readonly number[]>,
  aStart: number,
  aEnd: number,
  bStart: number,
  bEnd: number,
): Block {
  let best: Block = { a: aStart, b: bStart, size: 0 };
  let lengths = new Map<number, number>();
  for (let i = aStart; i < aEnd; i++) {
    const next = new Map<number, number>();
    for (const j of positions.get(a[i] ?? '') ?? []) {
      if (j < bStart) continue;
      if (j >= bEnd) break;
      const size = (lengths.get(j - 1) ?? 0) + 1;
      next.set(j, size);
      if (size > best.size) best = { a: i - size + 1, b: j - size + 1, size };
    }
    lengths = next;
  }
  // Frequent lines may extend a match on both sides.
  let { a: start, b: other, size } = best;
  while (start > aStart && other > bStart && a[start - 1] === b[other - 1]) {
    start--;
    other--;
    size++;
  }
  while (start + size < aEnd && other + size < bEnd && a[start + size] === b[other + size]) size++;
  return { a: start, b: other, size };
}
