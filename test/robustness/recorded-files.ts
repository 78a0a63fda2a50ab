import { dirname } from 'node:path';

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
  | { readonly type: 'link'; readonly from: string; readonly path: string }
  | { readonly type: 'unlink'; readonly path: string }
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
    const [, name = '', first = ''] = /^(\w+)\(([^,)]*)/.exec(call) ?? [];
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
      case 'link': {
        const [from, path] = bytesIn(call).map(String);
        if (result === 0 && from !== undefined && path?.startsWith(directory)) operations.push({ type: 'link', from, path });
        return;
      }
      case 'unlink': {
        const path = bytesIn(call)[0]?.toString() ?? '';
        if (result === 0 && path.startsWith(directory)) operations.push({ type: 'unlink', path });
        return;
      }
      case 'ftruncate':
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
}

/** A name of a file in its directory; a change of it is durable when the directory was synced. */
interface Entry {
  readonly file: FileState;
  state: 'created' | 'durable' | 'removed';
}

/** Replays a recording and gives, at any point, one of the states a power cut could leave. */
export class DiskReplay {
  readonly #directory: string;
  readonly #entries = new Map<string, Entry>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  apply(operation: FileOperation): void {
    switch (operation.type) {
      case 'said':
        return;
      case 'open':
        this.#fileAt(operation.path);
        return;
      case 'link':
        this.#entries.set(operation.path, { file: this.#fileAt(operation.from), state: 'created' });
        return;
      case 'unlink': {
        const entry = this.#entries.get(operation.path);
        if (entry !== undefined) entry.state = 'removed';
        return;
      }
      case 'write':
        this.#fileAt(operation.path).pending.push(operation);
        return;
      case 'sync': {
        const entry = this.#entries.get(operation.path);
        if (entry === undefined) {
          this.#syncDirectory(operation.path);
          return;
        }
        for (const write of entry.file.pending) entry.file.durable = applied(entry.file.durable, write.offset, write.data);
        entry.file.pending = [];
        return;
      }
      case 'sync-write': {
        const file = this.#fileAt(operation.path);
        const last = file.pending.pop();
        if (last !== undefined) file.durable = applied(file.durable, last.offset, last.data);
        return;
      }
    }
  }

  /** What lies on the disk after a power cut now; path below the directory → content. */
  cut(random: () => number): Map<string, Buffer> {
    const contents = new Map<FileState, Buffer>();
    const disk = new Map<string, Buffer>();
    for (const [path, { file, state }] of this.#entries) {
      if (state !== 'durable' && random() < 0.5) continue;
      const content = contents.get(file) ?? contentAfterCut(file, random);
      contents.set(file, content);
      disk.set(path.slice(this.#directory.length + 1), content);
    }
    return disk;
  }

  #fileAt(path: string): FileState {
    const known = this.#entries.get(path);
    if (known !== undefined && known.state !== 'removed') return known.file;
    const file: FileState = { durable: Buffer.alloc(0), pending: [] };
    this.#entries.set(path, { file, state: 'created' });
    return file;
  }

  #syncDirectory(directory: string): void {
    for (const [path, entry] of this.#entries) {
      if (dirname(path) !== directory) continue;
      if (entry.state === 'removed') this.#entries.delete(path);
      else entry.state = 'durable';
    }
  }
}

function contentAfterCut(file: FileState, random: () => number): Buffer {
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
  return content;
}

function applied(content: Buffer, offset: number, data: Buffer): Buffer {
  const result = Buffer.alloc(Math.max(content.length, offset + data.length));
  content.copy(result);
  data.copy(result, offset);
  return result;
}
