import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, runCommand } from '../support/coffer-process.ts';
import { paymentsAccount } from '../support/payments-account.ts';
import { Session } from '../support/session.ts';

// Who reads Secrets: the fourth document's example of least privilege, with the account's own token and from a pod, and what
// audit says about it afterwards.

let coffer: CofferProcess;
let payments: Session;
let auditLog: string;

beforeAll(async () => {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'coffer-access-'));
  auditLog = path.join(dataDir, 'audit.log');
  coffer = await CofferProcess.start({ dataDir, args: ['--audit-log-path', auditLog] });
  payments = await Session.open(coffer, 'payments', true);
});
afterAll(async () => {
  await payments?.close();
  await coffer?.dispose();
});

const account = 'system:serviceaccount:payments:payment-service-account';

/** kubectl with nothing but a token. */
function withToken(token: string, args: readonly string[]) {
  const server = ['--kubeconfig', '/dev/null', '--server', `https://127.0.0.1:${coffer.port}`, '--insecure-skip-tls-verify'];
  return coffer.kubectl([...server, '--token', token, '-n', 'payments', ...args]);
}

// biome-ignore lint/suspicious/noExplicitAny: events are navigated freely
async function auditEvents(): Promise<Record<string, any>[]> {
  const lines = (await readFile(auditLog, 'utf8')).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line));
}

describe('least privilege for Secrets', () => {
  let token: string;

  it('is set up as the document writes it', async () => {
    await payments.apply(paymentsAccount);
    for (const name of ['payment-gateway-key', 'db-credentials', 'third'])
      await payments.succeed(['create', 'secret', 'generic', name, `--from-literal=value=${name}-value`]);
    token = await payments.succeed(['create', 'token', 'payment-service-account']);
    expect((await withToken(token, ['auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}'])).stdout).toBe(account);
  });

  it('lets the account read the two named Secrets, and neither list nor read a third', async () => {
    for (const name of ['payment-gateway-key', 'db-credentials']) {
      const { code, stdout } = await withToken(token, ['get', 'secret', name, '-o', 'jsonpath={.data.value}']);
      expect([code, Buffer.from(stdout, 'base64').toString()]).toEqual([0, `${name}-value`]);
    }
    const third = await withToken(token, ['get', 'secret', 'third']);
    expect([third.code, third.stderr.trim()]).toEqual([
      1,
      `Error from server (Forbidden): secrets "third" is forbidden: User "${account}" cannot get resource "secrets" in API group "" in the namespace "payments"`,
    ]);
    expect((await withToken(token, ['get', 'secrets'])).stderr).toContain(
      `secrets is forbidden: User "${account}" cannot list resource "secrets"`,
    );
    expect((await withToken(token, ['delete', 'secret', 'db-credentials'])).stderr).toContain('cannot delete resource "secrets"');
  });

  it('shows exactly what the account can do', async () => {
    const list = await payments.succeed(['auth', 'can-i', '--list', `--as=${account}`]);
    expect(list).toMatch(/^secrets +\[\] +\[db-credentials\] +\[get\]$/m);
    expect(list).toMatch(/^secrets +\[\] +\[payment-gateway-key\] +\[get\]$/m);
    const resources = list.split('\n').filter((line) => /^\S/.test(line) && !line.startsWith('Resources'));
    expect(resources.map((line) => line.split(/\s+/)[0] ?? '').sort((a, b) => a.localeCompare(b))).toEqual([
      'secrets',
      'secrets',
      'selfsubjectaccessreviews.authorization.k8s.io',
      'selfsubjectreviews.authentication.k8s.io',
      'selfsubjectrulesreviews.authorization.k8s.io',
    ]);
    expect(await payments.succeed(['auth', 'can-i', 'get', 'secret/db-credentials', `--as=${account}`])).toBe('yes');
    const no = await payments.kubectl(['auth', 'can-i', 'list', 'secrets', `--as=${account}`]);
    expect([no.code, no.stdout.trim()]).toEqual([1, 'no']);
  });

  it('lets audit tell who read what, and never what was in it', async () => {
    const events = (await auditEvents()).filter(({ user, objectRef }) => user.username === account && objectRef?.resource === 'secrets');
    const told = events.map(({ verb, objectRef, responseStatus, annotations }) => [
      verb,
      objectRef.name ?? '',
      responseStatus.code,
      annotations['authorization.k8s.io/decision'],
    ]);
    expect(told).toEqual([
      ['get', 'payment-gateway-key', 200, 'allow'],
      ['get', 'db-credentials', 200, 'allow'],
      ['get', 'third', 403, 'forbid'],
      ['list', '', 403, 'forbid'],
      ['delete', 'db-credentials', 403, 'forbid'],
    ]);
    expect(events[0]?.annotations['authorization.k8s.io/reason']).toBe(
      'RBAC: allowed by RoleBinding "payment-secret-access/payments" of Role "secret-reader" to ServiceAccount "payment-service-account/payments"',
    );
    expect(await readFile(auditLog, 'utf8')).not.toContain(Buffer.from('third-value').toString('base64'));
    const impersonated = (await auditEvents()).find((event) => event.impersonatedUser?.username === account);
    expect(impersonated).toMatchObject({ user: { username: 'kubernetes-admin' } });
  });

  it('gives a pod a token only when asked to, and that token reads what RBAC allows', async () => {
    await payments.apply(`apiVersion: v1
kind: Pod
metadata: {name: without}
spec:
  serviceAccountName: payment-service-account
  containers: [{name: c, image: busybox, command: [sleep, "3600"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: with}
spec:
  serviceAccountName: payment-service-account
  automountServiceAccountToken: true
  containers: [{name: c, image: busybox, command: [sleep, "3600"]}]
`);
    await payments.succeed(['wait', '--for=condition=Ready', 'pod/with', 'pod/without', '--timeout=60s']);
    const folder = '/var/run/secrets/kubernetes.io/serviceaccount';
    expect(await payments.exec('without', 'sh', '-c', `test -e ${folder}/token && echo there || echo none`)).toBe('none');
    const mounted = await payments.exec('with', 'cat', `${folder}/token`);
    expect((await withToken(mounted, ['get', 'secret', 'db-credentials', '-o', 'name'])).stdout.trim()).toBe('secret/db-credentials');
    expect((await withToken(mounted, ['get', 'secret', 'third'])).code).toBe(1);
    expect((await withToken(mounted, ['get', 'pods'])).stderr).toContain('cannot list resource "pods"');
    await payments.succeed(['delete', 'pod', 'with', 'without', '--now']);
    const after = await withToken(mounted, ['get', 'secret', 'db-credentials']);
    expect([after.code, after.stderr]).toEqual([1, expect.stringContaining('Unauthorized')]);
  });
});

