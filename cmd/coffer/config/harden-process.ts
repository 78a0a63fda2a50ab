import { writeFileSync } from 'node:fs';

/**
 * Keeps what is in this process's memory to its owner: a core dump of it or its children holds no memory. Nobody else may write
 * files it creates, whatever umask it was started with; what holds secrets is given 0600 or 0700 where it is created (a stricter
 * umask would lock containers of other users out of their own volumes). Call it first.
 */
export function hardenProcess(): void {
  process.umask(0o022);
  try {
    // Bit mask of the kinds of memory that a core dump holds: none.
    writeFileSync('/proc/self/coredump_filter', '0x0\n');
  } catch {
    // no Linux, or a kernel without it: the operator's limits hold
  }
}
