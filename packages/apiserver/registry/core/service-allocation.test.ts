import type { V1ServiceSpec } from '@coffer/api/generated/types';
import type { Mutable } from '@coffer/api/meta/object';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { openMemoryBackend } from '@coffer/storage/backend/memory';
import { KeyClaims } from '@coffer/storage/servers/key-claims';
import { describe, expect, it } from 'vitest';
import type { WriteContext } from '../generic/strategy.ts';
import { parseServiceNetwork } from './service-addresses.ts';
import { ServiceAllocation } from './service-allocation.ts';

type Spec = Mutable<V1ServiceSpec>;

/** Several servers on one store. Each knows what is stored as of the last time it looked. */
function cluster(count: number) {
  const backend = openMemoryBackend();
  const clock = new FakeClock();
  const stored: V1ServiceSpec[] = [];
  const servers = Array.from({ length: count }, () => {
    let known: readonly V1ServiceSpec[] = [];
    const allocation = new ServiceAllocation({
      specs: () => known,
      whenFresh: async () => {
        known = [...stored];
      },
      network: parseServiceNetwork('10.0.0.0/24'),
      claims: new KeyClaims({ backend, clock, prefix: '/registry/claims/' }),
    });
    return {
      allocation,
      /** A whole write; the errors when it was refused. */
      async write(spec: Spec, dryRun = false): Promise<readonly string[]> {
        const context: WriteContext = { user: { name: 'u', groups: [] }, dryRun, now: '', wantsAdvice: false };
        try {
          allocation.chooseHealthCheckPort(spec, context);
          const errors = await allocation.allocate(spec, undefined, context);
          if (errors.length === 0 && !dryRun) stored.push(spec);
          return errors.map(({ message }) => message.replace(/^Invalid value: .*?: /, ''));
        } finally {
          await allocation.settled(context);
        }
      },
    };
  });
  return { servers, stored, claimed: async () => (await backend.list('/registry/claims/')).kvs.map(({ key }) => key) };
}

const nodePort = (port?: number): Spec => ({ type: 'NodePort', ports: [{ port: 80, ...(port === undefined ? {} : { nodePort: port }) }] });
const balancer = (): Spec => ({ type: 'LoadBalancer', externalTrafficPolicy: 'Local', ports: [{ port: 80 }] });

describe('ServiceAllocation on several servers', () => {
  it('never gives away the same address or port, although the servers know late what the others store', async () => {
    const { servers, stored, claimed } = cluster(3);
    const writes = Array.from({ length: 45 }, async (_, i) => servers[i % 3]?.write(balancer()));
    expect((await Promise.all(writes)).flat()).toEqual([]);
    expect(new Set(stored.map(({ clusterIP }) => clusterIP)).size).toBe(45);
    expect(new Set(stored.flatMap((spec) => [spec.ports?.[0]?.nodePort, spec.healthCheckNodePort])).size).toBe(90);
    expect(await claimed()).toEqual([]);
  });

  it('refuses what another server has stored, or is about to', async () => {
    const { servers, claimed } = cluster(2);
    const [one, two] = servers;
    const chosen = (): Spec => ({ ...nodePort(30_001), clusterIP: '10.0.0.9', clusterIPs: ['10.0.0.9'] });
    const both = (await Promise.all([one?.write(chosen()), two?.write(chosen())])).flat();
    expect(both).toEqual(['failed to allocate IP 10.0.0.9: provided IP is already allocated']);
    expect(await two?.write(nodePort(30_001))).toEqual(['provided port is already allocated']);
    expect(await claimed()).toEqual([]);
  });

  it('leaves no trace of a dry run', async () => {
    const { servers, claimed } = cluster(2);
    expect(await servers[0]?.write(nodePort(30_001), true)).toEqual([]);
    expect(await servers[1]?.write(nodePort(30_001))).toEqual([]);
    expect(await claimed()).toEqual([]);
  });
});
