import type { Command } from 'commander';
import { addLogFlag, type LogFlags } from '../config/log-flag.ts';
import { addNodeFlags, type NodeFlags } from '../config/node-flags.ts';
import { defaultDataDir } from '../config/server-flags.ts';

export interface KubeletFlags extends NodeFlags, LogFlags {
  readonly dataDir: string;
  readonly kubeconfig: string;
}

/** `coffer kubelet`: the flags; what it does is in `run.ts`. */
export function addKubeletCommand(program: Command): void {
  const command = program
    .command('kubelet')
    .description('run a node alone, for the API server of a kubeconfig')
    .requiredOption('--kubeconfig <file>', 'API server and credentials of this node (user system:node:NAME, group system:nodes)')
    .option('--data-dir <dir>', 'pod directories and state of the runtime', defaultDataDir)
    .action(async (flags: KubeletFlags) => {
      const { runKubelet } = await import('./run.ts');
      await runKubelet(flags);
    });
  addNodeFlags(command);
  addLogFlag(command);
}
