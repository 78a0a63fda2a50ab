/** What a pod of the sandbox runtime finds of the API server: an address that works, and with its mounted token what its RBAC allows. */
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually } from '../support/coffer-process.ts';
import { podApiClient, podApiObjects } from '../support/pod-api-client.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;

describe.skipIf(skip)('a pod and the API server', () => {
  let coffer: CofferProcess;
  beforeAll(async () => {
    coffer = await CofferProcess.start({ args: ['--runtime', 'sandbox'] });
  });
  afterAll(async () => {
    await coffer.stop('SIGINT');
    await coffer.dispose();
  });

  const apply = async (...objects: object[]) => {
    const items = { apiVersion: 'v1', kind: 'List', items: objects };
    const result = await coffer.kubectl(['apply', '-f', '-'], { input: JSON.stringify(items) });
    expect(result.stderr).toBe('');
  };
  const get = async (...args: string[]) => JSON.parse((await coffer.kubectl(['get', ...args, '-o', 'json'])).stdout);

  it('lets it read what the role of its service account allows, and no more', async () => {
    const metadata = { name: 'reader', namespace: 'default' };
    await apply(...podApiObjects, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: {
        serviceAccountName: 'reader',
        restartPolicy: 'Never',
        containers: [{ name: 'c', image: 'node', command: [process.execPath, '-e', podApiClient] }],
      },
    });
    const phase = await eventually('the pod has ended', async () => {
      const pod = await get('pod', 'reader');
      return pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed' ? pod.status.phase : undefined;
    });
    const { stdout } = await coffer.kubectl(['logs', 'reader']);
    expect(phase, stdout).toBe('Succeeded');
    expect(JSON.parse(stdout)).toMatchObject({ allowed: 200, refused: 403, text: expect.stringContaining('hello from the API') });
  });

  it('shows the address that pods get behind the kubernetes Service', async () => {
    const service = await get('service', 'kubernetes');
    expect(service.metadata.labels).toMatchObject({ component: 'apiserver', provider: 'kubernetes' });
    expect(service.spec).toMatchObject({ clusterIP: '10.96.0.1', ports: [{ name: 'https', port: 443, protocol: 'TCP' }] });
    const [subset] = (await get('endpoints', 'kubernetes')).subsets;
    const slice = await get('endpointslice', 'kubernetes');
    expect(slice.endpoints[0].addresses).toEqual([subset.addresses[0].ip]);
    expect(slice.ports).toMatchObject([{ name: 'https', port: subset.ports[0].port }]);
    await apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'env', namespace: 'default' },
      spec: {
        restartPolicy: 'Never',
        containers: [
          { name: 'c', image: 'sh', command: ['sh', '-c', 'echo $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT $KUBERNETES_PORT'] },
        ],
      },
    });
    const text = await eventually('the pod has said it', async () => (await coffer.kubectl(['logs', 'env'])).stdout || undefined);
    const { ip } = subset.addresses[0];
    const { port } = subset.ports[0];
    expect(text).toBe(`${ip} ${port} tcp://${ip}:${port}\n`);
  });
});

describe.skipIf(skip)('coffer up --advertise-address', () => {
  it('tells pods and readers of the kubernetes Service that address, and its certificate covers it', async () => {
    const advertised = '198.51.100.7';
    const coffer = await CofferProcess.start({ args: ['--runtime', 'sandbox', '--advertise-address', advertised] });
    try {
      const { body } = await coffer.call('GET', '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes');
      expect(body.endpoints[0].addresses).toEqual([advertised]);
      expect(body.ports).toMatchObject([{ name: 'https', port: coffer.port }]);
      const endpoints = await coffer.call('GET', '/api/v1/namespaces/default/endpoints/kubernetes');
      expect(endpoints.body.subsets).toMatchObject([{ addresses: [{ ip: advertised }], ports: [{ port: coffer.port }] }]);
      const command = ['sh', '-c', 'echo $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT'];
      const pod = { metadata: { name: 'p' }, spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'sh', command }] } };
      expect((await coffer.call('POST', '/api/v1/namespaces/default/pods', pod)).status).toBe(201);
      const said = await eventually('the pod has said it', async () => (await coffer.kubectl(['logs', 'p'])).stdout || undefined);
      expect(said).toBe(`${advertised} ${coffer.port}\n`);
      const names = await new Promise<string>((resolve, reject) => {
        const socket = connect({ host: '127.0.0.1', port: coffer.port, rejectUnauthorized: false }, () => {
          resolve(socket.getPeerCertificate().subjectaltname ?? '');
          socket.destroy();
        });
        socket.once('error', reject);
      });
      expect(names.split(', ')).toContain(`IP Address:${advertised}`);
    } finally {
      await coffer.stop('SIGINT');
      await coffer.dispose();
    }
  });
});
