import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { everything } from './testing/log-options.ts';
import { TestNode } from './testing/test-node.ts';

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.start();
});
afterEach(() => node.close());

const phase = (name: string, wanted: string) => node.until(() => expect(node.pod(name).status.phase).toBe(wanted));

describe('logs', () => {
  it('gives the log of a container and says why there is none', async () => {
    const pod = node.createPod('p', {});
    await phase('p', 'Running');
    await node.runtime.log('c', 'hello');
    let text = '';
    const out = {
      write: async (chunk: Uint8Array) => {
        text += Buffer.from(chunk).toString();
      },
    };
    const ref = { namespace: 'default', name: 'p', uid: pod.metadata.uid };
    const { signal } = new AbortController();
    await node.kubelet.nodeApi.logs(ref, everything, out, signal);
    expect(text).toBe('hello\n');
    await expect(node.kubelet.nodeApi.logs(ref, { ...everything, previous: true }, out, signal)).rejects.toMatchObject({
      code: 400,
      message: 'previous terminated container "c" in pod "p" not found',
    });
    await expect(node.kubelet.nodeApi.logs({ ...ref, uid: 'other' }, everything, out, signal)).rejects.toMatchObject({ code: 404 });
  });

  it('are had by the paths of its port as well, with its lists of pods', async () => {
    const pod = node.createPod('p', {});
    await phase('p', 'Running');
    await node.runtime.log('c', 'hello');
    const get = async (path: string) => {
      const request = { method: 'GET', path, headers: {}, body: new Uint8Array(0) };
      const answer = await node.kubelet.nodeApi.request(request, new AbortController().signal);
      let text = '';
      for await (const chunk of answer.body) text += Buffer.from(chunk).toString('utf8');
      return [answer.status, text] as const;
    };
    expect(await get('/healthz')).toEqual([200, 'ok']);
    expect(await get('/containerLogs/default/p/c')).toEqual([200, 'hello\n']);
    expect(await get('/containerLogs/default/p/c?previous=true')).toEqual([400, 'previous terminated container "c" in pod "p" not found']);
    expect(await get('/containerLogs/default/q/c')).toEqual([404, 'pod "q_default" not found']);
    expect(await get('/run/default/p/c')).toEqual([404, '404 page not found']);
    expect(await get('/exec/default/p/c?command=ls')).toEqual([400, 'you must specify an Upgrade to SPDY/3.1']);
    expect(JSON.parse((await get('/pods'))[1])).toMatchObject({ kind: 'PodList', items: [{ metadata: { name: 'p' }, spec: pod.spec }] });
    const running = { metadata: { name: 'p', namespace: 'default', uid: pod.metadata.uid }, status: {} };
    expect(JSON.parse((await get('/runningpods/'))[1]).items).toEqual([
      { ...running, spec: { containers: [{ name: 'c', image: 'busybox', resources: {} }] } },
    ]);
  });
});
