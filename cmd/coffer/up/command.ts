import { homedir, hostname } from 'node:os';
import path from 'node:path';
import { type Command, Option } from 'commander';
import { parseBoolean, parseBytes, parseDurationMs, parseInteger, parseList } from '../config/parse.ts';
import { type AccessFlags, addAccessFlags } from './access-flags.ts';

/** Values of the flags of `coffer up`, parsed. Names are kube-apiserver's and the kubelet's where one exists. */
export interface UpFlags extends AccessFlags {
  readonly dataDir: string;
  readonly bindAddress: string;
  readonly securePort: number;
  readonly runtime: 'auto' | 'sandbox' | 'cri' | 'none';
  readonly containerRuntimeEndpoint?: string;
  readonly nodeName: string;
  readonly maxPods: number;
  readonly syncFrequency: number;
  readonly keep: boolean;
  readonly storageBackend: 'lmdb' | 'memory' | 'etcd';
  readonly etcdServers: readonly string[];
  readonly historyRetention: number;
  readonly historyMaxBytes: number;
  readonly encryptionProviderConfig?: string;
  readonly encryptionProviderConfigAutomaticReload: boolean;
  readonly maxRequestsInflight: number;
  readonly maxMutatingRequestsInflight: number;
  readonly requestTimeout: number;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
}

export const defaultDataDir = path.join(homedir(), '.coffer');

export function addUpCommand(program: Command): void {
  const up = program
    .command('up')
    .description('run API server, control loops and node in one process')
    .option('--data-dir <dir>', 'store, keys, kubeconfig and pod directories', defaultDataDir)
    .option('--bind-address <ip>', 'address to listen on', '127.0.0.1')
    .option('--secure-port <port>', 'port to listen on with TLS', parseInteger(0, 65_535), 6443)
    .addOption(new Option('--runtime <name>', 'what runs containers').choices(['auto', 'sandbox', 'cri', 'none']).default('auto'))
    .option('--container-runtime-endpoint <url>', 'CRI socket, e.g. unix:///run/containerd/containerd.sock')
    .option('--node-name <name>', 'name of the Node object', hostname().toLowerCase())
    .option('--max-pods <n>', 'pods this node takes', parseInteger(1, 10_000), 110)
    .option('--sync-frequency <duration>', 'upper bound between two looks at every pod', parseDurationMs, 60_000)
    .option('--keep', 'leave pods running on Ctrl-C', false)
    .addOption(new Option('--storage-backend <name>', 'where objects are kept').choices(['lmdb', 'memory', 'etcd']).default('lmdb'))
    .option('--etcd-servers <urls>', 'comma-separated etcd endpoints, for --storage-backend etcd', parseList, ['http://127.0.0.1:2379'])
    .option('--history-retention <duration>', 'how long superseded versions are kept for watches and paging', parseDurationMs, 300_000)
    .option('--history-max-bytes <bytes>', 'most bytes of superseded versions', parseBytes, 256 * 1024 * 1024)
    .option('--encryption-provider-config <file>', 'EncryptionConfiguration of the store (default one of its own, made on the first start)')
    .option('--encryption-provider-config-automatic-reload <bool>', 'use changes of that file at once', parseBoolean, true)
    .option('--max-requests-inflight <n>', 'reads served at one time, 0 for no limit', parseInteger(0, 1_000_000), 400)
    .option('--max-mutating-requests-inflight <n>', 'writes served at one time, 0 for no limit', parseInteger(0, 1_000_000), 200)
    .option('--request-timeout <duration>', 'longest time for a request that is no watch or stream', parseDurationMs, 60_000)
    .addOption(new Option('--log-level <level>', 'least level that is logged').choices(['debug', 'info', 'warn', 'error']).default('warn'))
    .action(async (flags: UpFlags) => {
      const { runUp } = await import('./run.ts');
      await runUp(flags);
    });
  addAccessFlags(up);
}
