import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { eventually, runCommand } from '../../support/coffer-process.ts';
import { type KubectlSuite, words } from './suite.ts';

/** Questions about the cluster: `api-resources`, `explain`, `auth`, `version`, `proxy`. */
export function describeCluster(suite: KubectlSuite): void {
  const { run, refused } = suite;

  describe('kubectl about the cluster', () => {
    it('discovers and explains every kind served', async () => {
      const names = (await run('api-resources -o name')).split('\n');
      expect(names).toEqual(expect.arrayContaining(['configmaps', 'secrets', 'pods', 'deployments.apps', 'leases.coordination.k8s.io']));
      expect(await run('api-resources --namespaced=false --verbs=list -o wide')).toContain('nodes');
      expect((await run('api-versions')).split('\n')).toEqual(expect.arrayContaining(['v1', 'apps/v1', 'rbac.authorization.k8s.io/v1']));
      // kubectl takes what follows the dot for a field when the first group has such a resource, too.
      const arguments_ = names.map((name) => (name === 'events.events.k8s.io' ? 'events --api-version=events.k8s.io/v1' : name));
      for (const argument of arguments_) {
        expect(await run(`explain ${argument} --recursive`), argument).toMatch(/^(GROUP:.*\n)?KIND:[\s\S]*FIELDS:/);
      }
      expect(await run('explain deployment.spec.strategy.rollingUpdate.maxSurge')).toContain('IntOrString');
      expect(await refused('explain pod.nothing')).toContain('field "nothing" does not exist');
    });

    it('signs certificates for users', async () => {
      const folder = suite.session.folder;
      const request = await suite.session.bash(
        'openssl req -newkey rsa:2048 -nodes -keyout key -subj /CN=joe/O=devs 2>/dev/null | base64 -w0',
      );
      const csr = (name: string) => `apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: ${name}}
spec: {signerName: kubernetes.io/kube-apiserver-client, usages: [client auth], request: ${request.stdout}}
`;
      await run('create -f -', csr('joe'));
      expect(await run('certificate approve joe')).toContain('certificatesigningrequest.certificates.k8s.io/joe approved');
      await eventually('a certificate', async () => (await run('get csr joe -o jsonpath={.status.certificate}')) !== '');
      expect(await run('get csr joe')).toContain('Approved,Issued');
      await writeFile(path.join(folder, 'crt'), Buffer.from(await run('get csr joe -o jsonpath={.status.certificate}'), 'base64'));
      const login = [
        'cp $KUBECONFIG joe.conf && export KUBECONFIG=joe.conf',
        'kubectl config set-credentials joe --client-certificate=crt --client-key=key --embed-certs >/dev/null',
        'kubectl config set-context --current --user=joe >/dev/null',
        'kubectl auth whoami -o jsonpath={.status.userInfo.username}',
      ];
      const who = await suite.session.bash(login.join(' && '));
      expect(who.stdout).toBe('joe');
      await run('create -f -', csr('joe-2'));
      expect(await run('certificate deny joe-2')).toContain('denied');
      expect(await run('get csr joe-2')).toContain('Denied');
      await run('delete csr joe joe-2');
    });

    it('asks who may do what', async () => {
      expect(await run('auth can-i create deployments')).toBe('yes');
      const robot = `system:serviceaccount:${suite.session.namespace}:robot`;
      expect(await run(`auth can-i get configmaps --as=${robot}`)).toBe('yes');
      expect((await suite.session.kubectl(words(`auth can-i delete configmaps --as=${robot}`))).stdout.trim()).toBe('no');
      expect(await run(`auth can-i --list --as=${robot}`)).toContain('configmaps');
      expect(await run(`auth whoami --as=${robot}`)).toContain(robot);
      const role = 'apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: reader, namespace: NS}\nrules:\n';
      const rule = '- {verbs: [delete], apiGroups: [""], resources: [configmaps]}\n';
      const reconciled = await run('auth reconcile -f -', role.replace('NS', suite.session.namespace) + rule);
      expect(reconciled).toContain('role.rbac.authorization.k8s.io/reader reconciled');
      expect(await run(`auth can-i delete configmaps --as=${robot}`)).toBe('yes');
      expect(await refused(`get secrets --as=${robot}`)).toContain(`User "${robot}" cannot list resource "secrets"`);
    });

    it('says what it is', async () => {
      expect(await run('cluster-info')).toContain('is running at');
      expect(await run('version')).toMatch(/Server Version: v1\.36/);
      expect(await run('config view')).toContain('certificate-authority-data: DATA+OMITTED');
      expect(await run('get --raw /readyz')).toBe('ok');
      expect(JSON.parse(await run('get --raw /api/v1/namespaces/default')).kind).toBe('Namespace');
      const child = spawn(suite.kubectl, ['--kubeconfig', suite.coffer.kubeconfig, 'proxy', '--port=0']);
      let output = '';
      child.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
      const port = await eventually('the proxy', () => /127\.0\.0\.1:(\d+)/.exec(output)?.[1]);
      const { stdout } = await runCommand('curl', ['-s', `http://127.0.0.1:${port}/version`]);
      child.kill();
      expect(JSON.parse(stdout).major).toBe('1');
    });
  });
}
