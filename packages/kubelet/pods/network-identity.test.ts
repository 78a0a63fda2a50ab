import { describe, expect, it } from 'vitest';
import type { Pod } from '../types.ts';
import { hostnameProblem, hostsFile, parseResolvConf, podDns, podHostname } from './network-identity.ts';

function pod(spec: Partial<Pod['spec']>, name = 'web-0'): Pod {
  return { metadata: { name, namespace: 'shop', uid: 'u' }, spec: { containers: [], ...spec }, status: {} };
}

describe('podHostname', () => {
  it.each<[Partial<Pod['spec']>, string, string]>([
    [{}, 'web-0', ''],
    [{ hostname: 'given' }, 'given', ''],
    [{ hostname: 'given', subdomain: 'sub' }, 'given', 'sub.shop.svc.cluster.local'],
    [{ subdomain: 'sub', setHostnameAsFQDN: true }, 'web-0.sub.shop.svc.cluster.local', 'sub.shop.svc.cluster.local'],
    [{ hostNetwork: true }, 'node', ''],
    [{ hostnameOverride: 'over.ride', subdomain: 'x' }, 'over.ride', ''],
  ])('%j', (spec, hostname, domain) => {
    expect(podHostname(pod(spec), 'node', 'cluster.local')).toEqual({ hostname, domain });
  });

  it('cuts long names so that they stay valid', () => {
    expect(podHostname(pod({}, `${'a'.repeat(62)}.-b`), 'node', 'c').hostname).toBe('a'.repeat(62));
  });

  it('does not fit into the kernel as a full name over 64 characters', () => {
    const full = (length: number) => podHostname(pod({ subdomain: 's', setHostnameAsFQDN: true }, 'a'.repeat(length)), 'node', 'c');
    expect(full(64 - '.s.shop.svc.c'.length).hostname).toHaveLength(64);
    expect(hostnameProblem(full(64 - '.s.shop.svc.c'.length))).toBeUndefined();
    expect(hostnameProblem(full(52))).toContain('is too long (64 characters is the max, 65 characters requested)');
  });
});

describe('hostsFile', () => {
  it('names the pod and its aliases', () => {
    const spec = { hostAliases: [{ ip: '1.2.3.4', hostnames: ['a', 'b'] }] };
    const text = hostsFile(pod(spec), { hostname: 'web-0', domain: 'sub.shop.svc.cluster.local' }, ['10.0.0.1'], undefined);
    expect(text).toContain('# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n');
    expect(text).toContain('10.0.0.1\tweb-0.sub.shop.svc.cluster.local\tweb-0\n');
    expect(text.endsWith('\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n')).toBe(true);
  });

  it('starts with the file of the host in its network', () => {
    const text = hostsFile(pod({ hostNetwork: true }), { hostname: 'node', domain: '' }, ['1.1.1.1'], '127.0.0.1 localhost\n');
    expect(text).toBe('# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n');
  });
});

describe('podDns', () => {
  const environment = {
    clusterDomain: 'cluster.local',
    clusterDns: ['10.96.0.10'],
    host: { servers: ['9.9.9.9'], searches: ['corp'], options: ['edns0'] },
  };

  it('asks the cluster first, with its search list', () => {
    expect(podDns(pod({}), environment)).toEqual({
      servers: ['10.96.0.10'],
      searches: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'corp'],
      options: ['ndots:5'],
    });
  });

  it('asks the host where the pod says so, or where there is no cluster DNS', () => {
    expect(podDns(pod({ dnsPolicy: 'Default' }), environment)).toEqual(environment.host);
    expect(podDns(pod({ hostNetwork: true }), environment)).toEqual(environment.host);
    expect(podDns(pod({}), { ...environment, clusterDns: [] })).toEqual(environment.host);
  });

  it('adds what the pod asks for, its options winning', () => {
    const dnsConfig = { nameservers: ['1.1.1.1'], searches: ['x'], options: [{ name: 'ndots', value: '2' }, { name: 'edns0' }] };
    expect(podDns(pod({ dnsPolicy: 'None', dnsConfig }), environment)).toEqual({
      servers: ['1.1.1.1'],
      searches: ['x'],
      options: ['ndots:2', 'edns0'],
    });
    expect(podDns(pod({ dnsConfig }), environment).options).toEqual(['ndots:2', 'edns0']);
  });
});

describe('parseResolvConf', () => {
  it('reads servers, the last search list and options', () => {
    const text = '# by hand\nnameserver 1.1.1.1\nsearch a b\nsearch c d ; tail\nnameserver 2.2.2.2\noptions ndots:1 rotate\n';
    expect(parseResolvConf(text)).toEqual({ servers: ['1.1.1.1', '2.2.2.2'], searches: ['c', 'd'], options: ['ndots:1', 'rotate'] });
  });
});
