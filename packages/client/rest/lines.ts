/** Cuts a stream of bytes into lines without copying a line that came in one piece. */
const decoder = new TextDecoder();

/** Yields the lines of every chunk together, so that a burst is handed over in one step. Empty lines are dropped. */
export async function* lineBatches(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  let pending: Uint8Array[] = [];
  for await (const chunk of chunks) {
    const lines: string[] = [];
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(10, start);
      if (end < 0) break;
      const piece = chunk.subarray(start, end);
      const line = pending.length === 0 ? decoder.decode(piece) : decoder.decode(Buffer.concat([...pending, piece]));
      pending = [];
      if (line !== '') lines.push(line);
      start = end + 1;
    }
    if (start < chunk.length) pending.push(chunk.subarray(start));
    if (lines.length > 0) yield lines;
  }
  if (pending.length > 0) {
    const line = decoder.decode(Buffer.concat(pending));
    if (line !== '') yield [line];
  }
}
