/** What a kubelet does from time to time, on a real containerd: it rotates logs and removes images that nobody uses. */
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { connectRemoteRuntime } from '@coffer/cri/remote/remote-runtime';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { eventually, podConfig, shellContainer } from '@coffer/cri/runtime/contract-fixtures';
import { ImageCollector } from '@coffer/kubelet/images/image-collector';
import { PulledRecords } from '@coffer/kubelet/images/pulled-records';
import { rotateLog } from '@coffer/kubelet/logs/log-rotation';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestContainerd } from '../support/containerd.ts';
import { ociImage } from '../support/oci-image.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;
if (skip) console.log('skipped: upkeep of real containers (needs root on Linux)');

describe.skipIf(skip)('upkeep of a node on containerd', () => {
  let directory: string;
  let containerd: TestContainerd;
  let runtime: ContainerRuntime;

  beforeAll(async () => {
    directory = await mkdtemp('/tmp/node-upkeep-');
    // Of the second generation: it says which image its sandboxes need.
    containerd = await TestContainerd.start({ version: '2.x' });
    runtime = await connectRemoteRuntime(containerd.endpoint, { clock: systemClock, logger: silentLogger });
  });
  afterAll(async () => {
    for (const { id } of await runtime.listPodSandboxes()) await runtime.removePodSandbox(id);
    await runtime.close();
    await containerd.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const start = async (script: string) => {
    const config = podConfig(directory);
    const sandbox = await runtime.runPodSandbox(config);
    const id = await runtime.createContainer(sandbox, shellContainer(containerd.image, script));
    await runtime.startContainer(id);
    return { id, log: path.join(config.logDirectory, 'main/0.log') };
  };

  it('rotates the log of a container that goes on writing, without losing a line', { timeout: 60_000 }, async () => {
    const { id, log } = await start('i=0; while :; do i=$((i+1)); echo $i; sleep 0.001; done');
    const limits = { maxBytes: 2000, maxFiles: 4 };
    for (const second of [1, 2, 3, 4]) {
      const rotated = () => rotateLog(log, limits, Date.UTC(2026, 0, 1, 0, 0, second), () => runtime.reopenContainerLog(id));
      await eventually('the log to be large enough', async () => (await rotated()) || undefined);
    }
    await eventually('the new log', async () => ((await numbers(log)).length > 10 ? true : undefined));
    await runtime.stopContainer(id, 0);
    const directoryOfLog = path.dirname(log);
    const names = (await readdir(directoryOfLog)).sort();
    expect(names).toEqual(['0.log', '0.log.20260101-000002.gz', '0.log.20260101-000003.gz', '0.log.20260101-000004']);
    const all: number[] = [];
    for (const name of [...names.slice(1), '0.log']) all.push(...(await numbers(path.join(directoryOfLog, name))));
    expect(all.length).toBeGreaterThan(30);
    expect(all).toEqual(all.map((_, index) => (all[0] ?? 0) + index));
  });

  it('removes the image that nobody uses, not the one of a container, nor that of the sandboxes', { timeout: 60_000 }, async () => {
    const unused = 'docker.io/library/unused:latest';
    await start('sleep 1000');
    await containerd.importImage(ociImage({ reference: unused, command: ['unused'] }, await containerd.busyboxLayer()));
    const events: string[] = [];
    let availableBytes = 500_000;
    const collector = new ImageCollector({
      runtime,
      clock: systemClock,
      policy: { highThresholdPercent: 60, lowThresholdPercent: 40, minAgeMs: 0 },
      records: new PulledRecords(path.join(directory, 'records')),
      volumeImages: () => [],
      diskUsage: async () => ({ capacityBytes: 1_000_000, availableBytes }),
      event: (reason, message) => events.push(`${reason} ${message}`),
    });
    const present = async () => (await runtime.listImages()).flatMap(({ repoTags }) => repoTags).sort();
    const before = await present();
    expect(before).toContain(unused);
    await collector.collect();
    expect(await present()).toEqual(before);
    availableBytes = 100_000;
    await collector.collect();
    expect(await present()).toEqual(before.filter((name) => name !== unused));
    expect(await runtime.imageStatus(unused)).toBeUndefined();
    expect(events).toEqual([]);
    await expect(collector.collect()).rejects.toThrow('Failed to free sufficient space by deleting unused images (freed 0 bytes).');
    expect(events[0]).toMatch(/^FreeDiskSpaceFailed Insufficient free disk space on the node's image filesystem \(90% of 976.6 KiB used\)/);
    expect(await present()).toContain(containerd.image);
  });
});

/** The numbers that a log's lines hold. */
async function numbers(file: string): Promise<number[]> {
  const stream = createReadStream(file);
  const content = await text(file.endsWith('.gz') ? stream.pipe(createGunzip()) : stream);
  return content
    .split('\n')
    .filter(Boolean)
    .map((line) => Number(line.split(' ').at(-1)));
}
