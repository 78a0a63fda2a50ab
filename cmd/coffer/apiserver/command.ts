import type { Command } from 'commander';
import { addServerFlags, type ServerFlags } from '../config/server-flags.ts';

/** `coffer apiserver`: the flags; what it does is in `run.ts`. */
export function addApiServerCommand(program: Command): void {
  const command = program
    .command('apiserver')
    .description('run an API server alone; several may share one etcd and one set of keys')
    .action(async (flags: ServerFlags) => {
      const { runApiServer } = await import('./run.ts');
      await runApiServer(flags);
    });
  addServerFlags(command);
}
