import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import path from 'node:path';
import { makePrivateDirectory, writeFileAtomic } from '@coffer/base/files/atomic-file';
import type { Clock } from '@coffer/base/time/clock';
import { type CertificateFiles, isUsable } from './keep-certificate.ts';
import type { NodeCertificate } from './request-certificate.ts';

/** The file with the kubelet's client certificate and its key, which the kubeconfig of a node that joined refers to. */
export function clientCertificateFile(directory: string): string {
  return path.join(directory, 'kubelet-client-current.pem');
}

/** Certificate and key in one file (0600), so that no reader sees them from two requests. One of another node does not count. */
export function clientCertificateFiles(directory: string, nodeName: string, clock: Clock): CertificateFiles {
  const file = clientCertificateFile(directory);
  return {
    read: () =>
      usable(clock, async () => {
        const pem = await readFile(file, 'utf8');
        const pair = { keyPem: blockOf(pem, 'PRIVATE KEY'), certificatePem: blockOf(pem, 'CERTIFICATE') };
        const subject = new X509Certificate(pair.certificatePem).subject.split('\n');
        return subject.includes(`CN=system:node:${nodeName}`) ? pair : undefined;
      }),
    async write({ keyPem, certificatePem }) {
      await makePrivateDirectory(directory);
      await writeFileAtomic(file, `${certificatePem.trim()}\n${keyPem.trim()}\n`);
    },
  };
}

/** `kubelet-server.key` and `kubelet-server.crt` (0600). A certificate that does not cover all of `names` does not count. */
export function servingCertificateFiles(directory: string, names: readonly string[], clock: Clock): CertificateFiles {
  const file = (suffix: 'key' | 'crt') => path.join(directory, `kubelet-server.${suffix}`);
  return {
    read: () =>
      usable(clock, async () => {
        const pair = { keyPem: await readFile(file('key'), 'utf8'), certificatePem: await readFile(file('crt'), 'utf8') };
        const certificate = new X509Certificate(pair.certificatePem);
        const covers = names.every((name) => (isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name)) !== undefined);
        return covers ? pair : undefined;
      }),
    async write({ keyPem, certificatePem }) {
      await makePrivateDirectory(directory);
      await writeFileAtomic(file('key'), keyPem);
      await writeFileAtomic(file('crt'), certificatePem);
    },
  };
}

async function usable(clock: Clock, read: () => Promise<NodeCertificate | undefined>): Promise<NodeCertificate | undefined> {
  try {
    const pair = await read();
    return pair && isUsable(pair, clock.now()) ? pair : undefined;
  } catch {
    return undefined; // none yet, or one that cannot be read: a new one is asked for
  }
}

function blockOf(pem: string, label: string): string {
  const block = new RegExp(`-----BEGIN ([A-Z ]+ )?${label}-----[\\s\\S]+?-----END ([A-Z ]+ )?${label}-----`).exec(pem);
  if (block === null) throw new Error(`no ${label} was found`);
  return `${block[0]}\n`;
}
