/** A node joins with a bootstrap token: it asks for its client certificate, uses it, and has it renewed before it expires. */
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { issueCertificate } from '@coffer/apiserver/pki/certificates';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferPart } from '../support/coffer-part.ts';
import { bundle, CofferProcess, eventually, runCommand } from '../support/coffer-process.ts';

const bootstrapObjects = `
apiVersion: v1
kind: Secret
metadata: {name: bootstrap-token-abcdef, namespace: kube-system}
type: bootstrap.kubernetes.io/token
stringData:
  token-id: abcdef
  token-secret: 0123456789abcdef
  usage-bootstrap-authentication: "true"
  auth-extra-groups: system:bootstrappers:workers
`;
/** Name, role and group of the bindings that let nodes join. */
const bindings = [
  ['nodes-ask', 'system:node-bootstrapper', 'system:bootstrappers'],
  ['nodes-approved', 'system:certificates.k8s.io:certificatesigningrequests:nodeclient', 'system:bootstrappers:workers'],
  ['nodes-renewed', 'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient', 'system:nodes'],
] as const;

describe.runIf(process.platform === 'linux' && process.getuid?.() === 0)('a node that joins with a bootstrap token', () => {
  let folder: string;
  let coffer: CofferProcess;
  let kubelet: CofferPart | undefined;

  const kubeconfig = () => path.join(folder, 'node.kubeconfig');
  const certificateFile = () => path.join(folder, 'node/pki/kubelet/kubelet-client-current.pem');
  const auditLog = () => path.join(folder, 'audit.log');
  const requests = async () => (await coffer.call('GET', '/apis/certificates.k8s.io/v1/certificatesigningrequests')).body.items;

  function startKubelet(): CofferPart {
    const files = ['--bootstrap-kubeconfig', path.join(folder, 'bootstrap.kubeconfig'), '--kubeconfig', kubeconfig()];
    const node = ['--data-dir', path.join(folder, 'node'), '--node-name', 'worker', '--runtime', 'sandbox', '--port', '0'];
    return new CofferPart(['kubelet', ...files, ...node]);
  }

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'coffer-join-'));
    coffer = await CofferProcess.start({ args: ['--runtime', 'none', '--audit-log-path', auditLog()] });
    expect((await coffer.kubectl(['apply', '-f', '-'], { input: bootstrapObjects })).code).toBe(0);
    for (const [name, role, group] of bindings) {
      const created = await coffer.kubectl(['create', 'clusterrolebinding', name, `--clusterrole=${role}`, `--group=${group}`]);
      expect(created).toMatchObject({ code: 0 });
    }
    const config = (...args: string[]) => coffer.kubectl(['config', '--kubeconfig', path.join(folder, 'bootstrap.kubeconfig'), ...args]);
    const authority = path.join(coffer.dataDir, 'pki/ca.crt');
    await config(
      'set-cluster',
      'c',
      `--server=https://127.0.0.1:${coffer.port}`,
      `--certificate-authority=${authority}`,
      '--embed-certs=true',
    );
    await config('set-credentials', 'token', '--token=abcdef.0123456789abcdef');
    await config('set-context', 'c', '--cluster=c', '--user=token');
    await config('use-context', 'c');
  });
  afterAll(async () => {
    await runCommand(process.execPath, [bundle, 'down', '--data-dir', path.join(folder, 'node')], { timeoutMs: 30_000 });
    await kubelet?.stop('SIGKILL');
    await coffer?.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  it('is given a client certificate, writes its kubeconfig and is a node', async () => {
    kubelet = startKubelet();
    await kubelet.ready();
    const [request, ...others] = await requests();
    expect(others).toEqual([]);
    expect(request.spec).toMatchObject({
      username: 'system:bootstrap:abcdef',
      groups: ['system:bootstrappers', 'system:bootstrappers:workers', 'system:authenticated'],
      signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
      usages: ['digital signature', 'client auth'],
    });
    expect(request.status.conditions).toMatchObject([
      { type: 'Approved', reason: 'AutoApproved', message: 'Auto approving kubelet client certificate after SubjectAccessReview.' },
    ]);
    expect(new X509Certificate(await readFile(certificateFile())).subject).toBe('O=system:nodes\nCN=system:node:worker');
    for (const file of [kubeconfig(), certificateFile()]) expect([file, (await stat(file)).mode & 0o777]).toEqual([file, 0o600]);
    const asNode = await coffer.kubectl(['--kubeconfig', kubeconfig(), 'auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}']);
    expect(asNode).toMatchObject({ code: 0, stdout: 'system:node:worker' });
    expect((await coffer.kubectl(['wait', '--for=condition=Ready', 'node/worker', '--timeout=30s'])).code).toBe(0);
  });

  it('needs no bootstrap token any more, and renews a certificate whose time is nearly over', async () => {
    await kubelet?.stop('SIGTERM');
    await coffer.kubectl(['-n', 'kube-system', 'delete', 'secret', 'bootstrap-token-abcdef']);
    await coffer.kubectl(['delete', 'csr', '--all']);
    const pki = (name: string) => readFile(path.join(coffer.dataDir, 'pki', name), 'utf8');
    const old = await issueCertificate(
      { certificatePem: await pki('ca.crt'), keyPem: await pki('ca.key') },
      {
        commonName: 'system:node:worker',
        organizations: ['system:nodes'],
        usage: 'client',
        nowMs: Date.now() - 3_600_000,
        validityMs: 3_600_000 + 300_000,
      },
    );
    await writeFile(certificateFile(), old.certificatePem + old.keyPem);

    kubelet = startKubelet();
    await kubelet.ready();
    const renewed = await eventually('another certificate', async () => {
      const text = await readFile(certificateFile(), 'utf8');
      return text.includes(old.certificatePem.trim()) ? undefined : text;
    });
    expect(new X509Certificate(renewed).subject).toBe('O=system:nodes\nCN=system:node:worker');
    const [request] = await requests();
    expect(request.spec.username).toBe('system:node:worker');
    expect(request.status.conditions[0].message).toBe('Auto approving self kubelet client certificate after SubjectAccessReview.');
    const id = `X509SHA256=${new X509Certificate(renewed).fingerprint256.replaceAll(':', '').toLowerCase()}`;
    await eventually('a request of the kubelet with the new certificate', async () =>
      (await readFile(auditLog(), 'utf8'))
        .split('\n')
        .some((line) => line.includes(id) && line.includes('"username":"system:node:worker"')),
    );
  });
});
