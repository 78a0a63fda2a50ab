import { notFound } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import { describe, expect, it } from 'vitest';
import type { Container, Pod } from '../types.ts';
import { containerEnv, type EnvContext } from './container-env.ts';

const pod: Pod = {
  metadata: {
    name: 'p',
    namespace: 'ns',
    uid: 'u-1',
    labels: { l: 'lab', constructor: 'odd' },
    annotations: { 'example.com/a': 'anno' },
  },
  spec: {
    nodeName: 'node-1',
    serviceAccountName: 'default',
    containers: [{ name: 'other', resources: { limits: { cpu: '1500m', memory: '64Mi' }, requests: { cpu: '100m' } } }],
  },
  status: {},
};

const objects: Record<string, KubeObject> = {
  'ConfigMap/cfg': object('cfg', { a: '1', 'b.txt': 'two\n', 'c-d': '3', __proto__: 'lost' }),
  'ConfigMap/cfg2': object('cfg2', { T_a: 'second', T_b: 'B' }),
  'ConfigMap/odd': { ...object('odd', {}), data: JSON.parse('{"__proto__":"p","constructor":"c","toString":"t"}') },
  'ConfigMap/nul': object('nul', { n: 'a\0b' }),
  'Secret/sec': object('sec', {
    pass: Buffer.from('p@ss w0rd').toString('base64'),
    bin: Buffer.from([0xff, 0xfe, 0x01]).toString('base64'),
  }),
};

function object(name: string, data: Record<string, string>): KubeObject {
  return { apiVersion: 'v1', kind: 'X', metadata: { name, namespace: 'ns', uid: `uid-${name}`, resourceVersion: '7' }, data };
}

function find(kind: string, name: string): KubeObject {
  const found = objects[`${kind}/${name}`];
  if (found === undefined) throw notFound({ group: '', resource: kind.toLowerCase() }, name);
  return found;
}

const context: EnvContext = {
  pod,
  podIps: ['10.1.2.3', 'fd00::1'],
  hostIps: ['192.0.2.1'],
  allocatable: { cpu: '2', memory: '1Gi' },
  services: new Map([['KUBERNETES_SERVICE_HOST', '10.96.0.1']]),
  objects: {
    configMap: async (name) => find('ConfigMap', name),
    secret: async (name) => find('Secret', name),
  },
  readEnvFile: async (_volume, _path, key) => (key === 'K' ? 'from file' : undefined),
};

async function variables(container: Partial<Container>): Promise<Record<string, string>> {
  const env = await containerEnv({ name: 'c', ...container }, context);
  return Object.fromEntries(env.variables.map(({ name, value }) => [name, Buffer.from(value).toString('utf8')]));
}

