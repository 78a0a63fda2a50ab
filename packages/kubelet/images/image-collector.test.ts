import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { podConfig, shellContainer } from '@coffer/cri/runtime/contract-fixtures';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeRuntime } from '../testing/fake-runtime.ts';
import { ImageCollector } from './image-collector.ts';
import { PulledRecords } from './pulled-records.ts';

const megabyte = 1024 * 1024;

describe('ImageCollector', () => {
  let directory: string;
  let clock: FakeClock;
  let runtime: FakeRuntime;
  let events: string[];
  let availableBytes: number;
  let collector: ImageCollector;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'image-collector-'));
    clock = new FakeClock();
    runtime = new FakeRuntime(clock);
    events = [];
    availableBytes = 50 * megabyte;
    collector = new ImageCollector({
      runtime,
      clock,
      policy: { highThresholdPercent: 85, lowThresholdPercent: 80, minAgeMs: 120_000 },
      records: new PulledRecords(directory),
      volumeImages: () => ['data'],
      diskUsage: async () => ({ capacityBytes: 100 * megabyte, availableBytes }),
      event: (reason, message) => events.push(`${reason} ${message}`),
    });
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const addImage = (name: string, sizeBytes: number, pinned = false) =>
    runtime.images.set(`sha256:${name}`, {
      id: `sha256:${name}`,
      repoTags: [name],
      repoDigests: [],
      sizeBytes,
      uid: undefined,
      username: '',
      pinned,
    });
  const left = () => [...runtime.images.keys()].map((id) => id.slice('sha256:'.length)).sort();
  const runImage = async (name: string) => {
    const pod = await runtime.runPodSandbox(podConfig(directory));
    const id = await runtime.createContainer(pod, shellContainer(name, ''));
    return id;
  };

  it('leaves everything as it is while there is room', async () => {
    addImage('old', 10 * megabyte);
    await collector.collect();
    expect(left()).toEqual(['old']);
  });

  it('removes the longest unused first, down to the low threshold, and nothing that is used, pinned or new', async () => {
    for (const name of ['oldest', 'older', 'used', 'data']) addImage(name, 4 * megabyte);
    addImage('pause', 1 * megabyte, true);
    await runImage('used');
    const once = await runImage('older');
    await collector.collect();
    await clock.advance(300_000);
    await runtime.removeContainer(once);
    addImage('new', 4 * megabyte);
    // 86 of 100 used: 6 are to be freed.
    availableBytes = 14 * megabyte;
    await collector.collect();
    expect(left()).toEqual(['data', 'new', 'pause', 'used']);
    expect(events).toEqual([]);
  });

  it('says what it could not free', async () => {
    addImage('small', 1000);
    await collector.collect();
    availableBytes = 5 * megabyte;
    const message =
      "Insufficient free disk space on the node's image filesystem (95% of 100.0 MiB used). Failed to free sufficient space by deleting " +
      'unused images (freed 1000 bytes). Investigate disk usage, as it could be used by active images, logs, volumes, or other data.';
    await expect(collector.collect()).rejects.toThrow(message);
    expect(events).toEqual([`FreeDiskSpaceFailed ${message}`]);
    expect(left()).toEqual([]);
  });

  it('goes on when one image cannot be removed, and says so', async () => {
    addImage('stuck', megabyte);
    addImage('old', megabyte);
    await collector.collect();
    availableBytes = 10 * megabyte;
    runtime.onRemoveImage = (id) => {
      if (id === 'sha256:stuck') throw new Error('it is busy');
    };
    await expect(collector.collect()).rejects.toThrow('but freed 1048576 bytes space with errors in image deletion: [it is busy]');
    expect(left()).toEqual(['stuck']);
    expect(events).toEqual([expect.stringMatching(/^ImageGCFailed wanted to free 10485760 bytes/)]);
  });
});
