/** Yields the lines of every chunk together, so that a burst is decoded and handed over in one step. Empty lines are dropped. */
export async function* lineBatches(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string[]> {
  let pending: Uint8Array[] = [];
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(10) + 1;
    if (end > 0) {
      const complete = chunk.subarray(0, end);
      const lines = linesOf(pending.length === 0 ? complete : Buffer.concat([...pending, complete]));
      pending = [];
      if (lines.length > 0) yield lines;
    }
    if (end < chunk.length) pending.push(chunk.subarray(end));
  }
  if (pending.length > 0) {
    const lines = linesOf(Buffer.concat(pending));
    if (lines.length > 0) yield lines;
  }
}

function linesOf(bytes: Uint8Array): string[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  return text.split('\n').filter((line) => line !== '');
}
