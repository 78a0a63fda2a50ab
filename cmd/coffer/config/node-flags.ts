import { hostname } from 'node:os';
import { defaultThresholds, parseThresholds, type Thresholds } from '@coffer/kubelet/eviction/pressure';
import { dottedSysctl, sysctlNamespace } from '@coffer/kubelet/pods/sysctl-allowlist';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseDurationMs, parseInteger, parseList } from './parse.ts';

/** Flags of a node, in `coffer up` and on its own. Names are the kubelet's where one exists. */
export interface NodeFlags {
  readonly runtime: 'auto' | 'sandbox' | 'cri' | 'none';
  readonly containerRuntimeEndpoint?: string;
  readonly nodeName: string;
  readonly maxPods: number;
  readonly allowedUnsafeSysctls: readonly string[];
  readonly syncFrequency: number;
  readonly evictionHard: Thresholds;
  readonly podManifestPath?: string;
  readonly imageGcHighThreshold: number;
  readonly imageGcLowThreshold: number;
  readonly minimumImageTtlDuration: number;
  readonly keep: boolean;
}

export function addNodeFlags(command: Command): void {
  command
    .addOption(new Option('--runtime <name>', 'what runs containers').choices(['auto', 'sandbox', 'cri', 'none']).default('auto'))
    .option('--container-runtime-endpoint <url>', 'CRI socket, e.g. unix:///run/containerd/containerd.sock')
    .option('--node-name <name>', 'name of the Node object', hostname().toLowerCase())
    .option('--max-pods <n>', 'pods this node takes', parseInteger(1, 10_000), 110)
    .option('--allowed-unsafe-sysctls <list>', 'sysctls or patterns (ending in *) that pods may set beyond the safe ones', parseSysctls, [])
    .option('--sync-frequency <duration>', 'upper bound between two looks at every pod', parseDurationMs, 60_000)
    .option('--eviction-hard <list>', 'where pods are evicted: signal<quantity or percentage, …', parseThresholds, defaultThresholds)
    .option('--pod-manifest-path <dir>', 'directory with manifests of static pods')
    .option('--image-gc-high-threshold <percent>', 'use of the images’ disk that removes unused images', parseInteger(0, 100), 85)
    .option('--image-gc-low-threshold <percent>', 'use of that disk down to which they are removed', parseInteger(0, 100), 80)
    .option('--minimum-image-ttl-duration <duration>', 'age below which an unused image is kept', parseDurationMs, 120_000)
    .option('--keep', 'leave pods running on Ctrl-C', false);
}

/** Only sysctls of a pod's own namespaces: others would change the machine. */
function parseSysctls(text: string): readonly string[] {
  return parseList(text).map((given) => {
    const pattern = dottedSysctl(given);
    if (sysctlNamespace(pattern.replace(/\*$/, '')) === undefined)
      throw new InvalidArgumentError(`the sysctl ${JSON.stringify(pattern)} is not known to be namespaced`);
    return pattern;
  });
}