describe('certificates for people', () => {
  it('are asked for, approved, signed and accepted', async () => {
    const key = path.join(payments.folder, 'jane.key');
    const csr = path.join(payments.folder, 'jane.csr');
    const made = await runCommand('openssl', [
      'req',
      '-new',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      key,
      '-out',
      csr,
      '-subj',
      '/O=devs/CN=jane',
    ]);
    expect(made.code).toBe(0);
    const request = (await readFile(csr)).toString('base64');
    await payments.apply(`apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: jane}
spec:
  request: ${request}
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: 3600
  usages: [client auth]
`);
    expect(await payments.succeed(['certificate', 'approve', 'jane'])).toContain('approved');
    await payments.succeed(['wait', '--for=jsonpath={.status.certificate}', 'csr/jane', '--timeout=30s']);
    const certificate = await payments.file('jane.crt', '');
    const pem = Buffer.from(await payments.succeed(['get', 'csr', 'jane', '-o', 'jsonpath={.status.certificate}']), 'base64').toString();
    await payments.file('jane.crt', pem);
    const server = ['--kubeconfig', '/dev/null', '--server', `https://127.0.0.1:${coffer.port}`, '--insecure-skip-tls-verify'];
    const who = await coffer.kubectl([...server, '--client-certificate', certificate, '--client-key', key, 'auth', 'whoami', '-o', 'json']);
    expect(JSON.parse(who.stdout).status.userInfo).toMatchObject({ username: 'jane', groups: ['devs', 'system:authenticated'] });
  });
});
