import type { V1LifecycleHandler, V1Probe } from '@coffer/api/generated/types';
import {
  type AnyContainer,
  allContainers,
  containersText,
  isInUserNamespace,
  type PodCheck,
  plural,
  quoteAll,
  sortedOnce,
  unless,
  type VersionedCheck,
} from './check.ts';
import { appArmorProfile, seccompAnnotations, seccompNotUnconfined, seLinuxOptions } from './profile-checks.ts';

/** The level baseline: what would let a container out of its isolation by a setting alone. */

const defaultCapabilities: ReadonlySet<string> = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
]);

const safeSysctls = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start',
];
const safeSysctls27 = [...safeSysctls, 'net.ipv4.ip_local_reserved_ports'];
const safeSysctls29 = [
  ...safeSysctls27,
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
];
const safeSysctls32 = [...safeSysctls29, 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem'];

const seLinuxTypes = ['', 'container_t', 'container_init_t', 'container_kvm_t'];

const hostNamespaces: PodCheck = ({ spec }) => {
  const shared = [
    ...(spec.hostNetwork === true ? ['hostNetwork=true'] : []),
    ...(spec.hostPID === true ? ['hostPID=true'] : []),
    ...(spec.hostIPC === true ? ['hostIPC=true'] : []),
  ];
  return shared.length === 0 ? undefined : { reason: 'host namespaces', detail: shared.join(', ') };
};

const privileged: PodCheck = ({ spec }) => {
  const bad = namesOf(spec, ({ securityContext }) => securityContext?.privileged === true);
  return bad.length === 0
    ? undefined
    : { reason: 'privileged', detail: `${containersText(bad)} must not set securityContext.privileged=true` };
};

const capabilities: PodCheck = ({ spec }) => {
  const added = (container: AnyContainer) =>
    (container.securityContext?.capabilities?.add ?? []).filter((capability) => !defaultCapabilities.has(capability));
  const bad = namesOf(spec, (container) => added(container).length > 0);
  if (bad.length === 0) return undefined;
  return {
    reason: 'non-default capabilities',
    detail: `${containersText(bad)} must not include ${quoteAll(sortedOnce(allContainers(spec).flatMap(added)))} in securityContext.capabilities.add`,
  };
};

const hostPathVolumes: PodCheck = ({ spec }) => {
  const bad = (spec.volumes ?? []).filter(({ hostPath }) => hostPath !== undefined).map(({ name }) => name);
  return bad.length === 0 ? undefined : { reason: 'hostPath volumes', detail: `${plural('volume', bad.length)} ${quoteAll(bad)}` };
};

const hostPorts: PodCheck = ({ spec }) => {
  const used = ({ ports = [] }: AnyContainer) => ports.flatMap(({ hostPort = 0 }) => (hostPort === 0 ? [] : [String(hostPort)]));
  const bad = namesOf(spec, (container) => used(container).length > 0);
  if (bad.length === 0) return undefined;
  const ports = sortedOnce(allContainers(spec).flatMap(used));
  return {
    reason: 'hostPort',
    detail: `${containersText(bad)} ${bad.length === 1 ? 'uses' : 'use'} ${plural('hostPort', ports.length)} ${ports.join(', ')}`,
  };
};

/** A probe or hook with a host of its own makes the kubelet send requests into the node's network. */
const hostsOfProbes: PodCheck = ({ spec }) => {
  const bad = sortedOnce(namesOf(spec, (container) => probeHosts(container).length > 0));
  if (bad.length === 0) return undefined;
  const hosts = sortedOnce(allContainers(spec).flatMap(probeHosts));
  const what = plural('probe or lifecycle host', hosts.length);
  return {
    reason: 'probe or lifecycle host',
    detail: `${containersText(bad)} ${bad.length === 1 ? 'uses' : 'use'} ${what} ${quoteAll(hosts)}`,
  };
};

function probeHosts({ livenessProbe, readinessProbe, startupProbe, lifecycle }: AnyContainer): string[] {
  const handlers: readonly (V1Probe | V1LifecycleHandler | undefined)[] = [
    livenessProbe,
    readinessProbe,
    startupProbe,
    lifecycle?.postStart,
    lifecycle?.preStop,
  ];
  return handlers.flatMap((handler) => [handler?.httpGet?.host ?? '', handler?.tcpSocket?.host ?? '']).filter((host) => host !== '');
}

/** Also what restricted keeps for pods in user namespaces. */
export const procMount: PodCheck = ({ spec }) => {
  const isBad = ({ securityContext }: AnyContainer) => (securityContext?.procMount ?? 'Default') !== 'Default';
  const bad = namesOf(spec, isBad);
  if (bad.length === 0) return undefined;
  const types = sortedOnce(
    allContainers(spec)
      .filter(isBad)
      .map(({ securityContext }) => securityContext?.procMount ?? ''),
  );
  return { reason: 'procMount', detail: `${containersText(bad)} must not set securityContext.procMount to ${quoteAll(types)}` };
};

function sysctls(allowed: readonly string[]): PodCheck {
  return ({ spec }) => {
    const bad = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !allowed.includes(name));
    return bad.length === 0 ? undefined : { reason: 'forbidden sysctls', detail: bad.join(', ') };
  };
}

