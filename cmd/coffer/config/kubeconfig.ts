import type { KeyAndCertificate } from '@coffer/apiserver/pki/certificates';
import { writeFileAtomic } from '@coffer/base/files/atomic-file';

/** A kubeconfig with one cluster, one user (client certificate) and one context, all named `coffer`. */
export async function writeKubeconfig(file: string, server: string, authorityPem: string, client: KeyAndCertificate): Promise<void> {
  const base64 = (pem: string) => Buffer.from(pem).toString('base64');
  const config = [
    'apiVersion: v1',
    'kind: Config',
    'current-context: coffer',
    'clusters:',
    '- name: coffer',
    '  cluster:',
    `    server: ${server}`,
    `    certificate-authority-data: ${base64(authorityPem)}`,
    'users:',
    '- name: coffer',
    '  user:',
    `    client-certificate-data: ${base64(client.certificatePem)}`,
    `    client-key-data: ${base64(client.keyPem)}`,
    'contexts:',
    '- name: coffer',
    '  context:',
    '    cluster: coffer',
    '    user: coffer',
    '',
  ];
  await writeFileAtomic(file, config.join('\n'));
}
