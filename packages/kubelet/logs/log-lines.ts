/** Lines of CRI log files: `<RFC 3339 time> <stream> <P|F> <text>`. A line that the runtime split carries `P` on all parts but the last. */
import { type FileHandle, open } from 'node:fs/promises';

export interface LogLine {
  /** As written, with nanoseconds. */
  readonly time: string;
  readonly stream: 'stdout' | 'stderr';
  /** False when the container's line goes on in the next record. */
  readonly complete: boolean;
  readonly text: Uint8Array;
}

const space = 0x20;

/** Parses one line without its newline; undefined for what is not a log line (a torn write). */
export function parseLogLine(line: Uint8Array): LogLine | undefined {
  const first = line.indexOf(space);
  const second = first < 0 ? -1 : line.indexOf(space, first + 1);
  const third = second < 0 ? -1 : line.indexOf(space, second + 1);
  if (third < 0) return undefined;
  const ascii = (from: number, to: number) => Buffer.from(line.buffer, line.byteOffset + from, to - from).toString('latin1');
  const stream = ascii(first + 1, second);
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  const tags = ascii(second + 1, third).split(':');
  return { time: ascii(0, first), stream, complete: tags[0] !== 'P', text: line.subarray(third + 1) };
}

const blockBytes = 64 * 1024;

/** Offset in the file from which its last `lines` lines start; a line without its newline counts. */
export async function offsetOfLastLines(file: FileHandle, size: number, lines: number): Promise<number> {
  if (lines <= 0) return size;
  let found = 0;
  const buffer = Buffer.alloc(blockBytes);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - blockBytes);
    const { bytesRead } = await file.read(buffer, 0, end - start, start);
    for (let i = bytesRead - 1; i >= 0; i--) {
      if (buffer[i] !== 0x0a) continue;
      // The newline that ends the file ends its last line, it does not start another.
      if (start + i === size - 1) continue;
      if (++found === lines) return start + i + 1;
    }
    end = start;
  }
  return 0;
}

/** The end of what a container wrote: at most so many lines and bytes. */
export async function tailText(path: string, maxLines: number, maxBytes: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const from = await offsetOfLastLines(file, size, maxLines);
    const length = Math.min(size - from, 4 * maxBytes + maxLines * 64);
    const buffer = Buffer.alloc(length);
    await file.read(buffer, 0, length, size - length);
    const parts: Uint8Array[] = [];
    for (const line of splitLines(buffer)) {
      const parsed = parseLogLine(line);
      if (parsed === undefined) continue;
      parts.push(parsed.text);
      if (parsed.complete) parts.push(Buffer.from('\n'));
    }
    const all = Buffer.concat(parts);
    return all.subarray(Math.max(0, all.length - maxBytes)).toString('utf8');
  } finally {
    await file.close();
  }
}

function* splitLines(bytes: Uint8Array): Generator<Uint8Array> {
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
    yield bytes.subarray(start, end);
    start = end + 1;
  }
  if (start < bytes.length) yield bytes.subarray(start);
}
