import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { openMemoryBackend } from '../backend/memory.ts';
import { ServerRegistry } from './server-registry.ts';

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe('ServerRegistry.acknowledged', () => {
  function setup() {
    const backend = openMemoryBackend();
    const clock = new FakeClock();
    const keys: Record<string, string> = { a: 'old', b: 'old' };
    const open = async (id: string) => {
      const registry = new ServerRegistry({ backend, clock, logger: silentLogger, id, keysDigest: () => keys[id] ?? '' });
      await registry.open();
      return registry;
    };
    const advance = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 200) {
        await clock.advance(200);
        await turns();
      }
    };
    return { backend, keys, open, advance };
  }

  it('waits until the others use the same keys', async () => {
    const { keys, open, advance } = setup();
    const a = await open('a');
    const b = await open('b');
    await a.acknowledged();
    keys.a = 'new';
    let done = false;
    const waiting = a.acknowledged().then(() => {
      done = true;
    });
    await advance(10_000);
    expect(done).toBe(false);
    keys.b = 'new';
    await advance(6_000);
    await waiting;
    await Promise.all([a.close(), b.close()]);
  });

  it('does not wait for one that was ended, and not for long for one that died', async () => {
    const { backend, keys, open, advance } = setup();
    const a = await open('a');
    await (await open('b')).close();
    keys.a = 'new';
    await a.acknowledged();
    await backend.create('/registry/coffer.dev/apiservers/dead', Buffer.from('{"keys":"old"}'));
    const waiting = a.acknowledged();
    await advance(21_000);
    await waiting;
    await a.close();
  });

  it('names the servers that do not follow', async () => {
    const { keys, open, advance } = setup();
    const a = await open('a');
    const b = await open('b');
    keys.a = 'new';
    const refused = expect(a.acknowledged()).rejects.toThrow('do not use the same encryption configuration: b');
    await advance(121_000);
    await refused;
    await Promise.all([a.close(), b.close()]);
  });
});
