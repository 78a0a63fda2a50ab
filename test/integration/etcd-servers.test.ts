/** API servers on an etcd: two of them, one set of keys, loops and kubectl against either, and what happens when a part dies. */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferPart } from '../support/coffer-part.ts';
import { eventually, freePort, kubectlPath, type Output, runCommand } from '../support/coffer-process.ts';
import { EtcdProcess, etcdProgram } from '../support/etcd-process.ts';

if (etcdProgram === undefined) console.log('skipped: API servers on a real etcd (no etcd on this machine; Debian: etcd-server)');

describe.skipIf(etcdProgram === undefined)('two API servers on one etcd', () => {
  const directory = mkdtempSync('/tmp/etcd-servers-');
  const names = ['one', 'two'] as const;
  type Name = (typeof names)[number];
  /** What they say they are reached at; nobody connects there. */
  const addresses: Record<Name, string> = { one: '192.0.2.1', two: '192.0.2.2' };
  const servers = new Map<Name, CofferPart>();
  const parts: CofferPart[] = [];
  let etcd: EtcdProcess;
  let ports: Record<Name, number>;

  const dataDir = (name: Name) => join(directory, name);
  async function startServer(name: Name): Promise<void> {
    const own = ['--data-dir', dataDir(name), '--secure-port', String(ports[name]), '--advertise-address', addresses[name]];
    const server = new CofferPart(['apiserver', ...own, '--storage-backend', 'etcd', '--etcd-servers', etcd.endpoint]);
    servers.set(name, server);
    await server.ready();
  }
  const kubectl = (name: Name, args: readonly string[], input?: string): Promise<Output> =>
    runCommand(kubectlPath, ['--kubeconfig', join(dataDir(name), 'kubeconfig'), ...args], input === undefined ? {} : { input });
  const succeed = async (name: Name, ...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await kubectl(name, args);
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
    return stdout.trim();
  };

  beforeAll(async () => {
    etcd = await EtcdProcess.start();
    ports = { one: await freePort(), two: await freePort() };
    await startServer('one');
    // Certificates, token keys and the key of the store are the same on every server.
    mkdirSync(dataDir('two'));
    cpSync(join(dataDir('one'), 'pki'), join(dataDir('two'), 'pki'), { recursive: true });
    await startServer('two');
    const key = join(dataDir('one'), 'pki/sa.key');
    for (const name of names) {
      const config = join(dataDir(name), 'kubeconfig');
      parts.push(new CofferPart(['controllers', '--kubeconfig', config, '--service-account-private-key-file', key]));
    }
  });
  afterAll(async () => {
    for (const part of [...parts, ...servers.values()]) await part.stop('SIGTERM');
    await etcd?.dispose();
    rmSync(directory, { recursive: true, force: true });
  });

  it('see what the other wrote at once, as the same object', async () => {
    await succeed('one', 'create', 'configmap', 'shared', '--from-literal=k=v');
    const read = (name: Name) =>
      succeed(name, 'get', 'configmap', 'shared', '-o', 'jsonpath={.metadata.uid} {.metadata.resourceVersion} {.data.k}');
    expect(await read('two')).toBe(await read('one'));
    await succeed('two', 'patch', 'configmap', 'shared', '-p', '{"data":{"k":"w"}}');
    expect(await succeed('one', 'get', 'configmap', 'shared', '-o', 'jsonpath={.data.k}')).toBe('w');
  });

  it('let no update be lost between them', async () => {
    const stale = await succeed('one', 'get', 'configmap', 'shared', '-o', 'json');
    await succeed('two', 'label', 'configmap', 'shared', 'from=two');
    const lost = await kubectl('one', ['replace', '-f', '-'], stale);
    expect(lost.stderr).toContain('the object has been modified; please apply your changes to the latest version and try again');
  });

  it('keep Secrets encrypted in etcd, readable by both', async () => {
    await succeed('one', 'create', 'secret', 'generic', 'login', '--from-literal=password=planted-in-etcd');
    expect(await succeed('two', 'get', 'secret', 'login', '-o', 'jsonpath={.data.password}')).toBe(
      Buffer.from('planted-in-etcd').toString('base64'),
    );
    const stored = await etcd.dump('/registry/');
    expect(stored.get('/registry/secrets/default/login')?.toString('latin1')).toMatch(/^k8s:enc:/);
    for (const [key, value] of stored) expect([key, value.includes('planted-in-etcd')]).toEqual([key, false]);
    expect(stored.get('/registry/configmaps/default/shared')?.toString()).toContain('"k":"w"');
  });

  it('accept tokens that the other issued', async () => {
    await eventually('the account', async () => (await kubectl('two', ['get', 'serviceaccount', 'default'])).code === 0);
    const token = await succeed('one', 'create', 'token', 'default');
    const flags = ['--server', `https://127.0.0.1:${ports.two}`, '--certificate-authority', join(dataDir('two'), 'pki/ca.crt')];
    const asked = await runCommand(kubectlPath, ['--kubeconfig', '/dev/null', ...flags, '--token', token, 'auth', 'whoami']);
    expect(asked.stdout).toContain('system:serviceaccount:default:default');
  });

  it('are both behind the Service kubernetes, until one leaves', async () => {
    const published = async () => [
      await succeed('two', 'get', 'endpoints', 'kubernetes', '-o', 'jsonpath={.subsets[*].addresses[*].ip}'),
      await succeed('two', 'get', 'endpointslice', 'kubernetes', '-o', 'jsonpath={.endpoints[*].addresses[*]}'),
    ];
    const both = `${addresses.one} ${addresses.two}`;
    expect(await published()).toEqual([both, both]);
    await servers.get('one')?.stop('SIGTERM');
    expect(await published()).toEqual([addresses.two, addresses.two]);
    await startServer('one');
    expect(await published()).toEqual([both, both]);
  });

  it('never give the same address or port to two services', async () => {
    const parallel = (name: Name, service: string, spec: object) =>
      kubectl(name, ['create', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'Service', metadata: { name: service }, spec }));
    const ports = (nodePort?: number) => [{ port: 80, ...(nodePort === undefined ? {} : { nodePort }) }];
    for (let round = 0; round < 5; round++) {
      const chosen = { type: 'NodePort', clusterIP: `10.96.99.${round + 1}`, ports: ports(30_000 + round) };
      const answers = await Promise.all(names.flatMap((name) => [parallel(name, `chosen-${round}-${name}`, chosen)]));
      expect(answers.map(({ code }) => code).sort()).toEqual([0, 1]);
      expect(answers.map(({ stderr }) => stderr).join('')).toMatch(/provided (IP|port) is already allocated/);
    }
    const listed = JSON.parse(await succeed('one', 'get', 'services', '-o', 'json')) as { items: { spec: { clusterIP: string } }[] };
    const used = listed.items.map(({ spec }) => spec.clusterIP);
    expect(new Set(used).size).toBe(used.length);
    expect([...(await etcd.dump('/registry/coffer.dev/serviceclaims/')).keys()]).toEqual([]);
  });

  it('serve a Deployment whose loops run on both, one at a time', async () => {
    await succeed('one', 'create', 'deployment', 'web', '--image=web', '--replicas=3');
    await eventually('its pods', async () => (await succeed('two', 'get', 'pods', '-l', 'app=web', '-o', 'name')).split('\n').length === 3);
    expect((await succeed('one', 'get', 'replicasets', '-o', 'name')).split('\n')).toHaveLength(1);
  });

  it('go on when one of them is killed, and it comes back to all that happened', async () => {
    await servers.get('one')?.stop('SIGKILL');
    await succeed('two', 'create', 'configmap', 'meanwhile', '--from-literal=k=v');
    await succeed('two', 'scale', 'deployment', 'web', '--replicas=1');
    await eventually(
      'the loops',
      async () => (await succeed('two', 'get', 'pods', '-l', 'app=web', '-o', 'name')).split('\n').length === 1,
    );
    await startServer('one');
    expect(await succeed('one', 'get', 'configmap', 'meanwhile', '-o', 'jsonpath={.data.k}')).toBe('v');
  });

  it('answer again when etcd has been away, with all that was acknowledged', async () => {
    await etcd.kill();
    const refused = await kubectl('one', ['create', 'configmap', 'lost', '--request-timeout=3s']);
    expect(refused.code).toBe(1);
    await etcd.start();
    await eventually('a write', async () => (await kubectl('two', ['create', 'configmap', 'after'])).code === 0);
    await eventually('the other', async () => (await kubectl('one', ['get', 'configmap', 'after', 'meanwhile', 'shared'])).code === 0);
  });
});
