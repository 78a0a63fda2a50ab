/** Processes that the launch program has written down as `PID START` (holder-script.ts): numbers are used again, a start is not. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { sendSignal } from './signals.ts';

export interface HeldProcess {
  readonly pid: number;
  /** In the machine's clock ticks since it was switched on. */
  readonly start: number;
}

/** What the file lists; nothing when there is none. */
export async function heldProcesses(file: string): Promise<HeldProcess[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .map((line) => line.split(' ').map(Number))
    .flatMap(([pid, start]) => (pid && start ? [{ pid, start }] : []));
}

/** Whether it is still that process. */
export function isAlive({ pid, start }: HeldProcess): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return fields[0] !== 'Z' && Number(fields[19]) === start;
  } catch {
    return false;
  }
}

/** Ends those of the file that still are what they were. */
export async function endHeldProcesses(file: string): Promise<void> {
  for (const held of await heldProcesses(file)) if (isAlive(held)) sendSignal(held.pid, 'SIGKILL');
}
