import { notFound } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import { describe, expect, it } from 'vitest';
import type { Pod, Volume } from '../types.ts';
import { type PayloadContext, volumePayload } from './payloads.ts';

const pod: Pod = {
  metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { b: '2', a: 'quo"te' } },
  spec: { containers: [{ name: 'c', resources: { limits: { memory: '2Mi' } } }] },
  status: {},
};

const objects: Record<string, KubeObject> = {
  cfg: object('cfg', { data: { a: '1', 'b.txt': 'two\n' }, binaryData: { x: '3srK/rrQAP8=' } }),
  sec: object('sec', { data: { user: 'YWRtaW4=', pass: 'cEBzcyB3MHJk' } }),
};

function object(name: string, fields: object): KubeObject {
  return { apiVersion: 'v1', kind: 'X', metadata: { name, namespace: 'ns', uid: `uid-${name}`, resourceVersion: '5' }, ...fields };
}

function context(of: Pod = pod, givesFilesAway = true): PayloadContext {
  const find = (resource: string) => async (name: string) => {
    const found = objects[name];
    if (found === undefined) throw notFound({ group: '', resource }, name);
    return found;
  };
  return {
    pod: of,
    podIps: [],
    hostIps: [],
    allocatable: { cpu: '4' },
    givesFilesAway,
    objects: { configMap: find('configmap'), secret: find('secret') },
    serviceAccountToken: async ({ audience }) => `token for ${audience ?? 'the API'}`,
  };
}

async function files(volume: Omit<Volume, 'name'>, of = pod): Promise<Record<string, string>> {
  const payload = await volumePayload({ name: 'v', ...volume }, context(of));
  return Object.fromEntries(
    [...payload.files].map(([path, file]) => [path, `${file.mode.toString(8)} ${Buffer.from(file.data).toString('latin1')}`]),
  );
}

describe('volumePayload', () => {
  it('projects every key of a ConfigMap, binary ones byte for byte', async () => {
    const payload = await volumePayload({ name: 'v', configMap: { name: 'cfg' } }, context());
    expect([...payload.files.keys()]).toEqual(['a', 'b.txt', 'x']);
    expect(Buffer.from(payload.files.get('x')?.data ?? []).toString('hex')).toBe('decacafebad000ff');
    expect(payload.files.get('a')?.mode).toBe(0o644);
    expect(payload.sources).toEqual([{ kind: 'ConfigMap', namespace: 'ns', name: 'cfg', uid: 'uid-cfg', resourceVersion: '5' }]);
  });

  it('projects chosen items to paths with modes', async () => {
    const items = [
      { key: 'a', path: 'deep//er/./a' },
      { key: 'b.txt', path: 'b', mode: 0o600 },
    ];
    expect(await files({ configMap: { name: 'cfg', items, defaultMode: 0o440 } })).toEqual({ 'deep/er/a': '440 1', b: '600 two\n' });
  });

  it('is empty for an optional object that is missing, and skips optional items', async () => {
    expect(await files({ secret: { secretName: 'none', optional: true } })).toEqual({});
    expect(await files({ secret: { secretName: 'sec', optional: true, items: [{ key: 'no', path: 'no' }] } })).toEqual({});
  });

  it('joins the sources of a projected volume, the later one winning', async () => {
    expect(
      await files({
        projected: {
          defaultMode: 0o444,
          sources: [
            { configMap: { name: 'cfg', items: [{ key: 'a', path: 'cm/a' }] } },
            { secret: { name: 'sec', items: [{ key: 'user', path: 'sec/user', mode: 0o400 }] } },
            {
              downwardAPI: {
                items: [
                  { path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } },
                  { path: 'memory', resourceFieldRef: { containerName: 'c', resource: 'limits.memory', divisor: '1Ki' } },
                ],
              },
            },
            { serviceAccountToken: { path: 'token', audience: 'vault' } },
            { configMap: { name: 'cfg', items: [{ key: 'b.txt', path: 'cm/a' }] } },
          ],
        },
      }),
    ).toEqual({
      'cm/a': '444 two\n',
      'sec/user': '400 admin',
      labels: '444 a="quo\\"te"\nb="2"',
      memory: '444 2048',
      token: '444 token for vault',
    });
  });

  it('gives a token to the one user of the pod and to nobody else', async () => {
    const user: Pod = { ...pod, spec: { ...pod.spec, securityContext: { runAsUser: 1000 } } };
    const volume = { projected: { defaultMode: 0o644, sources: [{ serviceAccountToken: { path: 'token' } }] } };
    const payload = await volumePayload({ name: 'v', ...volume }, context(user));
    expect(payload.files.get('token')).toMatchObject({ mode: 0o600, uid: 1000 });
    expect(await files(volume)).toEqual({ token: '644 token for the API' });
    const kept = await volumePayload({ name: 'v', ...volume }, context(user, false));
    expect(kept.files.get('token')).toMatchObject({ mode: 0o600, uid: undefined });
  });

  it.each([
    [{ configMap: { name: 'none' } }, 'configmap "none" not found'],
    [{ secret: { secretName: 'none' } }, 'secret "none" not found'],
    [{ configMap: { name: 'cfg', items: [{ key: 'k', path: 'k' }] } }, 'configmap references non-existent config key: k'],
    [{ secret: { secretName: 'sec', items: [{ key: 'k', path: 'k' }] } }, 'references non-existent secret key: k'],
    [
      { projected: { sources: [{ configMap: { name: 'x' } }, { secret: { name: 'y' } }] } },
      '[configmap "x" not found, secret "y" not found]',
    ],
    [{ projected: { sources: [{ clusterTrustBundle: { path: 'ca', name: 'b' } }] } }, 'clusterTrustBundle projections are not supported'],
  ] as const)('says what is wrong with %j', async (volume, message) => {
    await expect(files(volume)).rejects.toThrow(message);
  });
});
