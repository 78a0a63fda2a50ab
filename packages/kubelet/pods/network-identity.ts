/** Names of a pod on the network: hostname, /etc/hosts, /etc/resolv.conf settings. Pure; texts as upstream writes them. */
import type { Pod } from '../types.ts';

const maxHostnameLength = 63;
const maxKernelHostnameLength = 64;

export interface HostIdentity {
  readonly hostname: string;
  /** `sub.ns.svc.cluster.local`, or empty. */
  readonly domain: string;
}

export function podHostname(pod: Pod, nodeName: string, clusterDomain: string): HostIdentity {
  const { spec, metadata } = pod;
  if (spec.hostnameOverride !== undefined) return { hostname: spec.hostnameOverride, domain: '' };
  if (spec.hostNetwork === true) return { hostname: nodeName, domain: '' };
  const wanted = spec.hostname !== undefined && spec.hostname !== '' ? spec.hostname : metadata.name;
  const hostname = wanted.slice(0, maxHostnameLength).replace(/[-.]+$/, '');
  const domain =
    spec.subdomain !== undefined && spec.subdomain !== '' ? `${spec.subdomain}.${metadata.namespace}.svc.${clusterDomain}` : '';
  return { hostname: spec.setHostnameAsFQDN === true && domain !== '' ? `${hostname}.${domain}` : hostname, domain };
}

/** Why the kernel cannot hold that hostname, or undefined. Only a full name as hostname can be too long: others are cut. */
export function hostnameProblem({ hostname }: HostIdentity): string | undefined {
  if (hostname.length <= maxKernelHostnameLength) return undefined;
  const limits = `${maxKernelHostnameLength} characters is the max, ${hostname.length} characters requested`;
  return `failed to construct FQDN from pod hostname and cluster domain, FQDN ${hostname} is too long (${limits})`;
}

/** The managed hosts file. For pods in the host's network the host's own file comes first. */
export function hostsFile(pod: Pod, identity: HostIdentity, podIps: readonly string[], hostFile: string | undefined): string {
  let text: string;
  if (pod.spec.hostNetwork === true && hostFile !== undefined) {
    text = `# Kubernetes-managed hosts file (host network).\n${hostFile}`;
  } else {
    text =
      '# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n' +
      'fe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n';
    const shortName = identity.hostname.split('.')[0] ?? identity.hostname;
    for (const ip of podIps) {
      text += identity.domain === '' ? `${ip}\t${identity.hostname}\n` : `${ip}\t${shortName}.${identity.domain}\t${shortName}\n`;
    }
  }
  const aliases = pod.spec.hostAliases ?? [];
  if (aliases.length > 0) {
    text += '\n# Entries added by HostAliases.\n';
    for (const alias of aliases) text += `${alias.ip}\t${(alias.hostnames ?? []).join('\t')}\n`;
  }
  return text;
}

export interface DnsConfig {
  readonly servers: readonly string[];
  readonly searches: readonly string[];
  readonly options: readonly string[];
}

export interface DnsEnvironment {
  readonly clusterDomain: string;
  /** Address of the cluster's DNS; empty when there is none. */
  readonly clusterDns: readonly string[];
  /** The host's own settings. */
  readonly host: DnsConfig;
}

const maxServers = 3;
const maxSearches = 32;

/** What resolv.conf of the pod says, from `dnsPolicy` and `dnsConfig`. Without a cluster DNS, `ClusterFirst` means the host's. */
export function podDns(pod: Pod, environment: DnsEnvironment): DnsConfig {
  const { spec, metadata } = pod;
  const policy = spec.dnsPolicy ?? 'ClusterFirst';
  const useCluster =
    environment.clusterDns.length > 0 && (policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && spec.hostNetwork !== true));
  let base: DnsConfig;
  if (policy === 'None') base = { servers: [], searches: [], options: [] };
  else if (useCluster) {
    const { clusterDomain } = environment;
    base = {
      servers: environment.clusterDns,
      searches: [`${metadata.namespace}.svc.${clusterDomain}`, `svc.${clusterDomain}`, clusterDomain, ...environment.host.searches],
      options: ['ndots:5'],
    };
  } else base = environment.host;
  const extra = spec.dnsConfig;
  const options = new Map<string, string>();
  for (const option of base.options) options.set(option.split(':')[0] ?? option, option);
  for (const option of extra?.options ?? []) {
    const name = option.name ?? '';
    options.set(name, option.value === undefined ? name : `${name}:${option.value}`);
  }
  return {
    servers: [...new Set([...base.servers, ...(extra?.nameservers ?? [])])].slice(0, maxServers),
    searches: [...new Set([...base.searches, ...(extra?.searches ?? [])])].slice(0, maxSearches),
    options: [...options.values()],
  };
}

/** The settings of a resolv.conf. */
export function parseResolvConf(text: string): DnsConfig {
  const servers: string[] = [];
  let searches: string[] = [];
  let options: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...words] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver' && words[0] !== undefined) servers.push(words[0]);
    else if (keyword === 'search') searches = words.filter((word) => word !== '');
    else if (keyword === 'options') options = words.filter((word) => word !== '');
  }
  return { servers: servers.slice(0, maxServers), searches, options };
}
