import type { Command } from 'commander';
import { addNodeFlags, type NodeFlags } from '../config/node-flags.ts';
import { addServerFlags, type ServerFlags } from '../config/server-flags.ts';

/** Values of the flags of `coffer up`, parsed: those of its API server and of its node. */
export interface UpFlags extends ServerFlags, NodeFlags {}

export function addUpCommand(program: Command): void {
  const up = program
    .command('up')
    .description('run API server, control loops and node in one process')
    .action(async (flags: UpFlags) => {
      const { runUp } = await import('./run.ts');
      await runUp(flags);
    });
  addServerFlags(up);
  addNodeFlags(up);
}
