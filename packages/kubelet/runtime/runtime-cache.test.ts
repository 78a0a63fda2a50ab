import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { podConfig, shellContainer } from '@coffer/cri/runtime/contract-fixtures';
import { describe, expect, it } from 'vitest';
import { FakeRuntime } from '../testing/fake-runtime.ts';
import { RuntimeCache } from './runtime-cache.ts';

/** A runtime whose lists are answered when the test says so. */
class SlowRuntime extends FakeRuntime {
  answer: () => void = () => {};

  override async listContainers() {
    const list = await super.listContainers();
    await new Promise<void>((resolve) => {
      this.answer = resolve;
    });
    return list;
  }
}

describe('RuntimeCache.relist', () => {
  it('does not forget what was started, nor bring back what was removed, while it listed', async () => {
    const clock = new FakeClock();
    const runtime = new SlowRuntime(clock);
    const changes: string[] = [];
    const cache = new RuntimeCache({ runtime, clock, logger: silentLogger, onChange: (uid) => changes.push(uid) });
    const config = podConfig('/tmp/none');
    const labels = { 'io.kubernetes.pod.uid': config.uid };
    const sandbox = await runtime.runPodSandbox({ ...config, labels });
    const old = await runtime.createContainer(sandbox, shellContainer('i', '', { name: 'old', labels }));
    await cache.refreshSandbox(config.uid, sandbox);
    await cache.refreshContainer(config.uid, old);

    const listing = cache.relist();
    await runtime.removeContainer(old);
    await cache.refreshContainer(config.uid, old);
    const fresh = await runtime.createContainer(sandbox, shellContainer('i', '', { name: 'fresh', labels }));
    await cache.refreshContainer(config.uid, fresh);
    runtime.answer();
    await listing;
    expect(cache.get(config.uid).containers.map(({ name }) => name)).toEqual(['fresh']);
    expect(cache.get(config.uid).sandboxes).toHaveLength(1);
    expect(changes).toEqual([]);
  });
});
