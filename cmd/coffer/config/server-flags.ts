import { homedir } from 'node:os';
import path from 'node:path';
import { type Command, Option } from 'commander';
import { type AccessFlags, addAccessFlags } from '../up/access-flags.ts';
import type { EncryptionFlags } from '../wire/encryption.ts';
import { addLogFlag, type LogFlags } from './log-flag.ts';
import { parseBoolean, parseBytes, parseDurationMs, parseInteger, parseIpAddress, parseList } from './parse.ts';

/** Flags of an API server, in `coffer up` and on its own. Names are kube-apiserver's where one exists. */
export interface ServerFlags extends AccessFlags, EncryptionFlags, LogFlags {
  readonly dataDir: string;
  readonly bindAddress: string;
  readonly advertiseAddress?: string;
  readonly securePort: number;
  readonly tlsCertFile?: string;
  readonly tlsPrivateKeyFile?: string;
  readonly storageBackend: 'lmdb' | 'memory' | 'etcd';
  readonly etcdServers: readonly string[];
  readonly etcdCafile?: string;
  readonly etcdCertfile?: string;
  readonly etcdKeyfile?: string;
  readonly historyRetention: number;
  readonly historyMaxBytes: number;
  readonly maxRequestsInflight: number;
  readonly maxMutatingRequestsInflight: number;
  readonly requestTimeout: number;
}

export const defaultDataDir = path.join(homedir(), '.coffer');

export function addServerFlags(command: Command): void {
  command
    .option('--data-dir <dir>', 'store, keys, kubeconfig and pod directories', defaultDataDir)
    .option('--bind-address <ip>', 'address to listen on', '127.0.0.1')
    .option('--advertise-address <ip>', 'address that pods and nodes are told (default the one to listen on)', parseIpAddress)
    .option('--secure-port <port>', 'port to listen on with TLS', parseInteger(0, 65_535), 6443)
    .option('--tls-cert-file <file>', 'serving certificate, followed while it changes (default one of the cluster’s authority)')
    .option('--tls-private-key-file <file>', 'its key')
    .addOption(new Option('--storage-backend <name>', 'where objects are kept').choices(['lmdb', 'memory', 'etcd']).default('lmdb'))
    .option('--etcd-servers <urls>', 'comma-separated etcd endpoints, for --storage-backend etcd', parseList, ['http://127.0.0.1:2379'])
    .option('--etcd-cafile <file>', 'authority of the etcd servers')
    .option('--etcd-certfile <file>', 'client certificate for etcd')
    .option('--etcd-keyfile <file>', 'key of the client certificate for etcd')
    .option('--history-retention <duration>', 'how long superseded versions are kept for watches and paging', parseDurationMs, 300_000)
    .option('--history-max-bytes <bytes>', 'most bytes of superseded versions', parseBytes, 256 * 1024 * 1024)
    .option('--encryption-provider-config <file>', 'EncryptionConfiguration of the store (default one of its own, made on the first start)')
    .option('--encryption-provider-config-automatic-reload <bool>', 'use changes of that file at once', parseBoolean, true)
    .option('--max-requests-inflight <n>', 'reads served at one time, 0 for no limit', parseInteger(0, 1_000_000), 400)
    .option('--max-mutating-requests-inflight <n>', 'writes served at one time, 0 for no limit', parseInteger(0, 1_000_000), 200)
    .option('--request-timeout <duration>', 'longest time for a request that is no watch or stream', parseDurationMs, 60_000);
  addLogFlag(command);
  addAccessFlags(command);
}
