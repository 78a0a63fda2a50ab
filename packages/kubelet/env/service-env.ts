/** Environment variables that describe services, as upstream's `envvars`: host and port, and the old link style. Pure. */

/** What a Service says that matters here. */
export interface ServiceAddress {
  readonly namespace: string;
  readonly name: string;
  readonly clusterIp: string;
  readonly ports: readonly { readonly name: string; readonly port: number; readonly protocol: string }[];
}

/** Where services come from. `ready` is false until they have been read once. */
export interface ServiceLookup {
  readonly ready: boolean;
  /** As a pod with the network of the machine, or one of its own, reaches them. */
  list(hostNetwork: boolean): readonly ServiceAddress[];
}

/** Variables for a pod of that namespace; the `kubernetes` service of `default` is always there when it exists. */
export function serviceEnv(services: readonly ServiceAddress[], namespace: string, enableServiceLinks: boolean): Map<string, string> {
  const chosen = new Map<string, ServiceAddress>();
  for (const service of services) {
    if (service.clusterIp === '' || service.clusterIp === 'None') continue;
    if (service.namespace === 'default' && service.name === 'kubernetes') {
      if (!chosen.has(service.name)) chosen.set(service.name, service);
    } else if (service.namespace === namespace && enableServiceLinks) chosen.set(service.name, service);
  }
  const variables = new Map<string, string>();
  for (const service of [...chosen.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) describe(service, variables);
  return variables;
}

function describe(service: ServiceAddress, variables: Map<string, string>): void {
  const prefix = variableName(service.name);
  const first = service.ports[0];
  if (first === undefined) return;
  variables.set(`${prefix}_SERVICE_HOST`, service.clusterIp);
  variables.set(`${prefix}_SERVICE_PORT`, String(first.port));
  for (const port of service.ports) {
    if (port.name !== '') variables.set(`${prefix}_SERVICE_PORT_${variableName(port.name)}`, String(port.port));
  }
  const host = service.clusterIp.includes(':') ? `[${service.clusterIp}]` : service.clusterIp;
  service.ports.forEach((port, index) => {
    const protocol = port.protocol === '' ? 'TCP' : port.protocol;
    const url = `${protocol.toLowerCase()}://${host}:${port.port}`;
    const portPrefix = `${prefix}_PORT_${port.port}_${protocol.toUpperCase()}`;
    if (index === 0) variables.set(`${prefix}_PORT`, url);
    variables.set(portPrefix, url);
    variables.set(`${portPrefix}_PROTO`, protocol.toLowerCase());
    variables.set(`${portPrefix}_PORT`, String(port.port));
    variables.set(`${portPrefix}_ADDR`, service.clusterIp);
  });
}

function variableName(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}
