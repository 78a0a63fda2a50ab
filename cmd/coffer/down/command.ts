import type { Command } from 'commander';
import { defaultDataDir } from '../config/server-flags.ts';

/** `coffer down`: the flags; what it does is in `run.ts`. */
export function addDownCommand(program: Command): void {
  program
    .command('down')
    .description('stop the pods and the server of a data directory')
    .option('--data-dir <dir>', 'the directory `coffer up` uses', defaultDataDir)
    .action(async (flags: { readonly dataDir: string }) => {
      const { runDown } = await import('./run.ts');
      await runDown(flags.dataDir);
    });
}
