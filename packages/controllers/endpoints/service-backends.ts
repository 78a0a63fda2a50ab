/** Which pods stand behind a service, on which addresses and ports. Pure. */
import type { V1Pod, V1Service, V1ServicePort } from '@coffer/api/generated/types';
import { podPorts } from '@coffer/api/kinds/pod-state';
import { keyOf, namespaceOf } from '@coffer/client/rest/api-object';
import { isPodReady, isPodTerminal } from '../common/pods.ts';

export type IpFamily = 'IPv4' | 'IPv6';

export interface BackendPort {
  /** Empty for the only port of a service. */
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly appProtocol: string | undefined;
}

export interface Backend {
  readonly pod: V1Pod;
  readonly ip: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly hostname: string | undefined;
  readonly ports: readonly BackendPort[];
}

export function familiesOf(service: V1Service): readonly IpFamily[] {
  const families = (service.spec?.ipFamilies ?? []).filter((family): family is IpFamily => family === 'IPv4' || family === 'IPv6');
  return families.length > 0 ? families : ['IPv4'];
}

/** True when the pods behind the service are found by its selector. */
export function hasSelector(service: V1Service): boolean {
  return service.spec?.type !== 'ExternalName' && Object.keys(service.spec?.selector ?? {}).length > 0;
}

/** The pods with an address of the family, in order of their names. Finished pods never count. */
export function backendsOf(service: V1Service, pods: readonly V1Pod[], family: IpFamily): Backend[] {
  const publishNotReady = service.spec?.publishNotReadyAddresses === true;
  const backends: Backend[] = [];
  for (const pod of [...pods].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))) {
    const ip = addressOf(pod, family);
    if (ip === undefined || isPodTerminal(pod)) continue;
    const terminating = pod.metadata?.deletionTimestamp !== undefined;
    const serving = isPodReady(pod);
    const named =
      (pod.spec?.hostname ?? '') !== '' && pod.spec?.subdomain === service.metadata?.name && namespaceOf(pod) === namespaceOf(service);
    backends.push({
      pod,
      ip,
      serving,
      terminating,
      ready: publishNotReady || (serving && !terminating),
      hostname: named ? pod.spec?.hostname : undefined,
      ports: (service.spec?.ports ?? []).flatMap((port) => resolved(port, pod)),
    });
  }
  return backends;
}

/** Groups backends that offer the same ports. */
export function byPorts(backends: readonly Backend[]): Backend[][] {
  const groups = new Map<string, Backend[]>();
  for (const backend of backends) {
    const key = JSON.stringify(backend.ports);
    groups.set(key, [...(groups.get(key) ?? []), backend]);
  }
  return [...groups.values()];
}

function addressOf(pod: V1Pod, family: IpFamily): string | undefined {
  const all = (pod.status?.podIPs ?? []).map((entry) => entry.ip);
  const addresses = all.length > 0 ? all : [pod.status?.podIP ?? ''];
  return addresses.find((ip) => ip !== '' && ip.includes(':') === (family === 'IPv6'));
}

/** A target port by name is looked up in the pod; a pod without it does not offer the port. */
function resolved(port: V1ServicePort, pod: V1Pod): BackendPort[] {
  const protocol = port.protocol ?? 'TCP';
  const target = port.targetPort ?? port.port;
  const found =
    typeof target === 'number' && target !== 0
      ? target
      : typeof target === 'string' && target !== ''
        ? podPorts(pod.spec ?? { containers: [] }).find(
            (candidate) => candidate.name === target && (candidate.protocol ?? 'TCP') === protocol,
          )?.containerPort
        : port.port;
  return found === undefined ? [] : [{ name: port.name ?? '', port: found, protocol, appProtocol: port.appProtocol }];
}