describe('containerEnv', () => {
  it('takes envFrom in order, lets env win, and adds service variables last', async () => {
    const result = await variables({
      envFrom: [
        { prefix: 'T_', configMapRef: { name: 'cfg' } },
        { configMapRef: { name: 'cfg2' } },
        { configMapRef: { name: 'none', optional: true } },
      ],
      env: [{ name: 'T_b', value: 'env wins' }],
    });
    expect(result).toMatchObject({
      T_a: 'second',
      'T_b.txt': 'two\n',
      'T_c-d': '3',
      T_b: 'env wins',
      KUBERNETES_SERVICE_HOST: '10.96.0.1',
    });
  });

  it('keeps keys that objects of the language know', async () => {
    const env = await containerEnv({ name: 'c', envFrom: [{ configMapRef: { name: 'odd' } }] }, context);
    expect(env.variables.slice(0, 3).map(({ name }) => name)).toEqual(['__proto__', 'constructor', 'toString']);
  });

  it('passes Secret bytes that are no text', async () => {
    const env = await containerEnv({ name: 'c', env: [{ name: 'B', valueFrom: { secretKeyRef: { name: 'sec', key: 'bin' } } }] }, context);
    expect([...(env.variables[0]?.value ?? [])]).toEqual([0xff, 0xfe, 0x01]);
  });

  it.each([
    ['$(A)-$(NOPE)-$$(A)', 'x-$(NOPE)-$(A)'],
    ['$(A', '$(A'],
    ['$A $', '$A $'],
    ['$$$(A)', '$x'],
    ['$(KUBERNETES_SERVICE_HOST)', '10.96.0.1'],
    ['ünï$(A)', 'ünïx'],
  ])('expands %j', async (value, expected) => {
    expect(
      (
        await variables({
          env: [
            { name: 'A', value: 'x' },
            { name: 'V', value },
          ],
        })
      ).V,
    ).toBe(expected);
  });

  it('expands references in command and args with the final values', async () => {
    const env = await containerEnv({ name: 'c', env: [{ name: 'A', value: 'é' }] }, context);
    expect(env.expand('say $(A) $$(A) $(B)')).toBe('say é $(A) $(B)');
  });

  it.each([
    ['metadata.name', 'p'],
    ['metadata.namespace', 'ns'],
    ['metadata.uid', 'u-1'],
    ["metadata.labels['l']", 'lab'],
    ["metadata.labels['constructor']", 'odd'],
    ["metadata.labels['toString']", ''],
    ["metadata.annotations['example.com/a']", 'anno'],
    ['spec.nodeName', 'node-1'],
    ['spec.serviceAccountName', 'default'],
    ['status.podIP', '10.1.2.3'],
    ['status.podIPs', '10.1.2.3,fd00::1'],
    ['status.hostIP', '192.0.2.1'],
    ['status.hostIPs', '192.0.2.1'],
  ])('reads the field %s', async (fieldPath, expected) => {
    expect((await variables({ env: [{ name: 'V', valueFrom: { fieldRef: { fieldPath } } }] })).V).toBe(expected);
  });

  it.each([
    ['limits.cpu', undefined, '2'],
    ['limits.cpu', '1m', '1500'],
    ['requests.cpu', '1m', '100'],
    ['requests.cpu', '1', '1'],
    ['limits.memory', undefined, '67108864'],
    ['limits.memory', '1Mi', '64'],
    ['requests.memory', undefined, '0'],
  ])('reads the resource %s divided by %s', async (resource, divisor, expected) => {
    const resourceFieldRef = { containerName: 'other', resource, ...(divisor === undefined ? {} : { divisor }) };
    expect((await variables({ env: [{ name: 'V', valueFrom: { resourceFieldRef } }] })).V).toBe(expected);
  });

  it('takes limits that are not set from the node', async () => {
    const env = [{ name: 'V', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } }];
    expect((await variables({ env })).V).toBe('1024');
  });

  it('skips optional references that lead nowhere and reads env files', async () => {
    const result = await variables({
      env: [
        { name: 'A', valueFrom: { configMapKeyRef: { name: 'none', key: 'x', optional: true } } },
        { name: 'B', valueFrom: { secretKeyRef: { name: 'sec', key: 'zz', optional: true } } },
        { name: 'C', valueFrom: { fileKeyRef: { volumeName: 'v', path: 'f', key: 'K' } } },
        { name: 'D', valueFrom: { fileKeyRef: { volumeName: 'v', path: 'f', key: 'L', optional: true } } },
      ],
    });
    expect(Object.keys(result)).toEqual(['C', 'KUBERNETES_SERVICE_HOST']);
    expect(result.C).toBe('from file');
  });

  it.each([
    [{ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'none', key: 'x' } } }] }, 'configmap "none" not found'],
    [{ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cfg', key: 'x' } } }] }, "couldn't find key x in ConfigMap ns/cfg"],
    [{ env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'sec', key: 'x' } } }] }, "couldn't find key x in Secret ns/sec"],
    [{ envFrom: [{ secretRef: { name: 'none' } }] }, 'secret "none" not found'],
    [{ envFrom: [{ configMapRef: { name: 'nul' } }] }, 'environment variable "n" holds a NUL byte'],
  ] as const)('says what is wrong with %j', async (container, message) => {
    await expect(variables(container)).rejects.toThrow(message);
  });

  it('records every object it used once, by UID and revision', async () => {
    const reference = { name: 'cfg', key: 'a' };
    const env = await containerEnv(
      { name: 'c', envFrom: [{ configMapRef: { name: 'cfg' } }], env: [{ name: 'A', valueFrom: { configMapKeyRef: reference } }] },
      context,
    );
    expect(env.sources).toEqual([{ kind: 'ConfigMap', namespace: 'ns', name: 'cfg', uid: 'uid-cfg', resourceVersion: '7' }]);
  });
});
