import { FakeClock } from '@coffer/base/time/fake-clock';
import { expect, it } from 'vitest';
import { openMemoryBackend } from '../backend/memory.ts';
import { KeyClaims } from './key-claims.ts';

function twoServers() {
  const backend = openMemoryBackend();
  const clock = new FakeClock();
  const claims = () => new KeyClaims({ backend, clock, prefix: '/registry/claims/' });
  return { backend, clock, one: claims(), two: claims() };
}

it('gives every name to one server at a time, all that are wanted or none', async () => {
  const { backend, one, two } = twoServers();
  const first = await one.claim(['a', 'b']);
  expect(await two.claim(['c', 'b'])).toEqual({ taken: 'b' });
  expect((await backend.list('/registry/claims/')).kvs.map(({ key }) => key)).toEqual(['/registry/claims/a', '/registry/claims/b']);
  if ('held' in first) await first.held.release();
  expect(await two.claim(['c', 'b'])).toHaveProperty('held');
});

it('gives all names to one of several that want them at the same time, whatever order they name them in', async () => {
  const { backend, clock, one, two } = twoServers();
  const slow = new KeyClaims({
    backend: {
      ...backend,
      create: async (key, value) => {
        await Promise.resolve();
        return backend.create(key, value);
      },
    },
    clock,
    prefix: '/registry/claims/',
  });
  const claimed = await Promise.all([one.claim(['a', 'b', 'c']), two.claim(['c', 'b', 'a']), slow.claim(['b', 'c'])]);
  expect(claimed.filter((claim) => 'held' in claim)).toHaveLength(1);
});

it('takes over what a server that died has left behind, after two minutes', async () => {
  const { clock, one, two } = twoServers();
  await one.claim(['a']);
  expect(await two.claim(['a'])).toEqual({ taken: 'a' });
  await clock.advance(119_000);
  expect(await two.claim(['a'])).toEqual({ taken: 'a' });
  await clock.advance(1_000);
  expect(await two.claim(['a'])).toEqual({ taken: 'a' });
  expect(await two.claim(['a'])).toHaveProperty('held');
});

it('does not release what somebody else has claimed meanwhile', async () => {
  const { backend, one, two } = twoServers();
  const old = await one.claim(['a']);
  const { kv } = await backend.get('/registry/claims/a');
  await backend.delete('/registry/claims/a', kv?.modRevision ?? 0);
  expect(await two.claim(['a'])).toHaveProperty('held');
  if ('held' in old) await old.held.release();
  expect(await one.claim(['a'])).toEqual({ taken: 'a' });
});
