import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { FakeRuntime } from '../testing/fake-runtime.ts';
import type { Pod } from '../types.ts';
import { runHook } from './hooks.ts';

const pod: Pod = { metadata: { name: 'p', namespace: 'ns', uid: 'u' }, spec: { containers: [{ name: 'c' }] }, status: {} };
const target = { pod, container: { name: 'c' }, containerId: 'id', host: '127.0.0.1' };

describe('runHook', () => {
  const clock = new FakeClock();
  const runtime = new FakeRuntime(clock);
  const { signal } = new AbortController();

  it('says which command failed, and how', async () => {
    runtime.execResult = () => ({ exitCode: 7, stdout: Buffer.from('out'), stderr: Buffer.from('bad') });
    await expect(runHook({ runtime, clock }, { exec: { command: ['sh', '-c', 'x'] } }, target, signal)).rejects.toThrow(
      'Exec lifecycle hook ([sh -c x]) for Container "c" in Pod "p_ns(u)" failed - error: command \'sh -c x\' exited with 7: bad, message: "outbad"',
    );
  });

  it('says which URL failed, and how', async () => {
    await expect(runHook({ runtime, clock }, { httpGet: { path: '/up', port: 1 } }, target, signal)).rejects.toThrow(
      'HTTP lifecycle hook (/up) for Container "c" in Pod "p_ns(u)" failed - error: Get "http://127.0.0.1:1/up": dial tcp 127.0.0.1:1: connect: connection refused',
    );
  });

  it('sleeps as long as asked, and no longer than it may', async () => {
    let done = false;
    const sleeping = runHook({ runtime, clock }, { sleep: { seconds: 5 } }, target, signal).then(() => {
      done = true;
    });
    await clock.advance(4999);
    expect(done).toBe(false);
    await clock.advance(1);
    await sleeping;
    const limit = new AbortController();
    const cut = runHook({ runtime, clock }, { sleep: { seconds: 5 } }, target, limit.signal);
    limit.abort(new Error('over'));
    await expect(cut).rejects.toThrow('over');
  });
});
