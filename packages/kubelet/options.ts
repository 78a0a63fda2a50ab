/** What may be set of a kubelet, with upstream's defaults. */
import type { ApiServerAddresses } from './env/watched-services.ts';
import { defaultThresholds, type Thresholds } from './eviction/pressure.ts';
import type { ImageCollectionPolicy } from './images/image-collector.ts';
import type { RotationLimits } from './logs/log-rotation.ts';

export interface KubeletOptions {
  readonly maxPods: number;
  /** Sysctls, or patterns of them ending in `*`, that pods may set beyond the safe ones. */
  readonly allowedUnsafeSysctls: readonly string[];
  /** Upper bound between two looks at a pod or its volumes; changes are followed at once anyway. */
  readonly syncFrequencyMs: number;
  /** Where the node counts as short of something and evicts pods. */
  readonly evictionHard: Thresholds;
  /** Addresses of this node; the first is its primary one. Empty: found from the machine. */
  readonly nodeIps: readonly string[];
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly clusterDns: readonly string[];
  readonly clusterDomain: string;
  readonly crashLoopBackOff: { readonly initialMs: number; readonly maxMs: number };
  readonly containerLogs: RotationLimits;
  readonly imageCollection: ImageCollectionPolicy;
  /** Containers and sandboxes that are started at the same time. */
  readonly parallelStarts: number;
  /** As it shows in the Node object. */
  readonly kubeletVersion: string;
  /** The port on which a server offers this kubelet's NodeApi; undefined in one process. */
  readonly kubeletPort: number | undefined;
  /** What containers get as KUBERNETES_SERVICE_HOST and _PORT instead of the cluster IP, where no proxy forwards that. */
  readonly apiServer: ApiServerAddresses;
  /** Where container logs go; `<rootDir>/logs` when undefined. */
  readonly logsDir: string | undefined;
  /** Directory of pod manifests that this node runs without being asked by the API; none when undefined. */
  readonly staticPodDir: string | undefined;
}

export const defaultOptions: KubeletOptions = {
  maxPods: 110,
  allowedUnsafeSysctls: [],
  syncFrequencyMs: 60_000,
  evictionHard: defaultThresholds,
  nodeIps: [],
  nodeLabels: {},
  clusterDns: [],
  clusterDomain: 'cluster.local',
  crashLoopBackOff: { initialMs: 10_000, maxMs: 300_000 },
  containerLogs: { maxBytes: 10 * 1024 * 1024, maxFiles: 5 },
  imageCollection: { highThresholdPercent: 85, lowThresholdPercent: 80, minAgeMs: 120_000 },
  parallelStarts: 10,
  kubeletVersion: 'v1.36.0',
  kubeletPort: undefined,
  apiServer: { onHostNetwork: undefined, inPodNetworks: undefined },
  logsDir: undefined,
  staticPodDir: undefined,
};
