import { rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PODS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestNode } from '../testing/test-node.ts';
import { staticPodFromManifest } from './static-pod-manifest.ts';

const manifest = (image: string) => `apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
  - name: c
    image: ${image}
    command: [serve]
`;

describe('static pods', () => {
  let dir = '';
  let node: TestNode;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'static-'));
    await writeFile(join(dir, 'web.yaml'), manifest('one'));
    await writeFile(join(dir, 'broken.yaml'), 'kind: Nothing');
    node = await TestNode.start({ staticPodDir: dir });
  });
  afterEach(async () => {
    await node.close();
    await rm(dir, { recursive: true, force: true });
  });

  it('run without being asked, and are shown with their status', async () => {
    await node.until(() => expect(node.pod('web-node-1').status.phase).toBe('Running'));
    const mirror = node.pod('web-node-1');
    expect(mirror.metadata.annotations?.['kubernetes.io/config.source']).toBe('file');
    expect(mirror.metadata.annotations?.['kubernetes.io/config.mirror']).toBe(mirror.metadata.annotations?.['kubernetes.io/config.hash']);
    expect(mirror.metadata.ownerReferences?.[0]).toMatchObject({ kind: 'Node', name: 'node-1' });
    expect(node.runtime.find('c')?.config.image).toBe('one');
  });

  it('survive the deletion of their mirror, which comes back', async () => {
    await node.until(() => expect(node.pod('web-node-1').status.phase).toBe('Running'));
    const { uid } = node.pod('web-node-1').metadata;
    node.api.remove(PODS, 'default', 'web-node-1');
    await node.until(() => expect(node.pod('web-node-1').metadata.uid).not.toBe(uid));
    await node.until(() => expect(node.pod('web-node-1').status.phase).toBe('Running'));
    expect(node.runtime.calls.some((call) => call.startsWith('stopContainer'))).toBe(false);
  });

  it('follow their file when it changes and when it goes', async () => {
    await node.until(() => expect(node.pod('web-node-1').status.phase).toBe('Running'));
    await writeFile(join(dir, 'web.yaml'), manifest('two'));
    await node.until(() => {
      expect(node.runtime.find('c')?.config.image).toBe('two');
      expect(node.pod('web-node-1').spec.containers[0]?.image).toBe('two');
    });
    await rm(join(dir, 'web.yaml'));
    await node.until(() => {
      expect(node.runtime.containers.size).toBe(0);
      expect(node.hasPod('web-node-1')).toBe(false);
    });
  });

  /** Containers stop only when they are let go; `stopping` are the grace periods they were given. */
  function holdStops(): { stopping: number[]; letGo: () => void } {
    let letGo = () => {};
    const held = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const stop = node.runtime.stopContainer.bind(node.runtime);
    const stopping: number[] = [];
    node.runtime.stopContainer = async (id, timeoutMs) => {
      stopping.push(timeoutMs);
      await held;
      await stop(id, timeoutMs);
    };
    return { stopping, letGo };
  }

  it('run again, as a restart, when their file is removed and written anew at once', async () => {
    await node.until(() => expect(node.pod('web-node-1').status.phase).toBe('Running'));
    const { uid } = node.pod('web-node-1').metadata;
    const { stopping, letGo } = holdStops();
    rmSync(join(dir, 'web.yaml'));
    writeFileSync(join(dir, 'web.yaml'), manifest('one'));
    await node.until(() => expect(stopping).toHaveLength(1));
    letGo();
    await node.until(() => {
      const { metadata, status } = node.pod('web-node-1');
      expect(metadata.uid).not.toBe(uid);
      expect(status).toMatchObject({ phase: 'Running', containerStatuses: [{ restartCount: 1, state: { running: {} } }] });
    });
  });

  it('go on when a file with the same content is renamed over theirs', async () => {
    await node.until(() => expect(node.pod('web-node-1').status.phase).toBe('Running'));
    await writeFile(join(dir, 'web.new'), manifest('one'));
    await rename(join(dir, 'web.new'), join(dir, 'web.yaml'));
    // Another file that is noticed later tells that this one has been.
    await writeFile(join(dir, 'other.yaml'), manifest('one').replace('web', 'other'));
    await node.until(() => expect(node.pod('other-node-1').status.phase).toBe('Running'));
    expect(node.runtime.calls.some((call) => call.startsWith('stopContainer'))).toBe(false);
  });

  it('wait until the last pod of their name has gone, which is shown so long', async () => {
    await node.until(() => expect(node.pod('web-node-1').status.phase).toBe('Running'));
    const { uid } = node.pod('web-node-1').metadata;
    const { stopping, letGo } = holdStops();
    await writeFile(join(dir, 'web.yaml'), manifest('two'));
    await node.until(() => expect(stopping).toEqual([30_000]));
    expect(node.pod('web-node-1')).toMatchObject({ metadata: { uid }, status: { phase: 'Running' } });
    expect([...node.runtime.containers.values()].map(({ config }) => config.image)).toEqual(['one']);
    letGo();
    await node.until(() => {
      expect(node.pod('web-node-1').metadata.uid).not.toBe(uid);
      expect(node.pod('web-node-1').status.phase).toBe('Running');
    });
    expect(node.runtime.find('c')?.config.image).toBe('two');
  });

  it('have logs under the UID of their mirror', async () => {
    await node.until(() => expect(node.pod('web-node-1').status.phase).toBe('Running'));
    const { name, namespace, uid } = node.pod('web-node-1').metadata;
    const options = { container: 'c', follow: false, previous: false, timestamps: false } as const;
    const none = { tailLines: undefined, limitBytes: undefined, sinceSeconds: undefined, sinceTime: undefined };
    const out: string[] = [];
    const sink = { write: async (chunk: Uint8Array) => void out.push(Buffer.from(chunk).toString()) };
    await node.kubelet.nodeApi.logs({ name, namespace, uid }, { ...options, ...none }, sink, new AbortController().signal);
    await node.kubelet.nodeApi.portForward({ name, namespace, uid }, new AbortController().signal);
    await expect(node.kubelet.nodeApi.portForward({ name, namespace, uid: 'of another' }, new AbortController().signal)).rejects.toThrow(
      'pod does not exist',
    );
  });
});

describe('staticPodFromManifest', () => {
  it.each([
    ['kind: Pod', 'not a v1 Pod'],
    [`${manifest('i')}    envFrom:\n    - secretRef: {name: s}\n`, 'static pods may not reference secrets'],
    ['apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: []}', 'spec.containers: Required value'],
  ])('refuses %#', (text, message) => {
    expect(() => staticPodFromManifest(text, '/m.yaml', 'n')).toThrow(message);
  });

  it('makes another pod of a changed manifest', () => {
    const uid = (image: string) => staticPodFromManifest(manifest(image), '/m.yaml', 'n').metadata.uid;
    expect(uid('a')).toBe(uid('a'));
    expect(uid('a')).not.toBe(uid('b'));
  });
});
