/** The checks of a hostPath volume's `type`, and the creation it may ask for. Messages as upstream. */

import type { Stats } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';
import { getSystemErrorMap } from 'node:util';

type FileKind = 'Directory' | 'File' | 'Socket' | 'CharDevice' | 'BlockDevice';

/** What a path is made to be where nothing is there. */
const made: ReadonlyMap<string, FileKind> = new Map([
  ['DirectoryOrCreate', 'Directory'],
  ['FileOrCreate', 'File'],
]);

const descriptions: ReadonlyMap<FileKind, string> = new Map([
  ['Directory', 'directory'],
  ['File', 'file'],
  ['Socket', 'socket file'],
  ['CharDevice', 'character device'],
  ['BlockDevice', 'block device'],
]);

/** Throws when the path is not what `type` says; makes it for `DirectoryOrCreate` and `FileOrCreate`. */
export async function checkHostPath(path: string, type: string | undefined): Promise<void> {
  if (type === undefined || type === '') return;
  const makes = made.get(type);
  const wanted = makes ?? [...descriptions.keys()].find((kind) => kind === type);
  if (wanted === undefined) throw new Error(`${type} is an invalid volume type`);
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) {
    if (makes === undefined) throw new Error(`hostPath ${path} doesn't exist`);
    return make(path, makes);
  }
  const kind = kindOf(found);
  if (kind === wanted) return;
  const description = descriptions.get(wanted);
  if (kind === undefined) {
    const known = 'only recognise file, directory, socket, block device and character device';
    throw new Error(`hostPath type check failed, ${path} is not a ${description}, unable to determine its type: ${known}`);
  }
  throw new Error(`hostPath type check failed: ${path} is not a ${description}, it's a ${kind}`);
}

function kindOf(found: Stats): FileKind | undefined {
  if (found.isDirectory()) return 'Directory';
  if (found.isFile()) return 'File';
  if (found.isSocket()) return 'Socket';
  if (found.isCharacterDevice()) return 'CharDevice';
  return found.isBlockDevice() ? 'BlockDevice' : undefined;
}

async function make(path: string, kind: FileKind): Promise<void> {
  try {
    if (kind === 'Directory') await mkdir(path, { recursive: true, mode: 0o755 });
    else await (await open(path, 'a', 0o644)).close();
  } catch (error) {
    throw inWordsOfGo(error, path);
  }
}

/** `mkdir PATH: not a directory`. */
function inWordsOfGo(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !('errno' in error) || !('syscall' in error)) return error;
  const text = getSystemErrorMap().get(Number(error.errno))?.[1] ?? error.message;
  return new Error(`${String(error.syscall)} ${path}: ${text}`, { cause: error });
}
