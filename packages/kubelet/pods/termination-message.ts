/** What a container leaves as its last words: its termination message file, or the end of its log. Never rejects. */
import { open } from 'node:fs/promises';
import type { ContainerStatus } from '@coffer/cri/runtime/container-runtime';
import { tailText } from '../logs/log-lines.ts';
import { factsOf } from '../runtime/labels.ts';

const maxMessageBytes = 4096;
const maxFallbackBytes = 2048;
const maxFallbackLines = 80;

/** `logFile` is the container's log in full. */
export async function terminationMessage(container: ContainerStatus, logFile: string): Promise<string> {
  const facts = factsOf(container);
  const path = facts.terminationMessageFile;
  let text = '';
  if (path !== undefined) {
    try {
      text = await readStart(path, maxMessageBytes);
    } catch (error) {
      if (!isMissing(error)) return `Error on reading termination log ${path}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
  const fallback =
    facts.terminationMessagePolicy === 'FallbackToLogsOnError' && container.exitCode !== 0 && container.reason !== 'ContainerCannotRun';
  if (text !== '' || !fallback) return text;
  try {
    return await tailText(logFile, maxFallbackLines, maxFallbackBytes);
  } catch (error) {
    return isMissing(error)
      ? ''
      : `Error on reading termination message from logs: ${error instanceof Error ? error.message : String(error)}`;
  }
}

async function readStart(path: string, bytes: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const buffer = Buffer.alloc(bytes);
    const { bytesRead } = await file.read(buffer, 0, bytes, 0);
    return buffer.subarray(0, bytesRead).toString('utf8');
  } finally {
    await file.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
