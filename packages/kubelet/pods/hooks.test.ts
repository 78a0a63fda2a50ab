import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { FakeRuntime } from '../testing/fake-runtime.ts';
import type { Pod } from '../types.ts';
import { runHook } from './hooks.ts';

const pod: Pod = { metadata: { name: 'p', namespace: 'ns', uid: 'u' }, spec: { containers: [{ name: 'c' }] }, status: {} };
const target = { pod, container: { name: 'c' }, containerId: 'id', reach: { host: '127.0.0.1' } };

describe('runHook', () => {
  const clock = new FakeClock();
  const runtime = new FakeRuntime(clock);
  const { signal } = new AbortController();
  const warnings: string[] = [];
  const warn = (reason: string, message: string) => warnings.push(`${reason} ${message}`);

  it('says which command failed, and how', async () => {
    runtime.execResult = () => ({ exitCode: 7, stdout: Buffer.from('out'), stderr: Buffer.from('bad') });
    await expect(runHook({ runtime, clock, warn }, { exec: { command: ['sh', '-c', 'x'] } }, target, signal)).rejects.toThrow(
      'Exec lifecycle hook ([sh -c x]) for Container "c" in Pod "p_ns(u)" failed - error: command \'sh -c x\' exited with 7: bad, message: "outbad"',
    );
  });

  it('says which URL failed, and how', async () => {
    await expect(runHook({ runtime, clock, warn }, { httpGet: { path: '/up', port: 1 } }, target, signal)).rejects.toThrow(
      'HTTP lifecycle hook (/up) for Container "c" in Pod "p_ns(u)" failed - error: Get "http://127.0.0.1:1/up": dial tcp 127.0.0.1:1: connect: connection refused',
    );
  });

  it('takes any answer, in HTTP where HTTPS was asked for too', async () => {
    const server = createServer((_request, response) => {
      response.writeHead(500);
      response.end('no');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      await runHook({ runtime, clock, warn }, { httpGet: { port } }, target, signal);
      expect(warnings).toEqual([]);
      await runHook({ runtime, clock, warn }, { httpGet: { port, scheme: 'HTTPS' } }, target, signal);
      expect(warnings).toEqual([
        `LifecycleHTTPFallback request to HTTPS lifecycle hook 127.0.0.1:${port} got HTTP response, retry with HTTP succeeded`,
      ]);
    } finally {
      server.close();
    }
  });

  it('sleeps as long as asked, and no longer than it may', async () => {
    let done = false;
    const sleeping = runHook({ runtime, clock, warn }, { sleep: { seconds: 5 } }, target, signal).then(() => {
      done = true;
    });
    await clock.advance(4999);
    expect(done).toBe(false);
    await clock.advance(1);
    await sleeping;
    const limit = new AbortController();
    const cut = runHook({ runtime, clock, warn }, { sleep: { seconds: 5 } }, target, limit.signal);
    limit.abort(new Error('over'));
    await expect(cut).rejects.toThrow('over');
  });
});
