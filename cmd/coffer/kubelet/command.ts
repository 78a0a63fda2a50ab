import type { Command } from 'commander';
import { addLogFlag, type LogFlags } from '../config/log-flag.ts';
import { addNodeFlags, type NodeFlags } from '../config/node-flags.ts';
import { parseInteger, parseList } from '../config/parse.ts';
import { defaultDataDir } from '../config/server-flags.ts';

export interface KubeletFlags extends NodeFlags, LogFlags {
  readonly dataDir: string;
  readonly kubeconfig: string;
  readonly bootstrapKubeconfig?: string;
  readonly address: string;
  readonly port: number;
  readonly nodeIp: readonly string[];
  readonly clientCaFile?: string;
  readonly tlsCertFile?: string;
  readonly tlsPrivateKeyFile?: string;
}

/** `coffer kubelet`: the flags; what it does is in `run.ts`. */
export function addKubeletCommand(program: Command): void {
  const command = program
    .command('kubelet')
    .description('run a node alone, for the API server of a kubeconfig')
    .requiredOption('--kubeconfig <file>', 'API server and credentials of this node (user system:node:NAME, group system:nodes)')
    .option('--bootstrap-kubeconfig <file>', 'credentials that ask for those of this node, when --kubeconfig has none that are valid')
    .option('--data-dir <dir>', 'pod directories and state of the runtime', defaultDataDir)
    .option('--address <ip>', 'address the kubelet listens on for API servers', '0.0.0.0')
    .option('--port <port>', 'port for logs, exec, attach and port-forward; 0 opens none', parseInteger(0, 65_535), 10_250)
    .option('--node-ip <list>', 'addresses of this node (default those of the machine)', parseList, [])
    .option('--client-ca-file <file>', 'authority of clients of that port (default the one of the kubeconfig)')
    .option('--tls-cert-file <file>', 'serving certificate (default one asked for by CertificateSigningRequest)')
    .option('--tls-private-key-file <file>', 'its key')
    .action(async (flags: KubeletFlags) => {
      const { runKubelet } = await import('./run.ts');
      await runKubelet(flags);
    });
  addNodeFlags(command);
  addLogFlag(command);
}
