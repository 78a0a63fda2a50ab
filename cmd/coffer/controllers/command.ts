import type { Command } from 'commander';
import { addLogFlag, type LogFlags } from '../config/log-flag.ts';
import { parseBoolean, parseDurationMs } from '../config/parse.ts';

/** Names are kube-controller-manager's where one exists. */
export interface ControllersFlags extends LogFlags {
  readonly kubeconfig?: string;
  readonly rootCaFile?: string;
  readonly clusterSigningCertFile?: string;
  readonly clusterSigningKeyFile?: string;
  readonly serviceAccountPrivateKeyFile?: string;
  readonly serviceAccountIssuer: string;
  readonly useServiceAccountCredentials: boolean;
  readonly legacyServiceAccountTokenCleanUpPeriod: number;
  readonly leaderElect: boolean;
}

/** `coffer controllers`: the flags; what it does is in `run.ts`. */
export function addControllersCommand(program: Command): void {
  const command = program
    .command('controllers')
    .description('run the control loops and the scheduler alone, for the API server of a kubeconfig')
    .option('--kubeconfig <file>', 'API server and credentials')
    .option('--root-ca-file <file>', "the cluster's authority, published to every namespace (default that of the kubeconfig)")
    .option('--cluster-signing-cert-file <file>', 'authority that signs certificate requests (default none: requests stay unsigned)')
    .option('--cluster-signing-key-file <file>', 'its key')
    .option('--service-account-private-key-file <file>', 'key for tokens in Secrets (default none: such Secrets stay empty)')
    .option('--service-account-issuer <url>', "the API server's first issuer", 'https://kubernetes.default.svc.cluster.local')
    .option(
      '--use-service-account-credentials <bool>',
      'each loop acts as a service account of its own, by impersonation',
      parseBoolean,
      true,
    )
    .option(
      '--legacy-service-account-token-clean-up-period <duration>',
      'how long a token in a Secret may be unused before it is taken out of use',
      parseDurationMs,
      365 * 86_400_000,
    )
    .option('--leader-elect <bool>', 'only one of several such processes works', parseBoolean, true)
    .action(async (flags: ControllersFlags) => {
      const { runControllers } = await import('./run.ts');
      await runControllers(flags);
    });
  addLogFlag(command);
}
