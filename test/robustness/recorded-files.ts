/**
 * Files as a power cut leaves them, from a recording of the system calls that wrote them (strace -f -xx). What was synced is
 * there; of what was written since, any part may be: each write wholly, not at all, or some of its 512 byte sectors.
 */
export type FileOperation =
  | { readonly type: 'open'; readonly path: string }
  | { readonly type: 'write'; readonly path: string; readonly offset: number; readonly data: Buffer }
  /** Writes of this file (of the directory: its entries) made so far are durable. */
  | { readonly type: 'sync'; readonly path: string }
  /** The last write of this file is durable; earlier ones need not be. */
  | { readonly type: 'sync-write'; readonly path: string }
  /** The program said this to the outside. */
  | { readonly type: 'said'; readonly line: string };

const sectorBytes = 512;

/** Reads a recording; only what concerns files below `directory` and standard output is kept. */
export function parseRecording(text: string, directory: string): FileOperation[] {
  const operations: FileOperation[] = [];
  const open = new Map<number, { readonly path: string; readonly synchronous: boolean; position: number }>();
  const unfinished = new Map<string, string>();
  let said = '';
  for (const line of text.split('\n')) {
    const [, pid = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    const begun = rest.endsWith(' <unfinished ...>') ? rest.slice(0, -' <unfinished ...>'.length) : undefined;
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    if (begun !== undefined) {
      unfinished.set(pid, begun);
      // Data that is on its way to the disk may be there already.
      if (isWrite(begun)) record(begun, 'begin');
      continue;
    }
    if (resumed !== null) {
      const start = unfinished.get(pid) ?? '';
      record(start + (resumed[1] ?? ''), isWrite(start) ? 'end' : 'both');
    } else {
      record(rest, 'both');
    }
  }
  return operations;

  function record(call: string, part: 'begin' | 'end' | 'both'): void {
    const [, name = '', first = ''] = /^(\w+)\((\w+)/.exec(call) ?? [];
    const result = Number(/= (-?\d+)[^=]*$/.exec(call)?.[1] ?? Number.NaN);
    const file = open.get(Number(first));
    switch (name) {
      case 'openat': {
        const path = bytesIn(call)[0]?.toString() ?? '';
        if (result < 0 || !path.startsWith(directory)) open.delete(result);
        else {
          open.set(result, { path, synchronous: /O_D?SYNC/.test(call), position: 0 });
          if (call.includes('O_CREAT')) operations.push({ type: 'open', path });
        }
        return;
      }
      case 'close':
        if (part !== 'begin') open.delete(Number(first));
        return;
      case 'fsync':
      case 'fdatasync':
        if (file !== undefined && result === 0) operations.push({ type: 'sync', path: file.path });
        return;
      case 'lseek':
        if (file !== undefined && result >= 0) file.position = result;
        return;
      case 'write':
      case 'writev':
      case 'pwrite64':
      case 'pwritev':
        if (file !== undefined) recordWrite(name, call, file, part);
        else if (first === '1') recordSaid(call);
        return;
      case 'ftruncate':
      case 'symlink':
      case 'unlink':
      case 'mkdir':
        return;
      default:
        if (file !== undefined) throw new Error(`the recording has a call this test does not know: ${call.slice(0, 80)}`);
    }
  }

  function recordWrite(
    name: string,
    call: string,
    file: { readonly path: string; readonly synchronous: boolean; position: number },
    part: string,
  ): void {
    if (part !== 'end') {
      const data = Buffer.concat(bytesIn(call));
      const atPosition = !name.startsWith('p');
      const offset = atPosition ? file.position : Number(/, (\d+)\)?(?: += .*)?$/.exec(call)?.[1]);
      if (!Number.isSafeInteger(offset)) throw new Error(`the recording has a call without an offset: ${call.slice(-80)}`);
      if (atPosition) file.position += data.length;
      operations.push({ type: 'write', path: file.path, offset, data });
    }
    if (part !== 'begin' && file.synchronous) operations.push({ type: 'sync-write', path: file.path });
  }

  function recordSaid(call: string): void {
    said += bytesIn(call)[0]?.toString() ?? '';
    const lines = said.split('\n');
    said = lines.pop() ?? '';
    for (const line of lines) operations.push({ type: 'said', line });
  }
}

function isWrite(call: string): boolean {
  return /^p?writev?(64)?\(/.test(call);
}

/** The strings of a call, as bytes. */
function bytesIn(call: string): Buffer[] {
  return [...call.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map(([, escaped = '']) => Buffer.from(escaped.replaceAll('\\x', ''), 'hex'));
}

interface FileState {
  durable: Buffer;
  pending: { readonly offset: number; readonly data: Buffer }[];
  /** The directory entry is durable. */
  entry: boolean;
}

/** Replays a recording and gives, at any point, one of the states a power cut could leave. */
export class DiskReplay {
  readonly #directory: string;
  readonly #files = new Map<string, FileState>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  apply(operation: FileOperation): void {
    if (operation.type === 'said') return;
    if (operation.path === this.#directory) {
      if (operation.type === 'sync') for (const file of this.#files.values()) file.entry = true;
      return;
    }
    const file = this.#files.get(operation.path) ?? { durable: Buffer.alloc(0), pending: [], entry: false };
    this.#files.set(operation.path, file);
    switch (operation.type) {
      case 'open':
        return;
      case 'write':
        file.pending.push(operation);
        return;
      case 'sync':
        for (const write of file.pending) file.durable = applied(file.durable, write.offset, write.data);
        file.pending = [];
        return;
      case 'sync-write': {
        const last = file.pending.pop();
        if (last !== undefined) file.durable = applied(file.durable, last.offset, last.data);
        return;
      }
    }
  }

  /** What lies on the disk after a power cut now; file name → content. */
  cut(random: () => number): Map<string, Buffer> {
    const disk = new Map<string, Buffer>();
    for (const [path, file] of this.#files) {
      if (!file.entry && random() < 0.5) continue;
      let content = file.durable;
      for (const { offset, data } of file.pending) {
        const chance = random();
        if (chance < 0.3) continue;
        if (chance < 0.6) {
          content = applied(content, offset, data);
          continue;
        }
        for (let at = 0; at < data.length; ) {
          const next = Math.min(data.length, at + sectorBytes - ((offset + at) % sectorBytes));
          if (random() < 0.5) content = applied(content, offset + at, data.subarray(at, next));
          at = next;
        }
      }
      disk.set(path.slice(this.#directory.length + 1), content);
    }
    return disk;
  }
}

function applied(content: Buffer, offset: number, data: Buffer): Buffer {
  const result = Buffer.alloc(Math.max(content.length, offset + data.length));
  content.copy(result);
  data.copy(result, offset);
  return result;
}
