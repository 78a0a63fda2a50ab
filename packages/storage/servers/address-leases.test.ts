import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { openMemoryBackend } from '../backend/memory.ts';
import { AddressLeases } from './address-leases.ts';

const tenSeconds = 10_000;

function servers(...hosts: string[]) {
  const backend = openMemoryBackend();
  const clock = new FakeClock();
  return { clock, leases: hosts.map((host) => new AddressLeases({ backend, clock, host })) as [AddressLeases, AddressLeases] };
}

describe('AddressLeases', () => {
  it('lists the servers that have a lease, in order', async () => {
    const { leases } = servers('10.0.0.2', '10.0.0.1');
    for (const lease of leases) await lease.renew();
    for (const lease of leases) expect(await lease.living()).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  it('drops a server that has not renewed its lease for 15 seconds, and takes it back when it does', async () => {
    const { clock, leases } = servers('10.0.0.1', '10.0.0.2');
    const [one, two] = leases;
    for (const lease of leases) await lease.renew();
    expect(await one.living()).toHaveLength(2);
    await clock.advance(14_999);
    await one.renew();
    expect(await one.living()).toHaveLength(2);
    await clock.advance(1);
    expect(await one.living()).toEqual(['10.0.0.1']);
    await two.renew();
    expect(await one.living()).toEqual(['10.0.0.1', '10.0.0.2']);
  });

  it('keeps servers that renew, however long they live', async () => {
    const { clock, leases } = servers('10.0.0.1', '10.0.0.2');
    for (let i = 0; i < 20; i++) {
      for (const lease of leases) await lease.renew();
      for (const lease of leases) expect(await lease.living()).toHaveLength(2);
      await clock.advance(tenSeconds);
    }
  });

  it('takes the own lease away, once', async () => {
    const { leases } = servers('10.0.0.1', '10.0.0.2');
    const [one, two] = leases;
    for (const lease of leases) await lease.renew();
    await one.remove();
    await one.remove();
    expect(await two.living()).toEqual(['10.0.0.2']);
  });
});