const windowsHostProcess: PodCheck = ({ spec }) => {
  const bad = namesOf(spec, ({ securityContext }) => securityContext?.windowsOptions?.hostProcess === true);
  const setters = [
    ...(spec.securityContext?.windowsOptions?.hostProcess === true ? ['pod'] : []),
    ...(bad.length > 0 ? [containersText(bad)] : []),
  ];
  if (setters.length === 0) return undefined;
  return { reason: 'hostProcess', detail: `${setters.join(' and ')} must not set securityContext.windowsOptions.hostProcess=true` };
};

function namesOf(spec: Parameters<typeof allContainers>[0], isBad: (container: AnyContainer) => boolean): string[] {
  return allContainers(spec)
    .filter(isBad)
    .map(({ name }) => name);
}

/** Sorted by id: the order of their violations in messages. */
export const baselineChecks: readonly VersionedCheck[] = [
  { id: 'appArmorProfile', variants: [{ sinceMinor: 0, check: appArmorProfile }] },
  { id: 'capabilities_baseline', variants: [{ sinceMinor: 0, check: capabilities }] },
  { id: 'hostNamespaces', variants: [{ sinceMinor: 0, check: hostNamespaces }] },
  { id: 'hostPathVolumes', variants: [{ sinceMinor: 0, check: hostPathVolumes }] },
  { id: 'hostPorts', variants: [{ sinceMinor: 0, check: hostPorts }] },
  { id: 'hostProbesAndHostLifecycle', variants: [{ sinceMinor: 34, check: hostsOfProbes }] },
  { id: 'privileged', variants: [{ sinceMinor: 0, check: privileged }] },
  {
    id: 'procMount',
    variants: [
      { sinceMinor: 0, check: procMount },
      { sinceMinor: 35, check: unless(isInUserNamespace, procMount) },
    ],
  },
  {
    id: 'seLinuxOptions',
    variants: [
      { sinceMinor: 0, check: seLinuxOptions(seLinuxTypes) },
      { sinceMinor: 31, check: seLinuxOptions([...seLinuxTypes, 'container_engine_t']) },
    ],
  },
  {
    id: 'seccompProfile_baseline',
    variants: [
      { sinceMinor: 0, check: seccompAnnotations },
      { sinceMinor: 19, check: seccompNotUnconfined },
    ],
  },
  {
    id: 'sysctls',
    variants: [
      { sinceMinor: 0, check: sysctls(safeSysctls) },
      { sinceMinor: 27, check: sysctls(safeSysctls27) },
      { sinceMinor: 29, check: sysctls(safeSysctls29) },
      { sinceMinor: 32, check: sysctls(safeSysctls32) },
    ],
  },
  { id: 'windowsHostProcess', variants: [{ sinceMinor: 0, check: windowsHostProcess }] },
];
