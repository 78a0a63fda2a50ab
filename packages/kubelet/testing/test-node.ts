/** A kubelet on a fake API, a fake runtime and a clock moved by hand; files are real, below a directory of their own under the system's. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { V1PodSpec } from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import { applyStrategicMergePatch } from '@coffer/api/patch/strategic-merge-patch';
import { builtInSchemaTable } from '@coffer/api/schema/schema-table';
import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { CONFIG_MAPS, EVENTS, NODES, PODS, SECRETS } from '@coffer/client/rest/well-known';
import { FakeApi } from '@coffer/client/testing/fake-api';
import type { Transport, TransportRequest } from '@coffer/client/transport/transport';
import type { NodeResources } from '../eviction/node-resources.ts';
import { type Kubelet, startKubelet } from '../kubelet.ts';
import type { KubeletOptions } from '../options.ts';
import { type Pod, podFromObject } from '../types.ts';
import { createMounter } from '../volumes/mounter.ts';
import { FakeRuntime } from './fake-runtime.ts';

export class TestNode {
  readonly clock = new FakeClock();
  readonly api = new FakeApi(this.clock);
  readonly runtime = new FakeRuntime(this.clock);
  rootDir = '';
  /** What the machine has left; nothing is short unless a test says so. */
  resources: NodeResources = {};
  #stop = new AbortController();
  #kubelet: Kubelet | undefined;

  static async start(options: Partial<KubeletOptions> = {}): Promise<TestNode> {
    const node = new TestNode();
    node.rootDir = await mkdtemp(join(tmpdir(), 'kubelet-'));
    await node.boot(options);
    return node;
  }

  get kubelet(): Kubelet {
    if (this.#kubelet === undefined) throw new Error('the kubelet does not run');
    return this.#kubelet;
  }

  /** Starts a kubelet, as after a crash of the one before. */
  async boot(options: Partial<KubeletOptions> = {}): Promise<void> {
    this.#stop = new AbortController();
    this.#kubelet = await startKubelet(
      {
        nodeName: 'node-1',
        transport: this.#transport(),
        runtime: this.runtime,
        rootDir: this.rootDir,
        clock: this.clock,
        logger: silentLogger,
        resources: async () => this.resources,
        options: { nodeIps: ['192.0.2.1'], ...options },
      },
      this.#stop.signal,
    );
  }

  /** Ends the kubelet and leaves the containers running. */
  async crash(): Promise<void> {
    this.#stop.abort(new Error('crashed'));
    await this.#kubelet?.done;
  }

  async close(): Promise<void> {
    await this.crash();
    const mounter = createMounter();
    for (const path of await mounter.mountsBelow(this.rootDir)) await mounter.unmount(path);
    await rm(this.rootDir, { recursive: true, force: true });
  }

  createPod(name: string, spec: Partial<V1PodSpec>, metadata: object = {}): Pod {
    const object = this.api.put(PODS, {
      metadata: { name, namespace: 'default', ...metadata },
      spec: {
        nodeName: 'node-1',
        restartPolicy: 'Always',
        terminationGracePeriodSeconds: 30,
        enableServiceLinks: true,
        containers: [{ name: 'c', image: 'busybox', command: ['app'] }],
        ...spec,
      },
      status: { phase: 'Pending' },
    });
    return podFromObject(object as KubeObject);
  }

  putConfigMap(name: string, data: Record<string, string>, extra: object = {}): void {
    this.api.put(CONFIG_MAPS, { metadata: { name, namespace: 'default' }, data, ...extra });
  }

  putSecret(name: string, data: Record<string, string>, extra: object = {}): void {
    const encoded = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
    this.api.put(SECRETS, { metadata: { name, namespace: 'default' }, data: encoded, ...extra });
  }

  /** The pod as the API has it now. */
  pod(name: string): Pod {
    const object = this.api.find(PODS, 'default', name);
    if (object === undefined) throw new Error(`no pod ${name}`);
    return podFromObject(object as KubeObject);
  }

  hasPod(name: string): boolean {
    return this.api.find(PODS, 'default', name) !== undefined;
  }

  /** Marks a pod as being deleted, as the API server does for a pod that runs on a node. */
  deletePod(name: string, graceSeconds = 30): void {
    const object = this.api.find(PODS, 'default', name);
    if (object === undefined) throw new Error(`no pod ${name}`);
    this.api.put(PODS, {
      ...object,
      metadata: {
        ...object.metadata,
        deletionTimestamp: new Date(this.clock.now() + graceSeconds * 1000).toISOString(),
        deletionGracePeriodSeconds: graceSeconds,
        // The fake API drops what is being deleted with its next write; a real one waits for the kubelet.
        finalizers: ['test/kubelet'],
      },
    });
  }

  node(): KubeObject | undefined {
    return this.api.find(NODES, '', 'node-1') as KubeObject | undefined;
  }

  /** `type reason message` of every event about a pod. */
  events(name: string): string[] {
    return this.api
      .all(EVENTS)
      .filter((event) => isRecord(event.involvedObject) && event.involvedObject.name === name)
      .map((event) => `${String(event.type)} ${String(event.reason)} ${String(event.message)}`);
  }

  /** Waits for real I/O, without moving the clock, until `check` does not throw. */
  async until<T>(check: () => T | Promise<T>, timeoutMs = 3000): Promise<T> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      try {
        return await check();
      } catch (error) {
        if (Date.now() > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    }
  }

  /** The fake API knows merge patches only: strategic ones are applied here with the real algorithm. */
  #transport(): Transport {
    const inner = this.api.transport('system:node:node-1');
    const table = builtInSchemaTable();
    return {
      ...inner,
      request: (request) => {
        const deleted = request.method === 'DELETE' ? /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)$/.exec(request.path) : null;
        if (deleted === null) return inner.request(this.#translated(request, table));
        this.api.remove(PODS, deleted[1] ?? '', deleted[2] ?? '');
        return Promise.resolve({ status: 200, headers: {}, body: Buffer.from('{}') });
      },
    };
  }

  #translated(request: TransportRequest, table: ReturnType<typeof builtInSchemaTable>): TransportRequest {
    if (request.method !== 'PATCH' || request.headers?.['content-type'] !== 'application/strategic-merge-patch+json') return request;
    const match = /^\/api\/v1\/(?:namespaces\/([^/]+)\/)?(pods|nodes|events)\/([^/]+)/.exec(request.path);
    if (match === null) return request;
    const [, namespace = '', resource, name = ''] = match;
    const ref = resource === 'pods' ? PODS : resource === 'nodes' ? NODES : EVENTS;
    const object = this.api.find(ref, namespace, decodeURIComponent(name)) as KubeObject | undefined;
    const struct = table.kind('', 'v1', ref.kind);
    if (object === undefined || struct === undefined) return request;
    const patch: unknown = JSON.parse(String(request.body));
    const patched = applyStrategicMergePatch(object, patch, struct, table);
    const status = isRecord(patched.status) ? patched.status : {};
    const before = isRecord(object.status) ? object.status : {};
    const uid = isRecord(patch) && isRecord(patch.metadata) ? { uid: patch.metadata.uid } : {};
    const body = request.path.endsWith('/status')
      ? { metadata: uid, status: { ...withRemovals(before, status), conditions: mergedList(before.conditions, status.conditions) } }
      : { ...patched, metadata: { labels: patched.metadata.labels } };
    return { ...request, headers: { ...request.headers, 'content-type': 'application/merge-patch+json' }, body: JSON.stringify(body) };
  }
}

/** As a merge patch: what is not there any more is null. */
function withRemovals(before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const patch: Record<string, unknown> = { ...after };
  for (const [key, value] of Object.entries(before)) {
    const now = after[key];
    if (!(key in after)) patch[key] = null;
    else if (isRecord(value) && isRecord(now)) patch[key] = withRemovals(value, now);
  }
  return patch;
}

/** The fake API merges lists by type: what the real algorithm removed has to be removed there too. */
function mergedList(before: unknown, after: unknown): unknown {
  const types = (list: unknown) => (Array.isArray(list) ? list.flatMap((item) => (isRecord(item) ? [item.type] : [])) : []);
  const left = types(after);
  const removed = types(before).filter((type) => !left.includes(type));
  return Array.isArray(after) ? [...after, ...removed.map((type) => ({ type, $patch: 'delete' }))] : after;
}
